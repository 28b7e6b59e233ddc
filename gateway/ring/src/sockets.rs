//! All sockets of a ring, from accept to close.
//!
//! A socket that has nothing to say costs a watch and a slot. When something can be read, one receive takes a buffer of the
//! ring, and gives it back when its owner has looked. Its owner calls a socket by a name of its own.
//!
//! A newcomer is a socket that its owner has not settled. What newcomers say is dear to look at, and so is the end of those
//! whose peer has gone. So of either kind a turn receives from so many at most, in the order in which they had something,
//! and nobody else waits for them, though all were to come or go at once.
//!
//! Invariants: at most one watch, one receive and one send are under way on a socket; nothing is begun on a socket that is
//! ending; a socket is closed when nothing is under way on it, and its owner hears of that once, as the last of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;

use crate::quota::Quota;
use crate::ring::{Buffer, Completion, Operation, Received, Ring};
use crate::slots::{Life, Side, Slot, Slots, Stage};
use crate::socket_id::SocketId;

/// Accepts that wait at a time. An accept that has ended is begun again in the turn that sees it, so a turn has twice as many
/// at most: beside them nobody waits for long, and more wait in the kernel.
const ACCEPTS_WAITING: u32 = 8;

/// Sockets whose peer has gone that a turn receives from at most. To close one takes some 30 µs, as long as several messages.
const DEPARTING_PER_TURN_MAX: u32 = 16;

/// What has happened to a socket.
#[derive(Debug)]
pub enum Event<D> {
    /// Somebody has connected. Owned by nobody until [`Sockets::own`]; who does not want it says [`Sockets::abort`].
    Opened {
        /// The new one.
        socket: SocketId,
        /// Where it comes from.
        peer: SocketAddr,
    },
    /// Nobody can be accepted. [`Sockets::accept_again`] tries again.
    AcceptFailed(Errno),
    /// Bytes, at [`Sockets::bytes`]. The buffer must be given back.
    Received {
        /// From where.
        socket: SocketId,
        /// The name that its owner gave it.
        name: u64,
        /// Where they are.
        buffer: Buffer,
    },
    /// Nothing more comes: the peer has ended its side, in order or not.
    ReadEnded {
        /// The name that its owner gave it.
        name: u64,
    },
    /// Everything of a send is in the socket's buffer.
    Sent {
        /// The name that its owner gave it.
        name: u64,
        /// What was sent.
        bytes: Vec<u8>,
    },
    /// Nothing more can be sent.
    WriteFailed {
        /// The name that its owner gave it.
        name: u64,
        /// What was not sent, or not all of it.
        bytes: Vec<u8>,
    },
    /// It has left the ring, and its name is gone. The last that is heard of it.
    Detached {
        /// The name that its owner gave it.
        name: u64,
        /// The socket, or why it is closed instead.
        result: Result<D, Errno>,
    },
    /// It has come into the ring. Owned by nobody until [`Sockets::own`].
    Attached {
        /// As it was given to [`Sockets::attach`].
        number: u64,
        /// The new one, or why it is closed instead.
        result: Result<SocketId, Errno>,
    },
    /// It is gone, and so is its name.
    Closed {
        /// The name that its owner gave it.
        name: u64,
    },
}

/// See the file's head.
pub struct Sockets<R: Ring> {
    ring: R,
    slots: Slots,
    /// By ring: receives under way. No more of them than there are buffers.
    receives: Vec<u32>,
    /// Sockets that have something to read and wait for a buffer.
    hungry: VecDeque<SocketId>,
    newcomers: Quota,
    departing: Quota,
    accepts_waiting: u32,
    is_accepting: bool,
    events: VecDeque<Event<R::Descriptor>>,
    count: u32,
}

impl<R: Ring> Sockets<R> {
    /// Begins to accept. A turn receives from so many newcomers at most, not 0.
    pub fn new(ring: R, newcomers_per_turn_max: u32) -> Sockets<R> {
        let (slots, receives, events, hungry) = (Slots::default(), Vec::new(), VecDeque::new(), VecDeque::new());
        let (newcomers, departing) = (Quota::new(newcomers_per_turn_max), Quota::new(DEPARTING_PER_TURN_MAX));
        let (accepts_waiting, is_accepting, count) = (0, true, 0);
        let mut sockets = Sockets {
            ring,
            slots,
            receives,
            hungry,
            newcomers,
            departing,
            accepts_waiting,
            is_accepting,
            events,
            count,
        };
        sockets.accept_again();
        sockets
    }

