//! A kernel with one ring, as nasty as a real one may be: operations end late and in any order, in part, without a buffer;
//! watches end by themselves; the ring takes no more in some turns; descriptors run out.
//!
//! An operation does its work at the moment it ends, as the real one does, so what its completion says is true then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use gateway_ring::{Buffer, Completion as CompletionOf, Errno, Operation as OperationOf, Received, Ring, SocketId};

use super::{Rule, RuleBroken, Tally};
use crate::prng::Prng;

const BUFFERS_COUNT: u16 = 4;
const BUFFER_SIZE: usize = 64;
/// What a socket holds each way.
const SOCKET_SIZE: usize = 200;
const SLOTS_COUNT: u16 = 8;

/// A peer's name for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link(pub(super) u64);

/// Outside of the ring a connection is named as its peer names it.
type Operation = OperationOf<Link>;
type Completion = CompletionOf<Link>;

/// Both directions of a connection.
#[derive(Default)]
struct Pipe {
    to_server: VecDeque<u8>,
    to_peer: VecDeque<u8>,
    peer_has_ended: bool,
    server_has_ended: bool,
    is_reset: bool,
}

pub(super) struct Kernel {
    prng: Prng,
    /// Of a thousand turns: those in which a watch ends by itself.
    watches_end: u64,
    pipes: BTreeMap<Link, Pipe>,
    next_link: u64,
    /// Connected, not accepted.
    backlog: VecDeque<Link>,
    slots: Vec<Slot>,
    /// Those with a descriptor outside of the ring.
    outside: BTreeSet<Link>,
    submitted: VecDeque<Operation>,
    under_way: Vec<Operation>,
    completions: VecDeque<Completion>,
    buffers: Vec<[u8; BUFFER_SIZE]>,
    buffers_free: Vec<u16>,
    broken: Option<RuleBroken>,
    tally: Tally,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    link: Option<Link>,
    is_watched: bool,
    /// Something has come since the watch said so.
    is_news: bool,
    is_watch_cancelled: bool,
    is_send_cancelled: bool,
}

