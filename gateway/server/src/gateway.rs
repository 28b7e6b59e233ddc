//! A running gateway: its threads from start to drain.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread::JoinHandle;

use gateway_core::{Shard, TicketKeys};
use gateway_transport::TlsServer;
use protocol::figures::{Figures, Visitor};

use crate::acceptor::Acceptor;
use crate::access_token::TokenVerifier;
use crate::authenticator::Authenticator;
use crate::config::{ConfigError, GatewayConfig};
use crate::doorbell::Doorbell;
use crate::driver::{DriverPick, DriverUnavailable};
use crate::link_port::LinkPort;
use crate::listener;
use crate::metrics::Metrics;
use crate::published::Published;
use crate::renewal::{Renewal, RenewalSlot};
use crate::seat::Seat;
use crate::shard_loop::LoopParts;
use crate::shard_port::ShardPort;
use protocol_shell::{LinkSource, TraceRing};

/// Handle of the threads: one shard, one that checks tokens, and with monoio one that accepts.
pub struct Gateway {
    address: SocketAddr,
    driver: DriverPick,
    metrics: Arc<Metrics>,
    published: Arc<Published>,
    bell: Arc<Doorbell>,
    drain: Arc<AtomicBool>,
    renewals: Arc<RenewalSlot>,
    verifier: Arc<Mutex<TokenVerifier>>,
    /// None where the shard thread accepts for itself.
    acceptor: Option<Acceptor>,
    shard: JoinHandle<io::Result<()>>,
    authenticator: JoinHandle<()>,
}

/// What a gateway lets others see. Cheap to clone.
#[derive(Clone, Default)]
pub struct GatewayView {
    metrics: Arc<Metrics>,
    published: Arc<Published>,
}

impl GatewayView {
    /// Whether sessions can be served: the link to the router is up.
    pub fn is_ready(&self) -> bool {
        self.published.is_ready()
    }

    /// The steps of messages that it keeps.
    pub fn trace(&self) -> &TraceRing {
        &self.published.trace
    }

    /// What the shell counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

/// What the shell counts as of now, what the shard does as of a moment ago.
impl Figures for GatewayView {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.metrics.visit(visitor);
        self.published.visit(visitor);
    }
}

/// Why a gateway does not start.
#[derive(Debug)]
pub enum StartError {
    /// A value of the configuration is out of its range.
    Config(ConfigError),
    /// The driver that was asked for cannot be used here.
    Driver(DriverUnavailable),
    /// Nobody can listen there: the port is taken, the address is not ours, or it is not permitted.
    Listen(SocketAddr, io::Error),
    /// No thread or no socket pair is to be had.
    Resources(io::Error),
}

impl Gateway {
    /// Listens, and starts the threads. A port that is taken is waited for, for 3 s: a former process may be about to give
    /// it up.
    pub fn start(
        config: GatewayConfig,
        tls: TlsServer,
        verifier: TokenVerifier,
        tickets: TicketKeys,
        links: LinkSource,
    ) -> Result<Gateway, StartError> {
        let shard_config = config.shard.clone();
        Gateway::start_with(config, tls, verifier, links, || {
            let mut shard = Shard::new(shard_config);
            shard.handle_ticket_keys(tickets);
            shard
        })
    }

    /// The same with a shard of another kind, which is made on its thread.
    pub fn start_with<S: ShardPort + 'static>(
        config: GatewayConfig,
        tls: TlsServer,
        verifier: TokenVerifier,
        links: LinkSource,
        make_shard: impl FnOnce() -> S + Send + 'static,
    ) -> Result<Gateway, StartError> {
        config.check().map_err(StartError::Config)?;
        let driver = config.driver.pick().map_err(StartError::Driver)?;
        let listen_failed = |error| StartError::Listen(config.listen, error);
        let listener = listener::listen(config.listen).map_err(listen_failed)?;
        let address = listener.local_addr().map_err(listen_failed)?;
        let metrics = Arc::new(Metrics::default());
        let (bell, post) = Doorbell::pair().map_err(StartError::Resources)?;
        let drain = Arc::new(AtomicBool::new(false));
        let (renewals, verifier) = (Arc::new(RenewalSlot::default()), Arc::new(Mutex::new(verifier)));
        let (authenticator, authenticator_thread) =
            Authenticator::spawn(verifier.clone(), bell.clone()).map_err(StartError::Resources)?;

        let link = LinkPort::new(links, Waker::from(bell.clone()));
        let published = Arc::new(Published::new(config.shard.trace));
        let parts =
            LoopParts { config, metrics: metrics.clone(), published: published.clone(), tls, authenticator, link };
        let seat = Seat { listener, bell: bell.clone(), post, drain: drain.clone(), renewals: renewals.clone() };
        let (shard, acceptor) = seat.take(driver.driver, parts, make_shard).map_err(StartError::Resources)?;
        tracing::info!(%address, "{driver}");
        Ok(Gateway {
            address,
            driver,
            metrics,
            published,
            bell,
            drain,
            renewals,
            verifier,
            acceptor,
            shard,
            authenticator: authenticator_thread,
        })
    }

    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which driver moves the bytes, and why that one.
    pub fn driver(&self) -> &DriverPick {
        &self.driver
    }

    /// What it lets others see, also after it has ended.
    pub fn view(&self) -> GatewayView {
        GatewayView { metrics: self.metrics.clone(), published: self.published.clone() }
    }

    /// From now on: the certificate for handshakes that begin, the keys for tokens that are checked, the limits for all.
    /// No connection is dropped. Of `config` the listener, the driver, the timeout of handshakes and the heartbeat are
    /// for good, and not looked at.
    pub fn renew(
        &self,
        config: GatewayConfig,
        tls: TlsServer,
        verifier: TokenVerifier,
        tickets: TicketKeys,
    ) -> Result<(), ConfigError> {
        config.check()?;
        *self.verifier.lock().expect("nothing panics while it holds this lock") = verifier;
        self.renewals.put(Renewal { config, tls, tickets });
        self.bell.ring();
        Ok(())
    }

    /// Whether the shard thread has ended by itself: a fault of ours. [`Self::drain`] then says which.
    pub fn has_failed(&self) -> bool {
        self.shard.is_finished()
    }

    /// Stops accepting, lets the shard say goodbye to everybody, flushes, and ends the threads. Takes at most the drain
    /// timeout of the configuration and a moment.
    pub fn drain(self) -> io::Result<()> {
        let Gateway { bell, drain, acceptor, shard, authenticator, .. } = self;
        drop(acceptor);
        drain.store(true, Ordering::Release);
        bell.ring();
        let result = join(shard);
        join(authenticator);
        result
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Driver(error) => error.fmt(f),
            StartError::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            StartError::Resources(error) => {
                write!(f, "cannot start the threads of the gateway: {error}; see `ulimit -u` and `ulimit -n`")
            }
        }
    }
}

impl std::error::Error for StartError {}
