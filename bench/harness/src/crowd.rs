//! The people of one process: one epoll, all their sockets, and what they check of what arrives.
//!
//! It never waits: its driver does, until [`Crowd::descriptor`] is readable or [`Crowd::next_ack_ns`] has come, and then
//! calls [`Crowd::turn`]. Each message is checked where it arrives: it is the next one of its sender, or it came twice, or
//! out of order. One who idles costs a place in a list; no buffer is its own.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::clock::now_ns;
use crate::figures::Figures;
use crate::peer::{Desk, Heard, Peer, Stamp};
use crate::rooms::Rooms;
use crate::schedule::Schedule;

const EVENTS_AT_ONCE: usize = 1024;
const READ_SIZE: usize = 16 * 1024;
/// An ack waits so long for company: half of what the protocol grants, as the SDK does.
const ACK_DELAY_NS: u64 = 50_000_000;
/// Messages that one turn sends at most, so that what arrives is not left lying.
const DUE_AT_ONCE: usize = 64;
/// Buffers that are kept for the next who writes.
const SPARE_BUFFERS_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Arriving,
    Live,
}

struct End<P> {
    peer: P,
    stream: Option<TcpStream>,
    state: State,
    is_writing: bool,
    outgoing: Vec<u8>,
    /// When its connection began, and then: when its ack is due; 0 for none.
    clock_ns: u64,
    sent: u64,
    /// The last number that came from whom it hears.
    heard: u64,
    /// When those were due whose acks are not here, oldest first.
    unanswered: VecDeque<u64>,
    late: Option<Box<Late>>,
}

/// What was counted as lost and may still come on this connection: before anything newer, since both come in order.
struct Late {
    acks: usize,
    /// Of the next message, and of the last.
    messages: RangeInclusive<u64>,
}

/// See the file's head.
pub struct Crowd<P> {
    epoll: OwnedFd,
    rooms: Rooms,
    ends: Vec<End<P>>,
    events: Vec<epoll::Event>,
    desk: Desk,
    /// What a read gave, until its end has looked at it.
    incoming: Box<[u8]>,
    spare_buffers: Vec<Vec<u8>>,
    heard: Vec<Heard>,
    acks_due: VecDeque<usize>,
    dirty: Vec<usize>,
    /// Whose connection has ended, until somebody asks.
    gone: Vec<usize>,
    arriving_count: usize,
    live_count: usize,
    figures: Figures,
}

