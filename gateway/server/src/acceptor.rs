//! The thread that accepts sockets and hands them in turn to the shard threads of the monoio driver.
//!
//! It waits for the listener and for its own end at once, and while it is out of descriptors for its end alone, so that
//! it neither spins nor misses a stop. It decides nothing about a socket.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::doorbell::Doorbell;
use crate::metrics::Metrics;

/// Sockets on their way to a shard thread. When it is late, the rest wait in the kernel's queue.
pub(crate) const SOCKETS_QUEUED_MAX: usize = 256;
/// Connections that wait to be accepted. The kernel lowers it to net.core.somaxconn.
pub(crate) const BACKLOG: i32 = 4096;
/// Pause after the process ran out of descriptors.
pub(crate) const PAUSE_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(50);

/// A socket that has just been accepted.
pub(crate) struct AcceptedSocket {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
}

/// Handle of the thread. Dropping it stops and joins the thread; the listener is closed then.
pub(crate) struct Acceptor {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// How sockets get to a shard thread.
pub(crate) struct Outlet {
    pub(crate) sockets: SyncSender<AcceptedSocket>,
    pub(crate) bell: Arc<Doorbell>,
}

struct Worker {
    listener: TcpListener,
    stopped: UnixStream,
    outlets: Vec<Outlet>,
    metrics: Arc<Metrics>,
}

enum Pause {
    UntilReady,
    WithoutDescriptors,
}

impl Acceptor {
    /// Takes over a bound listener.
    pub(crate) fn spawn(listener: TcpListener, outlets: Vec<Outlet>, metrics: Arc<Metrics>) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let worker = Worker { listener, stopped, outlets, metrics };
        let thread = thread::Builder::new().name("accept".to_owned()).spawn(move || worker.run())?;
        Ok(Acceptor { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // The thread sees the other end of the pair close.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the acceptor has nothing to panic about");
        }
    }
}

impl Worker {
    fn run(self) {
        let mut pause = Pause::UntilReady;
        let mut in_turn = self.outlets.iter().cycle();
        while self.wait(&pause) {
            pause = match self.accept_all(&mut in_turn) {
                Some(pause) => pause,
                None => return,
            };
        }
    }

    /// False when it is time to stop.
    fn wait(&self, pause: &Pause) -> bool {
        let stop = PollFd::new(&self.stopped, PollFlags::IN);
        let listener = PollFd::new(&self.listener, PollFlags::IN);
        let (mut both, mut stop_only) = ([stop.clone(), listener], [stop]);
        let (descriptors, timeout) = match pause {
            Pause::UntilReady => (&mut both[..], None),
            Pause::WithoutDescriptors => (&mut stop_only[..], Some(PAUSE_WITHOUT_DESCRIPTORS)),
        };
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).expect("a short pause"));
        match poll(descriptors, timeout.as_ref()) {
            Ok(_) => descriptors.first().is_some_and(|stop| stop.revents().is_empty()),
            Err(error) => {
                assert_eq!(error, Errno::INTR, "two open descriptors can always be waited for");
                true
            }
        }
    }

    /// `None` when the shard thread is gone.
    fn accept_all<'a>(&self, in_turn: &mut impl Iterator<Item = &'a Outlet>) -> Option<Pause> {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    self.metrics.sockets_accepted.increment();
                    let Outlet { sockets, bell } = in_turn.next()?;
                    sockets.send(AcceptedSocket { stream, peer }).ok()?;
                    bell.ring();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(Pause::UntilReady),
                Err(error) => {
                    self.metrics.accept_failures.increment();
                    if Errno::from_io_error(&error).is_some_and(is_want_of_resources) {
                        tracing::warn!(%error, "no socket can be accepted; see `ulimit -n` and the memory of this machine");
                        return Some(Pause::WithoutDescriptors);
                    }
                }
            }
        }
    }
}

/// Other errors belong to the one socket that was to be accepted, and it is gone.
pub(crate) fn is_want_of_resources(error: Errno) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&error)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    fn outlet() -> (Outlet, Receiver<AcceptedSocket>) {
        let (sockets, receiver) = sync_channel(SOCKETS_QUEUED_MAX);
        let (bell, _post) = Doorbell::pair().expect("a socket pair");
        (Outlet { sockets, bell }, receiver)
    }

    #[test]
    fn sockets_arrive_in_turn_and_a_stop_closes_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (outlets, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| outlet()).unzip();
        let metrics = Arc::new(Metrics::default());
        let acceptor = Acceptor::spawn(listener, outlets, metrics.clone()).expect("a thread");
        for receiver in receivers.iter().chain(&receivers) {
            let client = TcpStream::connect(address).expect("it listens");
            let accepted = receiver.recv().expect("the acceptor is there");
            assert_eq!(accepted.peer, client.local_addr().expect("connected"));
        }
        drop(acceptor);
        assert!(TcpStream::connect(address).is_err());
        assert_eq!(metrics.sockets_accepted.value(), 4);
    }
}
