//! The owner of the sockets: sends back what it receives, settles some, holds some for a while, cuts some, and has some
//! leave the ring and come in again, as they do that move from one to another.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use gateway_ring::{Event, SocketId, Sockets};

use super::kernel::{Link, SimulatedRing};
use super::sabotaged::SabotagedRing;
use crate::prng::Prng;

pub(super) struct Echo {
    sockets: Sockets<SabotagedRing<SimulatedRing>>,
    prng: Prng,
    guests: BTreeMap<u64, Guest>,
    named: u64,
    /// Few: a cut also ends what waits for ever.
    cuts_left: u64,
    leaves_left: u64,
    /// Outside of the ring, by name.
    outside: Vec<(u64, Link)>,
    has_failed_to_accept: bool,
    is_stopping: bool,
}

struct Guest {
    socket: SocketId,
    to_send: Vec<u8>,
    has_ended: bool,
    is_held: bool,
}

impl Echo {
    pub(super) fn new(sockets: Sockets<SabotagedRing<SimulatedRing>>, mut prng: Prng) -> Echo {
        let (cuts_left, leaves_left) = (prng.below(5), prng.below(8));
        Echo {
            sockets,
            prng,
            guests: BTreeMap::new(),
            named: 0,
            cuts_left,
            leaves_left,
            outside: Vec::new(),
            has_failed_to_accept: false,
            is_stopping: false,
        }
    }

    pub(super) fn open_count(&self) -> u32 {
        self.sockets.count()
    }

    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.sockets.stop_accepting();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_stopping && self.sockets.count() == 0 && self.guests.is_empty()
    }

    pub(super) fn turn(&mut self, patience: Duration) {
        self.sockets.turn(patience);
        while let Some(event) = self.sockets.next_event() {
            self.happened(event);
        }
        if self.has_failed_to_accept && self.prng.chance(100) {
            self.has_failed_to_accept = false;
            self.sockets.accept_again();
        }
        for guest in self.guests.values_mut() {
            if guest.is_held == self.prng.chance(100) {
                continue;
            }
            guest.is_held = !guest.is_held;
            self.sockets.hold(guest.socket, guest.is_held);
        }
        if self.cuts_left > 0
            && self.prng.chance(3)
            && let Some(guest) = self.guests.values().next()
        {
            self.cuts_left -= 1;
            self.sockets.abort(guest.socket);
        }
        if self.leaves_left > 0 && !self.guests.is_empty() && self.prng.chance(10) {
            self.leaves_left -= 1;
            let place = self.prng.index(self.guests.len());
            let guest = self.guests.values().nth(place).expect("there are more");
            self.sockets.detach(guest.socket);
        }
        if !self.outside.is_empty() && self.prng.chance(100) {
            let (name, link) = self.outside.remove(0);
            self.sockets.attach(name, link);
        }
        for guest in self.guests.values_mut() {
            if !self.sockets.can_send(guest.socket) {
                continue;
            } else if !guest.to_send.is_empty() {
                self.sockets.send(guest.socket, mem::take(&mut guest.to_send));
            } else if guest.has_ended {
                self.sockets.finish(guest.socket);
            }
        }
    }

    fn happened(&mut self, event: Event<Link>) {
        match event {
            Event::Opened { socket, .. } if self.prng.chance(50) => self.sockets.abort(socket),
            Event::Opened { socket, .. } => {
                self.named += 1;
                self.sockets.own(socket, self.named);
                let guest = Guest { socket, to_send: Vec::new(), has_ended: false, is_held: false };
                self.guests.insert(self.named, guest);
            }
            Event::AcceptFailed(_) => self.has_failed_to_accept = true,
            Event::Received { socket, name, buffer } => {
                let guest = self.guests.get_mut(&name).expect("it is not closed");
                guest.to_send.extend_from_slice(self.sockets.bytes(&buffer));
                if self.prng.chance(300) {
                    self.sockets.settle(socket);
                }
                self.sockets.give_back(socket, buffer);
            }
            Event::ReadEnded { name } => self.guests.get_mut(&name).expect("it is not closed").has_ended = true,
            Event::Sent { .. } => {}
            Event::WriteFailed { name, .. } => {
                let guest = self.guests.get(&name).expect("it is not closed");
                self.sockets.abort(guest.socket);
            }
            Event::Detached { name, result: Ok(link) } => self.outside.push((name, link)),
            Event::Attached { number: name, result: Ok(socket) } => {
                let guest = self.guests.get_mut(&name).expect("it is closed by its owner only");
                (guest.socket, guest.is_held) = (socket, false);
                self.sockets.own(socket, name);
            }
            Event::Detached { name, result: Err(_) }
            | Event::Attached { number: name, result: Err(_) }
            | Event::Closed { name } => {
                self.guests.remove(&name).expect("it is closed once");
            }
        }
    }
}
