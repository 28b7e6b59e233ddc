//! The turns of one shard thread: what the sockets, the clocks and the other threads report goes to the shard, what the
//! shard wants goes to the sockets.
//!
//! No I/O here: the tasks of a driver call it and are woken by it. Every call is one turn: it reads the clock after
//! what it reports has happened, and ends with nothing left to poll from the shard.
//!
//! Invariants: the shard hears of the end of each connection exactly once; a connection that is closing is not told to
//! the shard any more, except for its end; its entry lives until both of its tasks have ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::Waker;

use gateway_core::{CloseCause, ConnectionId, Peer, Refusal};
use gateway_transport::TlsServer;
use protocol::time::Instant;

use crate::authenticator::Authenticator;
use crate::config::GatewayConfig;
use crate::connection::{Connection, ReceiveError};
use crate::link_port::LinkPort;
use crate::metrics::{LoopFigures, Metrics};
use crate::published::Published;
use crate::renewal::Renewal;
use crate::shard_port::ShardPort;
use crate::spare_buffers::SpareBuffers;
use crate::wiretap;
use protocol_shell::clock;

mod poll;
mod turn;

pub(crate) use poll::{ReadTurn, Task};
use turn::code_of;

/// See the file's head.
pub(crate) struct ShardLoop<S> {
    shard: S,
    config: GatewayConfig,
    metrics: Arc<Metrics>,
    figures: LoopFigures,
    published: Arc<Published>,
    tls: TlsServer,
    authenticator: Authenticator,
    link: LinkPort,
    entries: HashMap<ConnectionId, Entry>,
    /// Connections of which a frame has begun and not ended.
    torn: HashSet<ConnectionId>,
    torn_bytes: usize,
    closing: HashSet<ConnectionId>,
    /// Buffers of sends that are done, for the next ones.
    spare_buffers: SpareBuffers,
    timer: Timer,
    departure: Departure,
    drain_deadline: Option<Instant>,
    waiting_for_end: Option<Waker>,
}

#[derive(Default)]
struct Timer {
    armed_for: Instant,
    waiting: Option<Waker>,
}

/// Of batches to the router.
#[derive(Default)]
struct Departure {
    is_due: bool,
    waiting: Option<Waker>,
}

struct Entry {
    connection: Connection,
    phase: Phase,
    /// Since when it is open and not held.
    read_since: Instant,
    bytes_held: usize,
    is_reading: bool,
    is_writing: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What was queued is being flushed; what arrives is thrown away.
    Closing {
        deadline: Instant,
        cause: CloseCause,
    },
    /// Both tasks end at once.
    Aborted {
        cause: CloseCause,
    },
}