    /// From the next turn on. Not 0.
    pub fn set_newcomers_per_turn_max(&mut self, newcomers_per_turn_max: u32) {
        self.newcomers.set_per_turn_max(newcomers_per_turn_max);
    }

    /// Newcomers that have something to read and wait for a turn; some may be gone.
    pub fn newcomers_waiting(&self) -> usize {
        self.newcomers.waiting_count()
    }

    /// Has the kernel begin what was asked for, and takes in what has ended. Waits for that at most so long.
    pub fn turn(&mut self, patience: Duration) {
        self.feed();
        let patience = if self.events.is_empty() { patience } else { Duration::ZERO };
        self.ring.turn(patience);
        self.take_in();
        // What can be read is read in the same turn.
        self.ring.turn(Duration::ZERO);
        self.take_in();
    }

    fn take_in(&mut self) {
        while let Some(completion) = self.ring.next_completion() {
            self.completed(completion);
        }
    }

    /// What has happened, oldest first.
    pub fn next_event(&mut self) -> Option<Event<R::Descriptor>> {
        self.events.pop_front()
    }

    /// Sockets that are not closed.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What was received.
    pub fn bytes(&mut self, buffer: &Buffer) -> &mut [u8] {
        self.ring.bytes(buffer)
    }

    /// The owner has looked at what was received; what follows it may be read.
    pub fn give_back(&mut self, socket: SocketId, buffer: Buffer) {
        self.ring.give_back(buffer);
        self.receive_ended(socket);
        self.go_on(socket);
    }

    /// Gives a new socket its name, and begins to read.
    pub fn own(&mut self, socket: SocketId, name: u64) {
        let Some(slot) = self.slots.open(socket) else { return };
        (slot.name, slot.is_owned, slot.is_watched) = (name, true, true);
        self.ring.submit(Operation::Watch(socket));
    }

    /// It is no newcomer any more.
    pub fn settle(&mut self, socket: SocketId) {
        if let Some(slot) = self.slots.open(socket).filter(|slot| slot.stage == Stage::New) {
            slot.stage = Stage::Settled;
        }
    }

    /// Whether [`Self::send`] may be called.
    pub fn can_send(&self, socket: SocketId) -> bool {
        let slot = self.slots.get(socket);
        slot.is_some_and(|slot| slot.life == Life::Open && slot.writing == Side::Open && !slot.is_sending)
    }

    /// Sends these bytes, all of them; only when [`Self::can_send`].
    pub fn send(&mut self, socket: SocketId, bytes: Vec<u8>) {
        assert!(self.can_send(socket), "one send at a time, on a socket that is open");
        if let Some(slot) = self.slots.open(socket) {
            slot.is_sending = true;
            self.ring.submit(Operation::Send { socket, bytes, from: 0 });
        }
    }

    /// Whether to stop reading: what comes stays in the kernel until it is released.
    pub fn hold(&mut self, socket: SocketId, is_held: bool) {
        if let Some(slot) = self.slots.open(socket) {
            slot.is_held = is_held;
            self.read(socket);
        }
    }

    /// Nothing follows what was sent; the peer is told. Closes when the peer has ended its side too, which tells it as well.
    pub fn finish(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.open(socket).filter(|slot| slot.writing == Side::Open && !slot.is_sending) else {
            return;
        };
        if slot.reading == Side::Ended {
            slot.writing = Side::Ended;
            self.go_on(socket);
        } else {
            slot.writing = Side::Ending;
            self.ring.submit(Operation::ShutDown(socket));
        }
    }

    /// Closes, whatever is under way.
    pub fn abort(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.get_mut(socket).filter(|slot| slot.life.is_served()) else { return };
        // A receive and a shutdown never wait, so they end by themselves, and the watch of one that leaves is ending.
        let (is_watched, is_sending) = (slot.is_watched && slot.life == Life::Open, slot.is_sending);
        slot.life = Life::Ending;
        slot.cancels += u8::from(is_watched) + u8::from(is_sending);
        if is_watched {
            self.ring.submit(Operation::CancelWatch(socket));
        }
        if is_sending {
            self.ring.submit(Operation::CancelSend(socket));
        }
        self.go_on(socket);
    }