impl Kernel {
    pub(super) fn new(mut prng: Prng) -> Kernel {
        // Where watches often end, what was forgotten is found again, and no seed would show it.
        let watches_end = if prng.chance(500) { 20 } else { 0 };
        Kernel {
            prng,
            watches_end,
            pipes: BTreeMap::new(),
            next_link: 0,
            backlog: VecDeque::new(),
            slots: (0..SLOTS_COUNT).map(|_| Slot::default()).collect(),
            outside: BTreeSet::new(),
            submitted: VecDeque::new(),
            under_way: Vec::new(),
            completions: VecDeque::new(),
            buffers: vec![[0; BUFFER_SIZE]; usize::from(BUFFERS_COUNT)],
            buffers_free: (0..BUFFERS_COUNT).collect(),
            broken: None,
            tally: Tally::new(),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn buffers_missing(&self) -> usize {
        usize::from(BUFFERS_COUNT) - self.buffers_free.len()
    }

    pub(super) fn take_broken(&mut self) -> Option<RuleBroken> {
        self.broken.take()
    }

    // What peers do.

    pub(super) fn connect(&mut self) -> Link {
        self.next_link += 1;
        let link = Link(self.next_link);
        self.pipes.insert(link, Pipe::default());
        self.backlog.push_back(link);
        link
    }

    /// How many of the bytes there was room for. `None`: nobody takes them any more.
    pub(super) fn peer_writes(&mut self, link: Link, bytes: &[u8]) -> Option<usize> {
        let pipe = self.pipes.get_mut(&link).filter(|pipe| !pipe.is_reset)?;
        let size = bytes.len().min(SOCKET_SIZE - pipe.to_server.len());
        pipe.to_server.extend(&bytes[..size]);
        self.news_for(link);
        Some(size)
    }

    /// What was there, at most so much. `None`: nothing more comes.
    pub(super) fn peer_reads(&mut self, link: Link, size_max: usize) -> Option<Vec<u8>> {
        let pipe = self.pipes.get_mut(&link).filter(|pipe| !pipe.is_reset)?;
        if pipe.to_peer.is_empty() && pipe.server_has_ended {
            return None;
        }
        let size = size_max.min(pipe.to_peer.len());
        Some(pipe.to_peer.drain(..size).collect())
    }

    /// Whether the server has given this connection up.
    pub(super) fn was_cut(&self, link: Link) -> bool {
        self.pipes.get(&link).is_some_and(|pipe| pipe.is_reset)
    }

    pub(super) fn peer_ends(&mut self, link: Link) {
        if let Some(pipe) = self.pipes.get_mut(&link) {
            pipe.peer_has_ended = true;
            self.news_for(link);
        }
    }

    pub(super) fn peer_resets(&mut self, link: Link) {
        if let Some(pipe) = self.pipes.get_mut(&link) {
            pipe.is_reset = true;
            self.news_for(link);
            self.count("connections reset");
        }
    }

    fn news_for(&mut self, link: Link) {
        // One that is leaving may have its next slot already.
        self.slots.iter_mut().filter(|slot| slot.link == Some(link)).for_each(|slot| slot.is_news = true);
    }

    // What the ring does.

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn break_rule(&mut self, what: String) {
        self.broken.get_or_insert(RuleBroken::new(Rule::Slots, what));
    }

    fn turn(&mut self) {
        let room = if self.prng.chance(50) { self.prng.index(3) } else { usize::MAX };
        if self.submitted.len() > room {
            self.count("turns that did not take everything");
        }
        for _ in 0..room.min(self.submitted.len()) {
            if let Some(operation) = self.submitted.pop_front() {
                self.begin(operation);
            }
        }
        // In any order, and some of them not yet.
        let patience = self.prng.below(900);
        for _ in 0..self.under_way.len() {
            // An end of accepts ends several.
            let place = self.prng.index(self.under_way.len().max(1));
            if place >= self.under_way.len() {
                break;
            }
            let operation = self.under_way.swap_remove(place);
            if self.prng.chance(patience) {
                self.under_way.push(operation);
            } else if let Some(again) = self.end(operation) {
                self.under_way.push(again);
            }
        }
        self.watches();
    }

    fn begin(&mut self, operation: Operation) {
        if let Some(socket) = socket_of(&operation) {
            let slot = &mut self.slots[usize::from(socket.slot)];
            if slot.link.is_none() || slot.generation != socket.generation {
                return self.break_rule(format!("{operation:?} is begun on a slot that is not its own"));
            }
            match &operation {
                Operation::Watch(_) if slot.is_watched => {
                    return self.break_rule(format!("a second watch on {socket:?}"));
                }
                Operation::Watch(_) => {
                    // It looks at once.
                    (slot.is_watched, slot.is_news) = (true, true);
                    return;
                }
                Operation::CancelWatch(_) => slot.is_watch_cancelled = true,
                Operation::CancelSend(_) => slot.is_send_cancelled = true,
                Operation::Close(_) | Operation::Detach(_) => {
                    let is_busy = self.under_way.iter().any(|other| socket_of(other) == Some(socket));
                    if is_busy || self.slots[usize::from(socket.slot)].is_watched {
                        return self.break_rule(format!("{operation:?} under what is under way there"));
                    }
                }
                _ => {}
            }
        }
        self.under_way.push(operation);
    }

    /// Does it; `Some`: it waits on.
    fn end(&mut self, operation: Operation) -> Option<Operation> {
        let completion = match operation {
            Operation::Accept => return self.end_accept(),
            Operation::StopAccepting => {
                let accepts = self.under_way.iter().filter(|it| matches!(it, Operation::Accept)).count();
                self.under_way.retain(|it| !matches!(it, Operation::Accept));
                let cancelled = || Completion::Accepted(Err(Errno::CANCELED));
                self.completions.extend(std::iter::repeat_with(cancelled).take(accepts));
                return None;
            }
            Operation::Watch(_) => unreachable!("a watch is a state of its slot"),
            Operation::Receive(socket) => Completion::Received { socket, result: self.receive(socket) },
            Operation::Send { socket, bytes, from } => match self.send(socket, &bytes[from..]) {
                None => return Some(Operation::Send { socket, bytes, from }),
                Some(result) => Completion::Sent { socket, bytes, from, result },
            },
            Operation::ShutDown(socket) => {
                if let Some(pipe) = self.pipe_of(socket) {
                    pipe.server_has_ended = true;
                }
                Completion::ShutDown(socket)
            }
            Operation::CancelWatch(socket) | Operation::CancelSend(socket) => Completion::Cancelled(socket),
            Operation::Detach(socket) => Completion::Detached { socket, result: self.detach(socket) },
            Operation::Attach { number, descriptor } => {
                Completion::Attached { number, result: self.attach(descriptor) }
            }
            Operation::Close(socket) => {
                let slot = &mut self.slots[usize::from(socket.slot)];
                let link = slot.link.take();
                *slot = Slot { generation: slot.generation + 1, ..Slot::default() };
                link.into_iter().for_each(|link| self.let_go(link));
                self.count("sockets closed");
                Completion::Closed(socket)
            }
        };
        self.completions.push_back(completion);
        None
    }

    fn detach(&mut self, socket: SocketId) -> Result<Link, Errno> {
        if self.prng.chance(50) {
            self.count("sockets that could not leave");
            return Err(Errno::MFILE);
        }
        let link = self.slots[usize::from(socket.slot)].link.ok_or(Errno::BADF)?;
        self.outside.insert(link);
        self.count("sockets that left");
        Ok(link)
    }

    fn attach(&mut self, link: Link) -> Result<SocketId, Errno> {
        self.outside.remove(&link);
        let vacant = self.slots.iter().position(|slot| slot.link.is_none());
        let Some(place) = vacant.filter(|_| !self.prng.chance(50)) else {
            self.let_go(link);
            self.count("sockets that could not come in");
            return Err(Errno::MFILE);
        };
        let slot = &mut self.slots[place];
        slot.link = Some(link);
        Ok(SocketId { ring: 0, slot: place as u16, generation: slot.generation })
    }

    /// A connection ends with the last that has it. A peer that has not read to the end loses the rest, as with a real one.
    fn let_go(&mut self, link: Link) {
        let is_had = self.outside.contains(&link) || self.slots.iter().any(|slot| slot.link == Some(link));
        let pipe = self.pipes.get_mut(&link).filter(|_| !is_had);
        pipe.into_iter().for_each(|pipe| pipe.is_reset |= !pipe.server_has_ended);
    }

    fn end_accept(&mut self) -> Option<Operation> {
        if self.backlog.is_empty() {
            return Some(Operation::Accept);
        }
        let vacant = self.slots.iter().position(|slot| slot.link.is_none());
        let Some(place) = vacant.filter(|_| !self.prng.chance(20)) else {
            self.count("accepts without a descriptor");
            self.completions.push_back(Completion::Accepted(Err(Errno::MFILE)));
            return None;
        };
        let slot = &mut self.slots[place];
        slot.link = self.backlog.pop_front();
        let socket = SocketId { ring: 0, slot: place as u16, generation: slot.generation };
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        self.completions.push_back(Completion::Accepted(Ok((socket, peer))));
        None
    }

    fn pipe_of(&mut self, socket: SocketId) -> Option<&mut Pipe> {
        let link = self.slots[usize::from(socket.slot)].link?;
        self.pipes.get_mut(&link)
    }

    fn receive(&mut self, socket: SocketId) -> Result<Received, Errno> {
        let (draw, has_none) = (self.prng.draw(), self.buffers_free.is_empty());
        if has_none || self.prng.chance(30) {
            self.count("receives without a buffer");
            return Err(Errno::NOBUFS);
        }
        let Some(pipe) = self.pipe_of(socket) else { return Err(Errno::BADF) };
        if pipe.is_reset {
            return Err(Errno::CONNRESET);
        }
        if pipe.to_server.is_empty() {
            let has_ended = pipe.peer_has_ended;
            self.count("receives that found nothing");
            return if has_ended { Ok(Received::End) } else { Err(Errno::AGAIN) };
        }
        let available = pipe.to_server.len().min(BUFFER_SIZE);
        let size = 1 + draw as usize % available;
        let bytes: Vec<u8> = pipe.to_server.drain(..size).collect();
        let has_more = !pipe.to_server.is_empty() || pipe.peer_has_ended;
        let index = self.buffers_free.remove(0);
        self.buffers[usize::from(index)][..size].copy_from_slice(&bytes);
        if size < available {
            self.count("short receives");
        }
        Ok(Received::Bytes { buffer: Buffer { ring: 0, index, size: size as u32 }, has_more })
    }

    /// `None`: there is no room.
    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> Option<Result<usize, Errno>> {
        // It may be too late for that.
        if self.slots[usize::from(socket.slot)].is_send_cancelled && self.prng.chance(700) {
            self.count("sends cancelled");
            return Some(Err(Errno::CANCELED));
        }
        let draw = self.prng.draw() as usize;
        let Some(pipe) = self.pipe_of(socket) else { return Some(Err(Errno::BADF)) };
        if pipe.is_reset || pipe.server_has_ended {
            return Some(Err(Errno::PIPE));
        }
        let room = (SOCKET_SIZE - pipe.to_peer.len()).min(bytes.len());
        if room == 0 {
            return None;
        }
        let size = 1 + draw % room;
        pipe.to_peer.extend(&bytes[..size]);
        if size < bytes.len() {
            self.count("short sends");
        }
        Some(Ok(size))
    }

    fn watches(&mut self) {
        for place in 0..self.slots.len() {
            let (ends, is_late) = (self.prng.chance(self.watches_end), self.prng.chance(300));
            let slot = &mut self.slots[place];
            let is_over = slot.is_watched && (slot.is_watch_cancelled || ends);
            if !(slot.is_watched && slot.is_news || is_over) || is_late {
                continue;
            }
            slot.is_news = false;
            slot.is_watched = !is_over;
            let socket = SocketId { ring: 0, slot: place as u16, generation: slot.generation };
            let pipe = slot.link.and_then(|link| self.pipes.get(&link));
            // The real one says it whenever it says anything; that may have been before the peer went.
            let has_gone = pipe.is_some_and(|pipe| pipe.peer_has_ended || pipe.is_reset) && !self.prng.chance(200);
            self.completions.push_back(Completion::Watched { socket, is_armed: !is_over, has_gone });
            if has_gone {
                self.count("watches that saw the peer gone");
            }
            if is_over {
                self.count("watches that ended");
            }
        }
    }
}

fn socket_of(operation: &Operation) -> Option<SocketId> {
    match operation {
        Operation::Accept | Operation::StopAccepting | Operation::Attach { .. } => None,
        Operation::Watch(socket)
        | Operation::Receive(socket)
        | Operation::Send { socket, .. }
        | Operation::ShutDown(socket)
        | Operation::CancelWatch(socket)
        | Operation::CancelSend(socket)
        | Operation::Detach(socket)
        | Operation::Close(socket) => Some(*socket),
    }
}

/// The server's way into the kernel.
pub(super) struct SimulatedRing {
    kernel: Rc<RefCell<Kernel>>,
    /// The one buffer that is being looked at.
    looked_at: [u8; BUFFER_SIZE],
}

impl SimulatedRing {
    pub(super) fn new(kernel: Rc<RefCell<Kernel>>) -> SimulatedRing {
        SimulatedRing { kernel, looked_at: [0; BUFFER_SIZE] }
    }
}

impl Ring for SimulatedRing {
    type Descriptor = Link;

    fn buffers_count(&self) -> u32 {
        u32::from(BUFFERS_COUNT)
    }

    fn submit(&mut self, operation: Operation) {
        self.kernel.borrow_mut().submitted.push_back(operation);
    }

    fn turn(&mut self, _patience: Duration) {
        self.kernel.borrow_mut().turn();
    }

    fn next_completion(&mut self) -> Option<Completion> {
        self.kernel.borrow_mut().completions.pop_front()
    }

    fn bytes(&mut self, buffer: &Buffer) -> &mut [u8] {
        self.looked_at = self.kernel.borrow().buffers[usize::from(buffer.index)];
        &mut self.looked_at[..buffer.size as usize]
    }

    fn give_back(&mut self, buffer: Buffer) {
        self.kernel.borrow_mut().buffers_free.push(buffer.index);
    }
}