impl Entry {
    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl<S: ShardPort> ShardLoop<S> {
    pub(crate) fn new(
        shard: S,
        config: GatewayConfig,
        metrics: Arc<Metrics>,
        published: Arc<Published>,
        tls: TlsServer,
        authenticator: Authenticator,
        link: LinkPort,
    ) -> ShardLoop<S> {
        ShardLoop {
            shard,
            config,
            metrics,
            figures: LoopFigures::default(),
            published,
            tls,
            authenticator,
            link,
            entries: HashMap::new(),
            torn: HashSet::new(),
            torn_bytes: 0,
            closing: HashSet::new(),
            spare_buffers: SpareBuffers::default(),
            timer: Timer::default(),
            departure: Departure::default(),
            drain_deadline: None,
            waiting_for_end: None,
        }
    }

    /// Before anything else.
    pub(crate) fn start(&mut self) {
        let now = clock::now();
        self.link.connect(now, &mut self.shard);
        self.end_turn(now);
    }

    /// A socket was accepted. Its reader and its writer are to be started; each must call [`Self::task_ended`].
    pub(crate) fn opened(&mut self, peer: Peer) -> Result<ConnectionId, Refusal> {
        let now = clock::now();
        let key = self.shard.handle_open(now, peer).inspect_err(|_| self.metrics.sockets_refused.increment())?;
        let entry = Entry {
            connection: Connection::new(self.tls.accept()),
            phase: Phase::Open,
            read_since: now.monotonic,
            bytes_held: 0,
            is_reading: true,
            is_writing: true,
            reader: None,
            writer: None,
        };
        let previous = self.entries.insert(key, entry);
        assert!(previous.is_none(), "the shard gave a key that is in use");
        self.end_turn(now);
        Ok(key)
    }

    /// A socket was accepted and is of no use.
    pub(crate) fn refused(&self) {
        self.metrics.sockets_refused.increment();
    }

    /// Bytes came from the socket. They are decrypted where they are.
    pub(crate) fn received(&mut self, key: ConnectionId, incoming: &mut [u8]) {
        let now = clock::now();
        self.metrics.received_bytes.add(incoming.len() as u64);
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.is_open()) else { return };
        let was_established = entry.connection.is_established();
        let shard = &mut self.shard;
        let result = entry.connection.receive(now.monotonic, incoming, |frame| {
            wiretap::received(key, frame);
            shard.handle_frame(now, key, frame)
        });
        if !was_established && entry.connection.is_established() {
            self.metrics.handshakes_completed.increment();
            self.figures.handshake_seconds.observe(now.monotonic.since(entry.read_since));
        }
        if entry.connection.has_outgoing() {
            entry.writer.take().inspect(Waker::wake_by_ref);
        }
        let peer_has_closed = entry.connection.peer_has_closed();
        self.account(now, key);
        match result {
            Err(ReceiveError::Tls(error)) => self.tls_failed(now, key, error),
            Err(ReceiveError::Frame(error)) => self.shard.handle_violation(now, key, code_of(error)),
            Ok(()) if peer_has_closed => self.close(now, key, CloseCause::ByPeer),
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

    /// A batch of [`Self::poll_outgoing`] is in the socket's buffer.
    pub(crate) fn sent(&mut self, key: ConnectionId, frame_bytes: u32, bytes: Vec<u8>) {
        let now = clock::now();
        self.metrics.sends.increment();
        self.metrics.sent_bytes.add(bytes.len() as u64);
        self.figures.send_bytes.add(bytes.len() as u64);
        self.spare_buffers.give_back(bytes);
        if frame_bytes > 0 && self.entries.get(&key).is_some_and(Entry::is_open) {
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

    /// The reader or the writer is gone.
    pub(crate) fn task_ended(&mut self, key: ConnectionId, task: Task) {
        let now = clock::now();
        let entry = self.entries.get_mut(&key).expect("an entry lives as long as its tasks");
        match task {
            Task::Reader => entry.is_reading = false,
            Task::Writer => entry.is_writing = false,
        }
        if !entry.is_reading && !entry.is_writing {
            let entry = self.entries.remove(&key).expect("it was there a line ago");
            self.torn_bytes -= entry.bytes_held;
            self.torn.remove(&key);
            self.closing.remove(&key);
            self.metrics.sockets_closed.increment();
            let cause = match entry.phase {
                Phase::Open => CloseCause::Lost,
                Phase::Closing { cause, .. } | Phase::Aborted { cause } => cause,
            };
            self.shard.handle_closed(now, key, cause);
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

    /// Says goodbye to everybody; [`Self::poll_end`] is ready when they are gone.
    pub(crate) fn drain(&mut self) {
        let now = clock::now();
        if self.drain_deadline.is_none() {
            self.drain_deadline = Some(now.monotonic + self.config.drain_timeout);
            self.shard.handle_drain(now, self.config.shard.reconnect_window);
        }
        self.end_turn(now);
    }

    /// The timer that [`Self::arm_timer`] has set went off.
    pub(crate) fn timeout(&mut self) {
        let now = clock::now();
        if self.shard.poll_timeout().is_some_and(|deadline| deadline <= now.monotonic) {
            self.shard.handle_timeout(now);
        }
        self.link.connect(now, &mut self.shard);
        self.sweep_torn(now);
        self.sweep_closing(now);
        self.publish();
        if self.drain_deadline.is_some_and(|deadline| deadline <= now.monotonic) {
            let left: Vec<_> = self.entries.keys().copied().collect();
            left.into_iter().for_each(|key| self.abort(key, CloseCause::ByShard));
        }
        self.end_turn(now);
    }
}