impl<P: Peer> Crowd<P> {
    /// Nobody is there yet.
    pub fn new(rooms: Rooms, mut peer: impl FnMut(usize) -> P) -> Result<Crowd<P>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
        let end = |index| End {
            peer: peer(index),
            stream: None,
            state: State::Away,
            is_writing: false,
            outgoing: Vec::new(),
            clock_ns: 0,
            sent: 0,
            heard: 0,
            unanswered: VecDeque::new(),
            late: None,
        };
        Ok(Crowd {
            epoll,
            rooms,
            ends: (0..rooms.people()).map(end).collect(),
            events: Vec::new(),
            desk: Desk::default(),
            incoming: vec![0; READ_SIZE].into_boxed_slice(),
            spare_buffers: Vec::new(),
            heard: Vec::new(),
            acks_due: VecDeque::new(),
            dirty: Vec::new(),
            gone: Vec::new(),
            arriving_count: 0,
            live_count: 0,
            figures: Figures::default(),
        })
    }

    /// Readable when a socket has something.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Who is to whom.
    pub fn rooms(&self) -> Rooms {
        self.rooms
    }

    /// Connections that cannot send yet.
    pub fn arriving_count(&self) -> usize {
        self.arriving_count
    }

    /// Connections that can.
    pub fn live_count(&self) -> usize {
        self.live_count
    }

    /// Who has no connection.
    pub fn away(&self) -> impl Iterator<Item = usize> {
        self.ends.iter().enumerate().filter(|(_, end)| end.state == State::Away).map(|(index, _)| index)
    }

    /// Whose connection has ended since the last time, other than by [`Self::leave`].
    pub fn take_gone(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.gone)
    }

    /// Since [`Self::begin_figures`].
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What has happened before is not counted.
    pub fn begin_figures(&mut self) {
        self.figures = Figures::default();
    }

    /// Gives one who is away a connection, which may still be on its way; `began_ns` is what its arrival counts from.
    pub fn arrive(&mut self, index: usize, stream: TcpStream, began_ns: u64) -> Result<()> {
        let end = self.ends.get_mut(index).context("no such end")?;
        assert!(end.state == State::Away, "who is there does not arrive");
        let (data, flags) = (epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN);
        epoll::add(&self.epoll, stream.as_fd(), data, flags)?;
        (end.stream, end.state, end.clock_ns) = (Some(stream), State::Arriving, began_ns);
        self.arriving_count += 1;
        end.peer.arrive(&mut self.desk, &mut end.outgoing, &mut self.heard)?;
        self.take_heard(index)?;
        self.flush(index)
    }

    /// Drops the connections of all. What was on its way to them is not waited for.
    pub fn leave(&mut self) {
        for index in 0..self.ends.len() {
            self.drop_connection(index);
        }
        self.acks_due.clear();
        self.dirty.clear();
    }

    /// Sends what is due by now, and says whether there is more.
    pub fn send_due(&mut self, schedule: &mut Schedule) -> Result<bool> {
        for _ in 0..DUE_AT_ONCE {
            let now_ns = now_ns();
            let Some((nth, due_ns)) = schedule.take_due(now_ns) else { return Ok(false) };
            self.send(self.rooms.writer(nth), due_ns)?;
            self.figures.lag.saturating_record((now_ns - due_ns) / 1000);
        }
        Ok(true)
    }

    /// As many messages of each writer as may be unanswered at a time.
    pub fn fill_windows(&mut self, window: usize) -> Result<()> {
        for writer in 0..self.rooms.writers() as u64 {
            let index = self.rooms.writer(writer);
            while self.ends.get(index).is_some_and(|end| end.state == State::Live && end.unanswered.len() < window) {
                self.send(index, now_ns())?;
            }
        }
        Ok(())
    }

    /// One who is not there sends nothing, and is missed for it.
    fn send(&mut self, index: usize, due_ns: u64) -> Result<()> {
        let end = self.ends.get_mut(index).context("no such end")?;
        end.sent += 1;
        end.unanswered.push_back(due_ns);
        if end.state == State::Live {
            buffer(&mut end.outgoing, &mut self.spare_buffers);
            end.peer.send(Stamp { number: end.sent, due_ns }, &mut self.desk, &mut end.outgoing)?;
            self.dirty.push(index);
        }
        Ok(())
    }

    /// Lets one be heard of.
    pub fn ping(&mut self, index: usize) -> Result<()> {
        let Some(end) = self.ends.get_mut(index).filter(|end| end.state == State::Live) else { return Ok(()) };
        buffer(&mut end.outgoing, &mut self.spare_buffers);
        end.peer.ping(&mut self.desk, &mut end.outgoing)?;
        self.flush(index)
    }

    /// Messages that have not come to whom they were for, and acks that have not come.
    pub fn missing_count(&self) -> u64 {
        let missing = |(index, end): (usize, &End<P>)| {
            let writer = self.rooms.heard_by(index).and_then(|writer| self.ends.get(writer));
            writer.map_or(0, |writer| writer.sent.abs_diff(end.heard)) + end.unanswered.len() as u64
        };
        self.ends.iter().enumerate().map(missing).sum()
    }

    /// What has not come by now is missed no more, and counts for nothing if it comes.
    pub fn forgive_missing(&mut self) {
        for index in 0..self.ends.len() {
            let sent = self.rooms.heard_by(index).and_then(|writer| self.ends.get(writer)).map(|writer| writer.sent);
            let Some(end) = self.ends.get_mut(index) else { continue };
            let sent = sent.unwrap_or(end.heard);
            let late = Late { acks: end.unanswered.len(), messages: end.heard + 1..=sent };
            end.late = (!late.is_over()).then(|| Box::new(late));
            end.heard = sent;
            end.unanswered = VecDeque::new();
        }
    }

    /// When somebody's ack has waited for long enough.
    pub fn next_ack_ns(&self) -> Option<u64> {
        self.ends.get(*self.acks_due.front()?).map(|end| end.clock_ns)
    }

    /// Reads and answers what has come, after waiting for it at most so long, and writes what waits to be written. Says how
    /// many sockets had something.
    pub fn turn(&mut self, patience: Duration) -> Result<usize> {
        self.flush_all()?;
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        events.reserve(EVENTS_AT_ONCE);
        let timeout = Timespec::try_from(patience).context("a short time")?;
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        for event in &events {
            let (index, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(epoll::EventFlags::OUT) {
                self.dirty.push(index);
            }
            if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                self.receive(index)?;
            }
        }
        self.send_acks()?;
        self.flush_all()?;
        let events_count = events.len();
        self.events = events;
        Ok(events_count)
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let end = self.ends.get_mut(index).context("no such end")?;
        let Some(stream) = &mut end.stream else { return Ok(()) };
        let size = match stream.read(&mut self.incoming) {
            Ok(size @ 1..) => size,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Ok(_) | Err(_) => {
                self.lose(index);
                return Ok(());
            }
        };
        buffer(&mut end.outgoing, &mut self.spare_buffers);
        let bytes = self.incoming.get(..size).unwrap_or_default();
        end.peer.receive(bytes, &mut self.desk, &mut end.outgoing, &mut self.heard)?;
        self.dirty.push(index);
        self.take_heard(index)
    }

    fn take_heard(&mut self, index: usize) -> Result<()> {
        let now_ns = now_ns();
        let since_us = |then_ns: u64| now_ns.saturating_sub(then_ns) / 1000;
        let end = self.ends.get_mut(index).context("no such end")?;
        let figures = &mut self.figures;
        for heard in self.heard.drain(..) {
            let is_late = end.late.as_mut().is_some_and(|late| late.takes(heard));
            end.late.take_if(|late| late.is_over());
            match heard {
                Heard::Answered | Heard::Message(_) if is_late => {}
                Heard::SessionResumed => figures.sessions_resumed += 1,
                Heard::Live if end.state == State::Arriving => {
                    figures.arrival.saturating_record(since_us(end.clock_ns));
                    (end.state, end.clock_ns) = (State::Live, 0);
                    self.arriving_count -= 1;
                    self.live_count += 1;
                }
                Heard::Live => {}
                Heard::Answered => {
                    let due_ns = end.unanswered.pop_front().context("an ack for nothing")?;
                    if end.unanswered.is_empty() {
                        end.unanswered = VecDeque::new();
                    }
                    figures.answered += 1;
                    figures.ack.saturating_record(since_us(due_ns));
                }
                Heard::Message(stamp) => {
                    figures.delivered += 1;
                    figures.delivery.saturating_record(since_us(stamp.due_ns));
                    figures.duplicated += u64::from(stamp.number == end.heard);
                    figures.reordered += u64::from(stamp.number != end.heard + 1 && stamp.number != end.heard);
                    end.heard = stamp.number;
                }
                Heard::Tick => {}
                Heard::Refused(code) => {
                    figures.refused += 1;
                    figures.refused_code = Some(code);
                }
            }
            if matches!(heard, Heard::Message(_) | Heard::Tick) && end.clock_ns == 0 {
                end.clock_ns = now_ns + ACK_DELAY_NS;
                self.acks_due.push_back(index);
            }
        }
        Ok(())
    }

    fn send_acks(&mut self) -> Result<()> {
        let now_ns = now_ns();
        while let Some(index) = self.acks_due.front().copied() {
            let end = self.ends.get_mut(index).context("no such end")?;
            if end.clock_ns > now_ns {
                break;
            }
            self.acks_due.pop_front();
            if end.state == State::Live {
                end.clock_ns = 0;
                buffer(&mut end.outgoing, &mut self.spare_buffers);
                end.peer.ack(&mut self.desk, &mut end.outgoing)?;
                self.dirty.push(index);
            }
        }
        Ok(())
    }

    /// Writes what has been made since the last turn.
    pub fn flush_all(&mut self) -> Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            self.flush(index)?;
        }
        self.dirty = dirty;
        Ok(())
    }

    /// One write a connection and turn.
    fn flush(&mut self, index: usize) -> Result<()> {
        let end = self.ends.get_mut(index).context("no such end")?;
        let Some(stream) = &mut end.stream else { return Ok(()) };
        if !end.outgoing.is_empty() {
            match stream.write(&end.outgoing) {
                Ok(size) => drop(end.outgoing.drain(..size)),
                // Not connected yet, or full.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {}
                Err(_) => {
                    self.lose(index);
                    return Ok(());
                }
            }
        }
        let is_writing = !end.outgoing.is_empty();
        if !is_writing && end.outgoing.capacity() > 0 {
            let emptied = std::mem::take(&mut end.outgoing);
            if self.spare_buffers.len() < SPARE_BUFFERS_MAX {
                self.spare_buffers.push(emptied);
            }
        }
        if std::mem::replace(&mut end.is_writing, is_writing) != is_writing {
            let out = if is_writing { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let (data, flags) = (epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN | out);
            epoll::modify(&self.epoll, stream.as_fd(), data, flags)?;
        }
        Ok(())
    }

    fn lose(&mut self, index: usize) {
        self.drop_connection(index);
        self.gone.push(index);
    }

    /// An open descriptor that is closed leaves its epoll.
    fn drop_connection(&mut self, index: usize) {
        let Some(end) = self.ends.get_mut(index) else { return };
        match end.state {
            State::Away => return,
            State::Arriving => self.arriving_count -= 1,
            State::Live => self.live_count -= 1,
        }
        (end.stream, end.state, end.is_writing) = (None, State::Away, false);
        (end.outgoing, end.late) = (Vec::new(), None);
    }
}

