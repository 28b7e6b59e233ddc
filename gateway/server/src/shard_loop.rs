//! The turns of one shard thread: what the sockets, the clocks and the other threads report goes to the shard, what the
//! shard wants goes to the sockets.
//!
//! No I/O here: a driver calls it, and is told through its [`Attention`] which connections have something new for it.
//! Every call is one turn: it reads the clock after what it reports has happened, and ends with nothing left to poll from
//! the shard.
//!
//! Invariants: the shard hears of the end of each connection exactly once; a connection that is closing is not told to
//! the shard any more, except for its end; its entry lives until the driver has ended both its sides.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{CloseCause, ConnectionId, Peer, Refusal};
use gateway_transport::TlsServer;
use protocol::time::Instant;

use crate::authenticator::Authenticator;
use crate::config::GatewayConfig;
use crate::connection::{Connection, ReceiveError};
use crate::crossing::Crossings;
use crate::link_port::LinkPort;
use crate::metrics::{LoopFigures, Metrics};
use crate::published::Published;
use crate::renewal::Renewal;
use crate::shard_port::ShardPort;
use crate::spare_buffers::SpareBuffers;
use crate::wiretap;
use protocol_shell::clock;

mod attention;
mod entries;
mod moving;
mod torn;
mod turn;

pub(crate) use attention::Attention;
use entries::Entries;
use moving::Leaving;
use torn::Torn;
use turn::code_of;

/// The deadlines of frames, closes and drains are looked at this often, so they may be this late. It also bounds how
/// long a step of the clock, a machine that slept, goes unnoticed.
const TICK: Duration = Duration::from_millis(250);

/// A turn that takes so long is told of.
const STALL: Duration = Duration::from_millis(100);
/// In a storm nearly every turn does.
const STALL_TOLD_EVERY: Duration = Duration::from_secs(10);

/// See the file's head.
pub(crate) struct ShardLoop<S, A> {
    shard: S,
    attention: A,
    config: GatewayConfig,
    metrics: Arc<Metrics>,
    figures: LoopFigures,
    published: Arc<Published>,
    tls: TlsServer,
    authenticator: Authenticator,
    link: LinkPort,
    entries: Entries,
    torn: Torn,
    /// Those that are flushed and closed, and until when.
    closing: HashMap<ConnectionId, Instant>,
    /// Those that go to another shard.
    leaving: HashMap<ConnectionId, Leaving>,
    crossings: Crossings,
    /// Buffers of sends that are done, for the next ones.
    spare_buffers: SpareBuffers,
    drain_deadline: Option<Instant>,
    stall_told_at: Instant,
}

/// What a loop is made of besides its shard.
pub(crate) struct LoopParts {
    pub(crate) config: GatewayConfig,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) published: Arc<Published>,
    pub(crate) tls: TlsServer,
    pub(crate) authenticator: Authenticator,
    pub(crate) link: LinkPort,
    pub(crate) crossings: Crossings,
}

/// Of a connection. With what the shard and the rings keep it is what an idle one costs.
struct Entry {
    connection: Connection,
    /// Which socket of the driver; 0 where that goes by the connection's own name.
    place: u64,
    /// Of its name.
    generation: u32,
    phase: Phase,
    is_reading: bool,
    is_writing: bool,
}

// A byte here is a megabyte at a million connections. 160 are TLS; the buffers of those that send or have begun to say
// something are not in it.
const _: () = assert!(size_of::<Option<Entry>>() <= 200);

/// What a driver does next for the reading side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadTurn {
    /// Read, and report it.
    Read,
    /// Leave what comes where it is.
    Wait,
    /// It goes to another shard: take the socket out, once what is being sent is sent, and report
    /// [`ShardLoop::detached`].
    Leave,
    /// The connection is over.
    Stop,
}

