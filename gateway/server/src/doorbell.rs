//! Wakes a shard thread from any other thread.
//!
//! A socket pair: the shard thread reads one end like any other socket, which works with io_uring, epoll and kqueue
//! alike. So no waker of the runtime ever leaves its thread, and no task can be freed by a foreign one. Between two
//! readings only the first ring costs a system call.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use monoio::io::AsyncReadRent;

/// More than can be in the pair: one byte a ring, one ring a reading.
const READ_SIZE: usize = 16;

/// The outside end. Put what the thread shall find into its queue first, then ring.
pub struct Doorbell {
    is_rung: AtomicBool,
    button: UnixStream,
}

/// The thread's end, before the thread has its runtime.
pub struct DoorbellPost {
    bell: Arc<Doorbell>,
    chime: UnixStream,
}

/// The thread's end.
pub struct DoorbellListener {
    bell: Arc<Doorbell>,
    chime: monoio::net::UnixStream,
    buffer: Vec<u8>,
}

impl Doorbell {
    /// Both ends.
    pub fn pair() -> io::Result<(Arc<Doorbell>, DoorbellPost)> {
        let (button, chime) = UnixStream::pair()?;
        button.set_nonblocking(true)?;
        let bell = Arc::new(Doorbell { is_rung: AtomicBool::new(false), button });
        Ok((bell.clone(), DoorbellPost { bell, chime }))
    }

    /// Wakes the thread, unless it is going to look anyway.
    pub fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            // It fails only when the thread is gone, and then nobody is left to wake.
            let _ = (&self.button).write(&[1]);
        }
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl DoorbellPost {
    /// On the shard thread, inside its runtime. io_uring waits by itself on a blocking socket; epoll and kqueue need a
    /// non-blocking one.
    pub fn listen(self, is_nonblocking: bool) -> io::Result<DoorbellListener> {
        self.chime.set_nonblocking(is_nonblocking)?;
        let chime = monoio::net::UnixStream::from_std(self.chime)?;
        Ok(DoorbellListener { bell: self.bell, chime, buffer: vec![0; READ_SIZE] })
    }
}

/// The thread's end for who waits for descriptors by itself.
pub(crate) struct DoorbellWatch {
    bell: Arc<Doorbell>,
    chime: UnixStream,
}

impl DoorbellPost {
    /// The descriptor is readable after a ring, until [`DoorbellWatch::heard`].
    pub(crate) fn watch(self) -> io::Result<DoorbellWatch> {
        self.chime.set_nonblocking(true)?;
        Ok(DoorbellWatch { bell: self.bell, chime: self.chime })
    }
}

impl DoorbellWatch {
    /// Whether it was rung since the last time. What was queued before that ring is visible then.
    pub(crate) fn heard(&mut self) -> bool {
        if !self.bell.is_rung.load(Ordering::Acquire) {
            return false;
        }
        // The byte of a ring that is about to be written is read the next time. There is nothing else that can fail.
        let _ = self.chime.read(&mut [0; READ_SIZE]);
        self.bell.is_rung.swap(false, Ordering::AcqRel)
    }
}

impl AsFd for DoorbellWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.chime.as_fd()
    }
}

impl DoorbellListener {
    /// Returns after a ring. What was queued before that ring is visible then. Never drop the future half way.
    pub async fn heard(&mut self) -> io::Result<()> {
        let (result, buffer) = self.chime.read(std::mem::take(&mut self.buffer)).await;
        self.buffer = buffer;
        let size = result?;
        assert!(size > 0, "the listener holds the other end of the pair, so it cannot be closed");
        // Before the queues are read: who rings later than this writes again.
        self.bell.is_rung.swap(false, Ordering::AcqRel);
        Ok(())
    }

    /// Rings this bell, from wherever it ends up.
    pub fn waker(&self) -> Waker {
        Waker::from(self.bell.clone())
    }
}
