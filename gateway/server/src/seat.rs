//! Where a shard thread sits: who brings it sockets, and how others reach it.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};

use crate::acceptor::{Acceptor, SOCKETS_QUEUED_MAX};
use crate::doorbell::{Doorbell, DoorbellPost};
use crate::driver::Driver;
use crate::monoio_driver::MonoioThread;
use crate::renewal::RenewalSlot;
use crate::shard_loop::{LoopParts, ShardLoop};
use crate::shard_port::ShardPort;
use crate::task_wakers::TaskWakers;

/// The thread that serves, and the one that accepts for it, if it does not do that itself.
type Threads = (JoinHandle<io::Result<()>>, Option<Acceptor>);

/// See the file's head.
pub(crate) struct Seat {
    pub(crate) listener: TcpListener,
    pub(crate) bell: Arc<Doorbell>,
    pub(crate) post: DoorbellPost,
    pub(crate) drain: Arc<AtomicBool>,
    pub(crate) renewals: Arc<RenewalSlot>,
}

impl Seat {
    /// Starts the thread; the shard is made on it.
    pub(crate) fn take<S: ShardPort + 'static>(
        self,
        driver: Driver,
        parts: LoopParts,
        make_shard: impl FnOnce() -> S + Send + 'static,
    ) -> io::Result<Threads> {
        match driver {
            #[cfg(target_os = "linux")]
            Driver::Uring => Ok((self.take_with_rings(parts, make_shard)?, None)),
            #[cfg(not(target_os = "linux"))]
            Driver::Uring => unreachable!("never picked here"),
            Driver::MonoioUring | Driver::MonoioReadiness => self.take_with_monoio(driver, parts, make_shard),
        }
    }

    #[cfg(target_os = "linux")]
    fn take_with_rings<S: ShardPort + 'static>(
        self,
        parts: LoopParts,
        make_shard: impl FnOnce() -> S + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<()>>> {
        use crate::uring_driver::{Touched, UringThread};
        let Seat { listener, bell: _, post, drain, renewals } = self;
        let (connections_max, metrics) = (parts.config.shard.connections_max, parts.metrics.clone());
        let thread = UringThread { listener, connections_max, post, drain, renewals, metrics };
        spawn(move || thread.run(ShardLoop::new(make_shard(), Touched::default(), parts)))
    }

    fn take_with_monoio<S: ShardPort + 'static>(
        self,
        driver: Driver,
        parts: LoopParts,
        make_shard: impl FnOnce() -> S + Send + 'static,
    ) -> io::Result<Threads> {
        let Seat { listener, bell, post, drain, renewals } = self;
        let (sender, sockets) = sync_channel(SOCKETS_QUEUED_MAX);
        let (thread, metrics) = (MonoioThread { driver, sockets, post, drain, renewals }, parts.metrics.clone());
        let shard = spawn(move || thread.run(ShardLoop::new(make_shard(), TaskWakers::default(), parts)))?;
        Ok((shard, Some(Acceptor::spawn(listener, sender, bell, metrics)?)))
    }
}

fn spawn(serve: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<JoinHandle<io::Result<()>>> {
    thread::Builder::new().name("shard 0".to_owned()).spawn(serve)
}