    /// Takes it out of the ring when what is being sent is sent: [`Event::Detached`]. What it has to read stays in it.
    pub fn detach(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.open(socket) else { return };
        slot.life = Life::Leaving;
        if slot.is_watched {
            slot.cancels += 1;
            self.ring.submit(Operation::CancelWatch(socket));
        }
        self.go_on(socket);
    }

    /// Takes a socket in from outside: [`Event::Attached`].
    pub fn attach(&mut self, number: u64, descriptor: R::Descriptor) {
        self.ring.submit(Operation::Attach { number, descriptor });
    }

    /// After [`Event::AcceptFailed`].
    pub fn accept_again(&mut self) {
        while self.is_accepting && self.accepts_waiting < ACCEPTS_WAITING {
            self.accepts_waiting += 1;
            self.ring.submit(Operation::Accept);
        }
    }

    /// Accepts nobody any more. Who was accepted already is still told of.
    pub fn stop_accepting(&mut self) {
        if std::mem::replace(&mut self.is_accepting, false) {
            self.ring.submit(Operation::StopAccepting);
        }
    }

    fn completed(&mut self, completion: Completion<R::Descriptor>) {
        match completion {
            Completion::Accepted(result) => self.accepted(result),
            Completion::Watched { socket, is_armed, has_gone } => {
                let slot = self.slots.of_operation(socket);
                (slot.is_watched, slot.is_readable) = (is_armed, true);
                if has_gone && slot.stage == Stage::Settled {
                    slot.stage = Stage::Departing;
                }
                self.go_on(socket);
            }
            Completion::Received { socket, result } => self.received(socket, result),
            Completion::Sent { socket, bytes, from, result } => self.sent(socket, bytes, from, result),
            Completion::ShutDown(socket) => {
                self.slots.of_operation(socket).writing = Side::Ended;
                self.go_on(socket);
            }
            Completion::Cancelled(socket) => {
                self.slots.of_operation(socket).cancels -= 1;
                self.go_on(socket);
            }
            Completion::Detached { socket, result } => {
                let slot = self.slots.of_operation(socket);
                (slot.life, slot.is_owned) = (Life::Closing, false);
                let name = slot.name;
                self.events.push_back(Event::Detached { name, result });
                self.ring.submit(Operation::Close(socket));
            }
            Completion::Attached { number, result } => {
                result.iter().for_each(|socket| self.opened(*socket));
                self.events.push_back(Event::Attached { number, result });
            }
            Completion::Closed(socket) => {
                let Slot { name, is_owned, .. } = std::mem::take(self.slots.of_operation(socket));
                self.count -= 1;
                if is_owned {
                    self.events.push_back(Event::Closed { name });
                }
            }
        }
    }

    fn accepted(&mut self, result: Result<(SocketId, SocketAddr), Errno>) {
        self.accepts_waiting -= 1;
        match result {
            Ok((socket, peer)) => {
                self.opened(socket);
                self.events.push_back(Event::Opened { socket, peer });
                self.accept_again();
            }
            Err(Errno::CANCELED) if !self.is_accepting => {}
            Err(error) => self.events.push_back(Event::AcceptFailed(error)),
        }
    }

    fn opened(&mut self, socket: SocketId) {
        self.count += 1;
        let slot = self.slots.of_newcomer(socket);
        assert!(slot.life == Life::Vacant, "a slot is given away once");
        *slot = Slot { generation: socket.generation, life: Life::Open, ..Slot::default() };
    }

    fn received(&mut self, socket: SocketId, result: Result<Received, Errno>) {
        let slot = self.slots.of_operation(socket);
        let (name, is_served) = (slot.name, slot.life.is_served());
        if let Ok(Received::Bytes { buffer, has_more }) = result {
            // What comes from now on meets the watch.
            slot.is_readable = has_more;
            if is_served {
                return self.events.push_back(Event::Received { socket, name, buffer });
            }
            return self.give_back(socket, buffer);
        }
        match result {
            Err(Errno::AGAIN) => slot.is_readable = false,
            Err(Errno::NOBUFS | Errno::INTR) => slot.is_readable = true,
            _ => {
                slot.reading = Side::Ended;
                if is_served {
                    self.events.push_back(Event::ReadEnded { name });
                }
            }
        }
        self.receive_ended(socket);
        self.go_on(socket);
    }

