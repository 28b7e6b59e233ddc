//! A running gateway: its threads from start to drain.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gateway_core::{Shard, ShardConfig, TicketKeys};
use gateway_transport::TlsServer;
use protocol::figures::{Figures, Visitor};
use protocol::ids::ClientMsgId;
use protocol::trace::TraceConfig;

use crate::acceptor::Acceptor;
use crate::access_token::TokenVerifier;
use crate::authenticator::Authentication;
use crate::config::{ConfigError, GatewayConfig};
use crate::driver::{DriverPick, DriverUnavailable};
use crate::listener;
use crate::metrics::Metrics;
use crate::published::{Published, ShardFigures};
use crate::renewal::Renewal;
use crate::seat::{Hall, Seat};
use crate::shard_port::ShardPort;
use protocol_shell::{LinkSource, TraceFound, clock};

/// Handle of the threads: the shards, one that checks tokens, and with monoio one that accepts.
pub struct Gateway {
    address: SocketAddr,
    driver: DriverPick,
    view: GatewayView,
    drain: Arc<AtomicBool>,
    verifier: Arc<Mutex<TokenVerifier>>,
    /// None where the shard threads accept for themselves.
    acceptor: Option<Acceptor>,
    seats: Vec<Seat>,
    authenticator: JoinHandle<()>,
}

/// What a gateway lets others see. Cheap to clone.
#[derive(Clone, Default)]
pub struct GatewayView {
    trace: TraceConfig,
    shards: Arc<[ShardView]>,
}

#[derive(Clone)]
struct ShardView {
    metrics: Arc<Metrics>,
    published: Arc<Published>,
}

impl GatewayView {
    /// Whether sessions can be served: the links of all shards to the router are up.
    pub fn is_ready(&self) -> bool {
        self.shards.iter().all(|shard| shard.published.is_ready())
    }

    /// Which messages leave a trace.
    pub fn trace_config(&self) -> &TraceConfig {
        &self.trace
    }

    /// Everything that the shards keep of a message.
    pub fn find_trace(&self, id: ClientMsgId) -> TraceFound {
        let mut found = TraceFound::default();
        let now = clock::now().monotonic;
        self.shards.iter().for_each(|shard| found.merge(shard.published.trace.find(now, id)));
        found
    }

    /// What the shell counts, of all shards together.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        self.shards.iter().for_each(|shard| metrics.merge(&shard.metrics));
        metrics
    }

    fn figures(&self) -> ShardFigures {
        let mut of_shards = self.shards.iter().map(|shard| shard.published.figures());
        let mut figures = of_shards.next().unwrap_or_default();
        of_shards.for_each(|other| figures.merge(&other));
        figures
    }
}

/// What the shell counts as of now, what the shards do as of a moment ago; of all shards together.
impl Figures for GatewayView {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.metrics().visit(visitor);
        self.figures().visit(visitor);
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
    /// Listens, and starts the threads: a shard for each link. A port that is taken is waited for some time: a former
    /// process may be about to give it up.
    pub fn start(
        config: GatewayConfig,
        tls: TlsServer,
        verifier: TokenVerifier,
        tickets: TicketKeys,
        links: Vec<LinkSource>,
    ) -> Result<Gateway, StartError> {
        let shards_count = u16::try_from(links.len()).expect("as many as the configuration lets there be");
        let shard_config = ShardConfig { shards_count, ..config.shard.clone() };
        Gateway::start_with(config, tls, verifier, links, move |shard_index| {
            let mut shard = Shard::new(ShardConfig { shard_index, ..shard_config.clone() });
            shard.handle_ticket_keys(tickets.clone());
            shard
        })
    }

    /// The same with shards of another kind, each of which is made on its thread by its number.
    pub fn start_with<S: ShardPort + 'static>(
        config: GatewayConfig,
        tls: TlsServer,
        verifier: TokenVerifier,
        links: Vec<LinkSource>,
        make_shard: impl Fn(u16) -> S + Clone + Send + 'static,
    ) -> Result<Gateway, StartError> {
        config.check().map_err(StartError::Config)?;
        let driver = config.driver.pick(links.len() > 1).map_err(StartError::Driver)?;
        let listen_failed = |error| StartError::Listen(config.listen, error);
        let listener = listener::listen(config.listen).map_err(listen_failed)?;
        let address = listener.local_addr().map_err(listen_failed)?;

        let drain = Arc::new(AtomicBool::new(false));
        let verifier = Arc::new(Mutex::new(verifier));
        let (authentication, authenticator) = Authentication::spawn(verifier.clone()).map_err(StartError::Resources)?;
        let trace = config.shard.trace;
        let hall = Hall { driver: driver.driver, listener, config, tls, authentication, drain: drain.clone() };
        let (seats, acceptor) = hall.open(links, make_shard).map_err(StartError::Resources)?;
        let view_of = |seat: &Seat| ShardView { metrics: seat.metrics.clone(), published: seat.published.clone() };
        let view = GatewayView { trace, shards: seats.iter().map(view_of).collect() };
        tracing::info!(%address, shards = seats.len(), "{driver}");
        Ok(Gateway { address, driver, view, drain, verifier, acceptor, seats, authenticator })
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
        self.view.clone()
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
        let renewal = Renewal { config, tls, tickets };
        for seat in &self.seats {
            seat.renewals.put(renewal.clone());
            seat.ring();
        }
        Ok(())
    }

    /// Whether a shard thread has ended by itself: a fault of ours. [`Self::drain`] then says which.
    pub fn has_failed(&self) -> bool {
        self.seats.iter().any(Seat::is_left)
    }

    /// Stops accepting, lets the shards say goodbye to everybody, flushes, and ends the threads. Takes at most the drain
    /// timeout of the configuration and a moment.
    pub fn drain(self) -> io::Result<()> {
        let Gateway { drain, acceptor, seats, authenticator, .. } = self;
        drop(acceptor);
        drain.store(true, Ordering::Release);
        seats.iter().for_each(Seat::ring);
        let ends: Vec<_> = seats.into_iter().map(Seat::join).collect();
        authenticator.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ends.into_iter().collect()
    }
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
