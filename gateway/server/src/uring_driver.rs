//! The driver for many sockets: a shard thread on rings of its own. Linux.
//!
//! A turn takes in what the kernel has ended, tells the shard loop, lets what the loop wants begin, and sends the router
//! what came of it. So what came together leaves together: one send a connection, one batch a turn. Of handshakes a turn has
//! a few only, since one takes as long as dozens of frames: who has shaken hands does not wait for those who come.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gateway_core::{ConnectionId, Peer};
use gateway_ring::{Errno, Event, KernelRings, RingsConfig, SocketId, Sockets};
use protocol::link::ConnectionKey;
use protocol::time::Instant;
use protocol_shell::clock;

use crate::acceptor::{PAUSE_WITHOUT_DESCRIPTORS, is_want_of_resources};
use crate::crossing::{Luggage, Migrant};
use crate::doorbell::{DoorbellPost, DoorbellWatch};
use crate::metrics::Metrics;
use crate::renewal::RenewalSlot;
use crate::shard_loop::{Attention, ReadTurn, ShardLoop, Side, WriteTurn};
use crate::shard_port::ShardPort;

/// Turns begin at least so far apart, so what comes meanwhile shares a system call, a batch for the router and a wake-up.
/// Whoever comes after a pause waits for nothing.
const TURN_INTERVAL_MIN: Duration = Duration::from_micros(250);

/// What the thread listens to.
pub(crate) struct UringThread {
    pub(crate) listener: TcpListener,
    /// Connections that the shard takes at most.
    pub(crate) connections_max: u32,
    /// Steps of TLS handshakes in a turn at most.
    pub(crate) handshakes_per_turn_max: u32,
    pub(crate) post: DoorbellPost,
    pub(crate) drain: Arc<AtomicBool>,
    pub(crate) renewals: Arc<RenewalSlot>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What the shard loop has asked for in this turn.
#[derive(Default)]
pub(crate) struct Touched {
    connections: Vec<ConnectionId>,
    /// The earliest deadline that was heard of since the timer was set.
    deadline: Option<Instant>,
}

impl Attention for Touched {
    fn to_write(&mut self, key: ConnectionId) {
        // Frames of one turn for one connection mostly follow each other.
        if self.connections.last() != Some(&key) {
            self.connections.push(key);
        }
    }

    fn to_read(&mut self, key: ConnectionId) {
        self.to_write(key);
    }

    fn to_depart(&mut self) {}

    fn timer_before(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    fn to_end(&mut self) {}
}

struct Turns<S> {
    shard_loop: ShardLoop<S, Touched>,
    sockets: Sockets<KernelRings>,
    bell: DoorbellWatch,
    drain: Arc<AtomicBool>,
    renewals: Arc<RenewalSlot>,
    metrics: Arc<Metrics>,
    turn_began: Instant,
    timeout_due: Instant,
    accept_again_at: Option<Instant>,
    /// What belongs to sockets that came from other shards and are on their way into a ring, by number.
    arriving: HashMap<u64, Luggage>,
    arrivals_count: u64,
    /// Connections that are being looked at; empty between two looks.
    attended: Vec<ConnectionId>,
}

impl UringThread {
    /// Runs on this thread until the shard has been drained.
    pub(crate) fn run<S: ShardPort>(self, shard_loop: ShardLoop<S, Touched>) -> io::Result<()> {
        let UringThread { listener, connections_max, handshakes_per_turn_max, post, drain, renewals, metrics } = self;
        // Sockets that are accepted take it over.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        let bell = post.watch()?;
        let rings = KernelRings::new(RingsConfig::for_sockets(connections_max), listener, &bell)?;
        let (sockets, attended) = (Sockets::new(rings, handshakes_per_turn_max), Vec::new());
        let (turn_began, timeout_due, accept_again_at) = (Instant::default(), Instant::default(), None);
        let (arriving, arrivals_count) = (HashMap::new(), 0);
        let mut turns = Turns {
            shard_loop,
            sockets,
            bell,
            drain,
            renewals,
            metrics,
            turn_began,
            timeout_due,
            accept_again_at,
            arriving,
            arrivals_count,
            attended,
        };
        turns.shard_loop.start();
        while !(turns.shard_loop.is_drained() && turns.sockets.count() == 0) {
            turns.turn();
        }
        Ok(())
    }
}

impl<S: ShardPort> Turns<S> {
    fn turn(&mut self) {
        self.wait_for_company();
        let patience = self.patience();
        self.sockets.turn(patience);
        self.turn_began = clock::now().monotonic;
        // Before the sockets: one that was accepted after a renewal meets the new certificate.
        if self.bell.heard() {
            self.rung();
        }
        while let Some(event) = self.sockets.next_event() {
            self.happened(event);
        }
        self.look_at_the_clock();
        self.attend();
        self.shard_loop.depart();
        self.attend();
        self.shard_loop.turned(clock::now().monotonic.since(self.turn_began), self.sockets.newcomers_waiting());
    }

    /// What has happened waits in the kernel, which tells of it when it is asked: so the thread may sleep.
    fn wait_for_company(&self) {
        thread::sleep((self.turn_began + TURN_INTERVAL_MIN).since(clock::now().monotonic));
    }

