//! Wakes the router's thread: rung by the queues of links and by the threads of the disk.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tokio::sync::Notify;

/// Rings that come while the thread is at work make it look once more.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Chime>);

#[derive(Default)]
struct Chime(Notify);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.0.notify_one();
    }

    pub(crate) async fn heard(&self) {
        self.0.0.notified().await;
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }
}

impl Wake for Chime {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}