/// What a driver does next for the writing side of a connection.
#[derive(Debug)]
pub(crate) enum WriteTurn {
    /// Send this, and report it.
    Write(Vec<u8>),
    /// Nothing is there to send.
    Wait,
    /// Likewise: the reading side has ended, and nothing is under way.
    Leave,
    /// Nothing follows.
    Stop,
}

/// The two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What comes.
    Reading,
    /// What leaves.
    Writing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The socket is being taken out, to go to another shard; what was queued goes along.
    Leaving,
    /// What was queued is being flushed; what arrives is thrown away.
    Closing {
        cause: CloseCause,
    },
    /// Both tasks end at once.
    Aborted {
        cause: CloseCause,
    },
}

impl Phase {
    /// Why a connection of this phase is over.
    fn cause(self) -> CloseCause {
        match self {
            Phase::Open | Phase::Leaving => CloseCause::Lost,
            Phase::Closing { cause } | Phase::Aborted { cause } => cause,
        }
    }
}

impl Entry {
    fn new(key: ConnectionId, connection: Connection, place: u64) -> Entry {
        let generation = key.generation;
        Entry { connection, place, generation, phase: Phase::Open, is_reading: true, is_writing: true }
    }

    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }
}

impl<S: ShardPort, A: Attention> ShardLoop<S, A> {
    pub(crate) fn new(shard: S, attention: A, parts: LoopParts) -> ShardLoop<S, A> {
        let LoopParts { config, metrics, published, tls, authenticator, link, crossings } = parts;
        ShardLoop {
            shard,
            attention,
            config,
            metrics,
            figures: LoopFigures::default(),
            published,
            tls,
            authenticator,
            link,
            entries: Entries::default(),
            torn: Torn::default(),
            closing: HashMap::new(),
            leaving: HashMap::new(),
            crossings,
            spare_buffers: SpareBuffers::default(),
            drain_deadline: None,
            stall_told_at: Instant::default(),
        }
    }

    /// Before anything else.
    pub(crate) fn start(&mut self) {
        let now = clock::now();
        self.link.connect(now, &mut self.shard);
        self.end_turn(now);
    }

    /// A socket was accepted, which the driver finds at `place`. Both its sides begin; for each the driver must call
    /// [`Self::side_ended`].
    pub(crate) fn opened(&mut self, peer: Peer, place: u64) -> Result<ConnectionId, Refusal> {
        let now = clock::now();
        let key = self.shard.handle_open(now, peer).inspect_err(|_| self.metrics.sockets_refused.increment())?;
        let connection = Connection::new(self.tls.accept(), now.monotonic);
        self.insert_entry(key, Entry::new(key, connection, place));
        self.end_turn(now);
        Ok(key)
    }

    fn insert_entry(&mut self, key: ConnectionId, entry: Entry) {
        let previous = self.entries.insert(key, entry);
        assert!(previous.is_none(), "the shard gave a key that is in use");
    }

    /// With what it left with, where it was leaving.
    fn remove_entry(&mut self, key: ConnectionId) -> (Entry, Option<Leaving>) {
        let entry = self.entries.remove(&key).expect("an entry lives as long as its sides");
        self.torn.forget(key);
        self.closing.remove(&key);
        (entry, self.leaving.remove(&key))
    }

    /// A socket was accepted and is of no use.
    pub(crate) fn refused(&self) {
        self.metrics.sockets_refused.increment();
    }

