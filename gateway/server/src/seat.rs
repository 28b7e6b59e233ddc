//! The shard threads at their start: who brings them sockets, how others reach them, and on which core each stays.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::Waker;
use std::thread::{self, JoinHandle};

use gateway_transport::TlsServer;
use protocol_shell::LinkSource;

use crate::acceptor::{AcceptedSocket, Acceptor, Outlet, SOCKETS_QUEUED_MAX};
use crate::authenticator::Authentication;
use crate::config::GatewayConfig;
use crate::cores;
use crate::crossing::Crossings;
use crate::doorbell::{Doorbell, DoorbellPost};
use crate::driver::Driver;
use crate::handshake_turns::HandshakeTurns;
use crate::link_port::LinkPort;
use crate::metrics::Metrics;
use crate::monoio_driver::MonoioThread;
use crate::published::Published;
use crate::renewal::RenewalSlot;
use crate::shard_loop::{LoopParts, ShardLoop};
use crate::shard_port::ShardPort;
use crate::task_wakers::TaskWakers;

/// What all shard threads share.
pub(crate) struct Hall {
    pub(crate) driver: Driver,
    pub(crate) listener: TcpListener,
    pub(crate) config: GatewayConfig,
    pub(crate) tls: TlsServer,
    pub(crate) authentication: Authentication,
    pub(crate) drain: Arc<AtomicBool>,
}

/// What is kept of a shard thread outside of it.
pub(crate) struct Seat {
    thread: JoinHandle<io::Result<()>>,
    bell: Arc<Doorbell>,
    pub(crate) renewals: Arc<RenewalSlot>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) published: Arc<Published>,
}

/// What a shard thread has of its own before it starts.
struct Place {
    number: u16,
    core: Option<usize>,
    bell: Arc<Doorbell>,
    post: DoorbellPost,
    links: LinkSource,
    crossings: Crossings,
}

/// Where a shard thread gets its sockets.
enum Entrance {
    /// It accepts for itself, beside all others with the same listener: the kernel wakes one of them for each socket, in
    /// turn. A listener of its own for each would need SO_REUSEPORT, under which a second server on the port is no error.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no driver there accepts for itself"))]
    Listener(TcpListener),
    /// Another thread accepts.
    Sockets(Receiver<AcceptedSocket>),
}

impl Hall {
    /// Starts a thread for each link, and one that accepts for them where they do not do that themselves. Each shard is
    /// made on its thread, by its number.
    pub(crate) fn open<S: ShardPort + 'static>(
        self,
        links: Vec<LinkSource>,
        make_shard: impl Fn(u16) -> S + Clone + Send + 'static,
    ) -> io::Result<(Vec<Seat>, Option<Acceptor>)> {
        let cores = cores::for_threads(self.config.pin_shards, links.len());
        let doorbells = links.iter().map(|_| Doorbell::pair()).collect::<io::Result<Vec<_>>>()?;
        let crossings = Crossings::between(doorbells.iter().map(|(bell, _)| bell.clone()));
        let (mut seats, mut outlets) = (Vec::new(), Vec::new());
        let places = doorbells.into_iter().zip(crossings).zip(links).zip(cores);
        for (number, ((((bell, post), crossings), links), core)) in (0..).zip(places) {
            let place = Place { number, core, bell, post, links, crossings };
            let make_shard = make_shard.clone();
            match self.seat(place, &mut outlets, move || make_shard(number)) {
                Ok(seat) => seats.push(seat),
                Err(error) => return self.close(seats, error),
            }
        }
        let metrics = seats.first().map(|seat| seat.metrics.clone()).unwrap_or_default();
        if outlets.is_empty() {
            return Ok((seats, None));
        }
        match self.listener.try_clone().and_then(|listener| Acceptor::spawn(listener, outlets, metrics)) {
            Ok(acceptor) => Ok((seats, Some(acceptor))),
            Err(error) => self.close(seats, error),
        }
    }

    /// Those that have begun must not go on alone.
    fn close<T>(self, seats: Vec<Seat>, error: io::Error) -> io::Result<T> {
        self.drain.store(true, Ordering::Release);
        seats.iter().for_each(|seat| seat.bell.ring());
        seats.into_iter().try_for_each(Seat::join).and(Err(error))
    }

    fn seat<S: ShardPort + 'static>(
        &self,
        place: Place,
        outlets: &mut Vec<Outlet>,
        make_shard: impl FnOnce() -> S + Send + 'static,
    ) -> io::Result<Seat> {
        let Place { number, core, bell, post, links, crossings } = place;
        let entrance = match self.driver {
            Driver::Uring => Entrance::Listener(self.listener.try_clone()?),
            Driver::MonoioUring | Driver::MonoioReadiness => {
                let (sockets, receiver) = sync_channel(SOCKETS_QUEUED_MAX);
                outlets.push(Outlet { sockets, bell: bell.clone() });
                Entrance::Sockets(receiver)
            }
        };
        let (renewals, metrics) = (Arc::new(RenewalSlot::default()), Arc::new(Metrics::default()));
        let published = Arc::new(Published::new(self.config.shard.trace));
        let parts = LoopParts {
            config: self.config.clone(),
            metrics: metrics.clone(),
            published: published.clone(),
            tls: self.tls.clone(),
            authenticator: self.authentication.end(bell.clone()),
            link: LinkPort::new(links, Waker::from(bell.clone())),
            crossings,
        };
        let (driver, drain, thread_renewals) = (self.driver, self.drain.clone(), renewals.clone());
        let thread = thread::Builder::new().name(format!("shard {number}")).spawn(move || {
            if let Some(core) = core
                && let Err(error) = cores::stay_on(core)
            {
                tracing::warn!(shard = number, core, %error, "a shard thread does not stay on its core");
            }
            serve(driver, entrance, (post, drain, thread_renewals), parts, make_shard)
        })?;
        Ok(Seat { thread, bell, renewals, metrics, published })
    }
}

impl Seat {
    /// Has the thread look at what was left for it.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    /// Whether the thread has ended.
    pub(crate) fn is_left(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the thread, and says how it was.
    pub(crate) fn join(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// On the shard thread, until it has been drained.
fn serve<S: ShardPort + 'static>(
    driver: Driver,
    entrance: Entrance,
    (post, drain, renewals): (DoorbellPost, Arc<AtomicBool>, Arc<RenewalSlot>),
    parts: LoopParts,
    make_shard: impl FnOnce() -> S,
) -> io::Result<()> {
    let handshakes_per_turn_max = parts.config.handshakes_per_turn_max;
    match entrance {
        #[cfg(target_os = "linux")]
        Entrance::Listener(listener) => {
            use crate::uring_driver::{Touched, UringThread};
            let (connections_max, metrics) = (parts.config.shard.connections_max, parts.metrics.clone());
            let thread =
                UringThread { listener, connections_max, handshakes_per_turn_max, post, drain, renewals, metrics };
            thread.run(ShardLoop::new(make_shard(), Touched::default(), parts))
        }
        #[cfg(not(target_os = "linux"))]
        Entrance::Listener(_) => unreachable!("no driver there accepts for itself"),
        Entrance::Sockets(sockets) => {
            let thread = MonoioThread { driver, sockets, post, drain, renewals };
            let wakers = TaskWakers::new(HandshakeTurns::new(handshakes_per_turn_max));
            thread.run(ShardLoop::new(make_shard(), wakers, parts))
        }
    }
}
