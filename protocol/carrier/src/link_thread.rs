//! A thread with a runtime of its own, which ends when its handle is dropped.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

pub(crate) struct LinkThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LinkThread {
    /// Runs what `begin` makes there until the handle is dropped. It must not end by itself.
    pub(crate) fn spawn<F: Future<Output = ()>>(
        name: &str,
        begin: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<LinkThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = begin() => {}
                    _ = stopped => {}
                }
            });
            // A name that is being resolved is nothing to wait for.
            runtime.shutdown_background();
        })?;
        Ok(LinkThread { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LinkThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has nothing to do about a panic, which has been reported.
            let _ = thread.join();
        }
    }
}