    /// Bytes came from the socket. They are decrypted where they are.
    pub(crate) fn received(&mut self, key: ConnectionId, incoming: &mut [u8]) {
        let now = clock::now();
        self.metrics.received_bytes.add(incoming.len() as u64);
        // Of one that leaves it is kept: it is held.
        let is_heard = |entry: &&mut Entry| matches!(entry.phase, Phase::Open | Phase::Leaving);
        let Some(entry) = self.entries.get_mut(&key).filter(is_heard) else { return };
        let handshake_since = entry.connection.handshake_since();
        let shard = &mut self.shard;
        let result = entry.connection.receive(now.monotonic, incoming, |frame| {
            wiretap::received(key, frame);
            shard.handle_frame(now, key, frame)
        });
        if let Some(since) = handshake_since.filter(|_| entry.connection.is_established()) {
            self.metrics.handshakes_completed.increment();
            self.figures.handshake_seconds.observe(now.monotonic.since(since));
        }
        if entry.connection.has_outgoing() {
            self.attention.to_write(key);
        }
        let peer_has_closed = entry.connection.peer_has_closed();
        self.account(now, key);
        match result {
            Err(ReceiveError::Tls(error)) => self.tls_failed(now, key, error),
            Err(ReceiveError::Frame(error)) => self.shard.handle_violation(now, key, code_of(error)),
            Ok(()) if peer_has_closed => {
                // What it said before its goodbye is answered.
                self.act_all(now);
                self.close(now, key, CloseCause::ByPeer);
            }
            Ok(()) => {}
        }
        self.end_turn(now);
    }

    /// The peer's side of the socket has ended, in order or not.
    pub(crate) fn read_ended(&mut self, key: ConnectionId) {
        let now = clock::now();
        if self.entries.get(&key).is_some_and(Entry::is_open) {
            self.metrics.truncated.increment();
            self.close(now, key, CloseCause::Lost);
        }
        self.end_turn(now);
    }

    /// What [`Self::write_turn`] gave is in the socket's buffer.
    pub(crate) fn sent(&mut self, key: ConnectionId, bytes: Vec<u8>) {
        let now = clock::now();
        self.metrics.sends.increment();
        self.metrics.sent_bytes.add(bytes.len() as u64);
        self.figures.send_bytes.add(bytes.len() as u64);
        self.spare_buffers.give_back(bytes);
        let entry = self.entry_of_driver(key);
        let frame_bytes = entry.connection.sent();
        if frame_bytes > 0 && entry.is_open() {
            self.shard.handle_sent(now, key, frame_bytes);
        }
        self.end_turn(now);
    }

    /// Nothing can be written any more.
    pub(crate) fn write_failed(&mut self, key: ConnectionId) {
        let now = clock::now();
        self.abort(key, CloseCause::Lost);
        self.end_turn(now);
    }

    /// The driver does nothing more on this side.
    pub(crate) fn side_ended(&mut self, key: ConnectionId, side: Side) {
        let now = clock::now();
        let entry = self.entry_of_driver(key);
        match side {
            Side::Reading => entry.is_reading = false,
            Side::Writing => entry.is_writing = false,
        }
        if !entry.is_reading && !entry.is_writing {
            let (entry, _) = self.remove_entry(key);
            self.metrics.sockets_closed.increment();
            self.shard.handle_closed(now, key, entry.phase.cause());
        } else if entry.phase == Phase::Leaving {
            self.attention.to_write(key);
        }
        self.end_turn(now);
    }

    /// Another thread has rung: verdicts, links, batches of the link.
    pub(crate) fn rung(&mut self) {
        let now = clock::now();
        while let Some(verdict) = self.authenticator.next_verdict() {
            self.authenticated(now, verdict);
        }
        self.link.connect(now, &mut self.shard);
        self.link.receive(now, &mut self.shard);
        self.end_turn(now);
    }

    /// The limits for everybody, the certificate for who comes from now on.
    pub(crate) fn renew(&mut self, renewal: Renewal) {
        let now = clock::now();
        let Renewal { config, tls, tickets } = renewal;
        self.shard.handle_limits(config.shard.clone());
        self.shard.handle_ticket_keys(tickets);
        self.config = config;
        self.tls = tls;
        self.end_turn(now);
    }

    /// Says goodbye to everybody; [`Self::is_drained`] when they are gone.
    pub(crate) fn drain(&mut self) {
        let now = clock::now();
        if self.drain_deadline.is_none() {
            self.drain_deadline = Some(now.monotonic + self.config.drain_timeout);
            self.shard.handle_drain(now, self.config.shard.reconnect_window);
        }
        self.end_turn(now);
    }