    fn receive_ended(&mut self, socket: SocketId) {
        self.slots.of_operation(socket).is_receiving = false;
        *self.receives_of(socket) -= 1;
    }

    fn sent(&mut self, socket: SocketId, bytes: Vec<u8>, from: usize, result: Result<usize, Errno>) {
        let slot = self.slots.of_operation(socket);
        let (name, is_served) = (slot.name, slot.life.is_served());
        match result {
            // The socket had no room for all of it.
            Ok(size) if is_served && from + size < bytes.len() => {
                return self.ring.submit(Operation::Send { socket, bytes, from: from + size });
            }
            Err(Errno::AGAIN | Errno::INTR) if is_served => {
                return self.ring.submit(Operation::Send { socket, bytes, from });
            }
            Ok(_) if is_served => self.events.push_back(Event::Sent { name, bytes }),
            Err(_) if is_served => {
                slot.writing = Side::Ended;
                self.events.push_back(Event::WriteFailed { name, bytes });
            }
            _ => {}
        }
        self.slots.of_operation(socket).is_sending = false;
        self.go_on(socket);
    }

    /// Does what this socket needs next.
    fn go_on(&mut self, socket: SocketId) {
        let slot = *self.slots.of_operation(socket);
        match slot.life {
            Life::Open if slot.reading == Side::Ended && slot.writing == Side::Ended => self.abort(socket),
            Life::Open => self.read(socket),
            Life::Leaving if slot.is_idle() => {
                self.slots.of_operation(socket).life = Life::Detaching;
                self.ring.submit(Operation::Detach(socket));
            }
            Life::Ending if slot.is_idle() => {
                self.slots.of_operation(socket).life = Life::Closing;
                self.ring.submit(Operation::Close(socket));
            }
            Life::Leaving | Life::Detaching | Life::Ending | Life::Closing | Life::Vacant => {}
        }
    }

    fn read(&mut self, socket: SocketId) {
        let buffers_count = self.ring.buffers_count();
        let has_buffer = *self.receives_of(socket) < buffers_count;
        let Some(slot) = self.slots.open(socket).filter(|slot| slot.is_owned && slot.reading == Side::Open) else {
            return;
        };
        if !slot.is_watched {
            // It ends by itself where completions were too many. What it has missed is found by a receive.
            (slot.is_watched, slot.is_readable) = (true, true);
            self.ring.submit(Operation::Watch(socket));
        }
        let Some(slot) = self.slots.open(socket) else { return };
        if slot.is_held || slot.is_receiving || slot.is_hungry || !slot.is_readable {
            return;
        }
        let quota = match slot.stage {
            Stage::New => Some(&mut self.newcomers),
            Stage::Settled => None,
            Stage::Departing => Some(&mut self.departing),
        };
        if !has_buffer || quota.as_ref().is_some_and(|quota| quota.is_used_up()) {
            slot.is_hungry = true;
            return quota.map_or_else(|| self.hungry.push_back(socket), |quota| quota.wait(socket));
        }
        slot.is_receiving = true;
        quota.into_iter().for_each(Quota::take);
        *self.receives_of(socket) += 1;
        self.ring.submit(Operation::Receive(socket));
    }

    /// Lets those read that had no buffer, as far as there are buffers now, and then those of whom a turn has few.
    fn feed(&mut self) {
        for _ in 0..self.hungry.len() {
            let Some(socket) = self.hungry.pop_front() else { break };
            self.feed_one(socket);
        }
        self.feed_few(|sockets| &mut sockets.newcomers);
        self.feed_few(|sockets| &mut sockets.departing);
    }

    fn feed_few(&mut self, quota: fn(&mut Self) -> &mut Quota) {
        quota(self).begin_turn();
        for _ in 0..quota(self).waiting_count() {
            let Some(socket) = quota(self).next() else { break };
            self.feed_one(socket);
        }
    }

    fn feed_one(&mut self, socket: SocketId) {
        // It may be gone meanwhile.
        if let Some(slot) = self.slots.open(socket) {
            slot.is_hungry = false;
            self.read(socket);
        }
    }

    fn receives_of(&mut self, socket: SocketId) -> &mut u32 {
        let ring = usize::from(socket.ring);
        if self.receives.len() <= ring {
            self.receives.resize(ring + 1, 0);
        }
        self.receives.get_mut(ring).expect("it was made a line ago")
    }
}