impl Late {
    /// Whether it is the next of those that were late.
    fn takes(&mut self, heard: Heard) -> bool {
        match heard {
            Heard::Answered if self.acks > 0 => {
                self.acks -= 1;
                true
            }
            Heard::Message(stamp) if self.messages.start() == &stamp.number => {
                // Past its end where it was the last.
                self.messages = stamp.number + 1..=*self.messages.end();
                true
            }
            _ => false,
        }
    }

    fn is_over(&self) -> bool {
        self.acks == 0 && self.messages.is_empty()
    }
}

/// Lends a buffer to who has none.
fn buffer(outgoing: &mut Vec<u8>, spare: &mut Vec<Vec<u8>>) {
    if outgoing.capacity() == 0 {
        *outgoing = spare.pop().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product_peer::ProductPeer;

    #[test]
    fn what_was_given_up_on_is_known_when_it_comes_and_nothing_else_is() {
        let message = |number| Heard::Message(Stamp { number, due_ns: 0 });
        let mut late = Late { acks: 1, messages: 3..=4 };
        for (heard, is_late) in [
            (message(5), false),
            (message(2), false),
            (message(3), true),
            (message(3), false),
            (Heard::Answered, true),
            (Heard::Answered, false),
            (Heard::Tick, false),
        ] {
            assert_eq!((late.takes(heard), late.is_over()), (is_late, false), "{heard:?}");
        }
        assert!(late.takes(message(4)) && late.is_over());
    }

    #[test]
    fn a_million_who_idle_fit_in_400_megabytes() {
        let size = size_of::<End<ProductPeer>>();
        assert!(size <= 400, "{size} bytes");
    }
}