    /// It is time: [`Self::next_timeout`].
    pub(crate) fn timeout(&mut self) {
        let now = clock::now();
        if self.shard.poll_timeout().is_some_and(|deadline| deadline <= now.monotonic) {
            self.shard.handle_timeout(now);
        }
        self.link.connect(now, &mut self.shard);
        self.sweep_torn(now);
        self.sweep_closing(now);
        self.sweep_leaving(now);
        self.publish();
        if self.drain_deadline.is_some_and(|deadline| deadline <= now.monotonic) {
            let left: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
            left.into_iter().for_each(|key| self.abort(key, CloseCause::ByShard));
        }
        self.end_turn(now);
    }

    /// A turn of the driver took so long, waiting not counted, and left so many waiting for theirs.
    pub(crate) fn turned(&mut self, took: Duration, handshakes_waiting: usize) {
        self.figures.turn_seconds.observe(took);
        self.figures.handshakes_waiting = handshakes_waiting as u64;
        if took >= STALL {
            self.figures.stalls += 1;
            let now = clock::now().monotonic;
            if now.since(self.stall_told_at) >= STALL_TOLD_EVERY {
                self.stall_told_at = now;
                tracing::warn!(milliseconds = took.as_millis(), "a turn took long; everybody waited for it");
            }
        }
    }

    /// When [`Self::timeout`] is due.
    pub(crate) fn next_timeout(&self, now: Instant) -> Instant {
        let tick = now + TICK;
        self.shard.poll_timeout().map_or(tick, |deadline| deadline.min(tick))
    }

    /// Whether its TLS handshake is done.
    pub(crate) fn is_established(&self, key: ConnectionId) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.connection.is_established())
    }

    /// Whether and how the driver goes on with the reading side.
    pub(crate) fn read_turn(&mut self, key: ConnectionId) -> ReadTurn {
        let entry = self.entry_of_driver(key);
        match entry.phase {
            Phase::Aborted { .. } => ReadTurn::Stop,
            Phase::Leaving => ReadTurn::Leave,
            Phase::Open if entry.connection.is_held() => ReadTurn::Wait,
            Phase::Open | Phase::Closing { .. } => ReadTurn::Read,
        }
    }

    /// Whether and how the driver goes on with the writing side, when it has nothing under way.
    pub(crate) fn write_turn(&mut self, key: ConnectionId) -> WriteTurn {
        let entry = self.entries.get_mut(&key).expect("an entry lives as long as its sides");
        match entry.phase {
            Phase::Aborted { .. } => return WriteTurn::Stop,
            Phase::Leaving if entry.is_reading => return WriteTurn::Wait,
            Phase::Leaving => return WriteTurn::Leave,
            Phase::Open | Phase::Closing { .. } => {}
        }
        match entry.connection.take_outgoing() {
            Some(outgoing) => WriteTurn::Write(self.spare_buffers.unpack(outgoing)),
            None if entry.is_open() => WriteTurn::Wait,
            None => WriteTurn::Stop,
        }
    }

    /// Whether everything under way on it is to be given up.
    pub(crate) fn is_aborted(&mut self, key: ConnectionId) -> bool {
        matches!(self.entry_of_driver(key).phase, Phase::Aborted { .. })
    }

    /// Where the driver finds its socket. `None`: it is gone.
    pub(crate) fn place(&self, key: ConnectionId) -> Option<u64> {
        self.entries.get(&key).map(|entry| entry.place)
    }

    pub(crate) fn attention(&mut self) -> &mut A {
        &mut self.attention
    }

    fn entry_of_driver(&mut self, key: ConnectionId) -> &mut Entry {
        self.entries.get_mut(&key).expect("an entry lives as long as its sides")
    }
}