    fn patience(&mut self) -> Duration {
        let due = self.shard_loop.attention().deadline.take();
        self.timeout_due = due.map_or(self.timeout_due, |due| due.min(self.timeout_due));
        let due = self.accept_again_at.map_or(self.timeout_due, |at| at.min(self.timeout_due));
        due.since(clock::now().monotonic)
    }

    fn happened(&mut self, event: Event<OwnedFd>) {
        match event {
            Event::Opened { socket, peer } => {
                self.metrics.sockets_accepted.increment();
                match self.shard_loop.opened(Peer { address: peer.ip() }, socket.to_bits()) {
                    Ok(key) => self.sockets.own(socket, ConnectionKey::from(key).0),
                    // The loop has counted it.
                    Err(_) => self.sockets.abort(socket),
                }
            }
            Event::AcceptFailed(error) => self.accept_failed(error),
            Event::Received { socket, name, buffer } => {
                let key = key_of(name);
                self.shard_loop.received(key, self.sockets.bytes(&buffer));
                if self.shard_loop.is_established(key) {
                    self.sockets.settle(socket);
                }
                // Before the buffer goes back, since then the next one may be read.
                if self.shard_loop.read_turn(key) != ReadTurn::Read {
                    self.sockets.hold(socket, true);
                }
                self.sockets.give_back(socket, buffer);
            }
            Event::ReadEnded { name } => self.shard_loop.read_ended(key_of(name)),
            Event::Sent { name, bytes } => {
                let key = key_of(name);
                self.shard_loop.sent(key, bytes);
                // More may have come meanwhile, or this was the last of it.
                self.shard_loop.attention().to_write(key);
            }
            Event::WriteFailed { name, .. } => self.shard_loop.write_failed(key_of(name)),
            Event::Detached { name, result } => {
                self.shard_loop.detached(key_of(name), result.map(TcpStream::from).map_err(io::Error::from));
            }
            Event::Attached { number, result } => self.attached(number, result),
            Event::Closed { name } => {
                let key = key_of(name);
                self.shard_loop.side_ended(key, Side::Reading);
                self.shard_loop.side_ended(key, Side::Writing);
            }
        }
    }

    fn attached(&mut self, number: u64, result: Result<SocketId, Errno>) {
        let luggage = self.arriving.remove(&number).expect("a socket arrives once");
        match result {
            Ok(socket) => {
                let key = self.shard_loop.moved_in(luggage, socket.to_bits());
                self.sockets.own(socket, ConnectionKey::from(key).0);
                // Its hands were shaken where it comes from.
                self.sockets.settle(socket);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection is lost on its way between two shards; see `ulimit -n`");
                self.shard_loop.not_moved_in(luggage);
            }
        }
    }

    fn accept_failed(&mut self, error: Errno) {
        self.metrics.accept_failures.increment();
        if !is_want_of_resources(error) {
            self.sockets.accept_again();
        } else if self.accept_again_at.is_none() {
            tracing::warn!(%error, "no socket can be accepted; see `ulimit -n` and the memory of this machine");
            self.accept_again_at = Some(clock::now().monotonic + PAUSE_WITHOUT_DESCRIPTORS);
        }
    }

    fn rung(&mut self) {
        if let Some(renewal) = self.renewals.take() {
            self.sockets.set_newcomers_per_turn_max(renewal.config.handshakes_per_turn_max);
            self.shard_loop.renew(renewal);
        }
        self.shard_loop.rung();
        while let Some(Migrant { stream, luggage }) = self.shard_loop.next_arrival() {
            self.arrivals_count += 1;
            self.arriving.insert(self.arrivals_count, luggage);
            self.sockets.attach(self.arrivals_count, stream.into());
        }
        if self.drain.load(Ordering::Acquire) {
            self.sockets.stop_accepting();
            self.shard_loop.drain();
        }
    }

    fn look_at_the_clock(&mut self) {
        let now = clock::now().monotonic;
        if self.timeout_due <= now {
            self.shard_loop.timeout();
            self.timeout_due = self.shard_loop.next_timeout(now);
        }
        if self.accept_again_at.is_some_and(|at| at <= now) {
            self.accept_again_at = None;
            self.sockets.accept_again();
        }
    }

    /// Does for each connection what the shard loop has for it now.
    fn attend(&mut self) {
        let mut attended = std::mem::take(&mut self.attended);
        std::mem::swap(&mut attended, &mut self.shard_loop.attention().connections);
        for key in attended.drain(..) {
            self.attend_to(key);
        }
        self.attended = attended;
    }

    fn attend_to(&mut self, key: ConnectionId) {
        let Some(socket) = self.shard_loop.place(key).map(SocketId::from_bits) else { return };
        match self.shard_loop.read_turn(key) {
            ReadTurn::Stop => return self.sockets.abort(socket),
            ReadTurn::Leave => return self.sockets.detach(socket),
            turn => self.sockets.hold(socket, turn == ReadTurn::Wait),
        }
        if self.sockets.can_send(socket) {
            match self.shard_loop.write_turn(key) {
                WriteTurn::Write(bytes) => self.sockets.send(socket, bytes),
                WriteTurn::Wait | WriteTurn::Leave => {}
                WriteTurn::Stop => self.sockets.finish(socket),
            }
        }
    }
}

fn key_of(name: u64) -> ConnectionId {
    ConnectionKey(name).into()
}
