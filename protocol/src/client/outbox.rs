//! What is to be sent and not yet answered: in order, each until it is.
//!
//! Invariants: nothing is sent before it is on disk, and nothing under an id that may still change; nothing starts while
//! something before it waits, so that only what is in flight can be overtaken; an entry stays, also on disk, until the
//! application is done with its answer.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::action::{Action, ChangeNumber, ClientEvent, CommandError, EventNumber, Reason};
use super::outgoing::Outgoing;
use super::output::Output;
use super::random::Random;
use super::server_clock::ServerClock;
use super::state::{Change, ClientState};
use crate::codes::Code;
use crate::ids::ClientMsgId;
use crate::limits::{CLIENT_MSG_ID_AGE_MAX, CLIENT_MSG_ID_AHEAD_MAX};
use crate::time::{Instant, Now, WallTime};

/// Messages and operations in an outbox.
pub const OUTBOX_ENTRIES_MAX: usize = 4096;
/// Bytes of their frames.
pub const OUTBOX_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages and operations that are sent and not answered.
pub const IN_FLIGHT_MAX: usize = 64;
/// What is not answered for so long on a live connection is sent again; the wait doubles with each time.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// It doubles up to here.
pub const ANSWER_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// What was refused for now waits at least so long, and up to as long again.
pub const REFUSAL_WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest wait after a refusal that a server is believed.
pub const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// An id that has never been sent is kept up to this age: what is left of the server's limit is for its attempts.
const UNUSED_ID_AGE_MAX: Duration = Duration::from_secs(CLIENT_MSG_ID_AGE_MAX.as_secs() / 2);
/// Likewise when it lies ahead of server time.
const UNUSED_ID_AHEAD_MAX: Duration = Duration::from_secs(CLIENT_MSG_ID_AHEAD_MAX.as_secs() / 2);

pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    bytes: usize,
    in_flight: usize,
    last_used_id: Option<ClientMsgId>,
    /// The greatest id of ours, used or not.
    newest_id: Option<ClientMsgId>,
    /// What the application is to be told of once it is on disk, in that order.
    announcements: VecDeque<Announcement>,
}

struct Announcement {
    written: ChangeNumber,
    id: ClientMsgId,
    replaces: Option<ClientMsgId>,
}

struct Entry {
    outgoing: Outgoing,
    /// It may be sent once this is on disk.
    written: ChangeNumber,
    /// The number of the next attempt.
    attempt: u16,
    /// Attempts on this connection.
    attempts_here: u32,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting { not_before: Instant },
    InFlight { retry_at: Instant },
    Answered(EventNumber),
}

const READY: Progress = Progress::Waiting { not_before: Instant(0) };

impl Outbox {
    pub(super) fn load(state: &mut ClientState) -> Outbox {
        let mut outbox = Outbox {
            entries: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
            last_used_id: state.last_used_id,
            newest_id: state.last_used_id,
            announcements: VecDeque::new(),
        };
        for outgoing in core::mem::take(&mut state.outbox) {
            outbox.push(outgoing, ChangeNumber(0));
        }
        outbox
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is something that may have to be given up one day.
    pub(super) fn has_unanswered(&self) -> bool {
        self.entries.iter().any(|entry| !matches!(entry.progress, Progress::Answered(_)))
    }

    /// Every id minted now is above it.
    pub(super) fn floor(&self) -> Option<ClientMsgId> {
        self.newest_id
    }

    /// Whether something of this size and id can be put in.
    pub(super) fn check_room(&self, id: Option<ClientMsgId>, size: usize) -> Result<(), CommandError> {
        if self.entries.len() >= OUTBOX_ENTRIES_MAX || self.bytes + size > OUTBOX_BYTES_MAX {
            return Err(CommandError::OutboxFull);
        }
        let is_taken = id.is_some_and(|id| self.entries.iter().any(|entry| entry.outgoing.id == id));
        if is_taken { Err(CommandError::ClientIdInvalid) } else { Ok(()) }
    }

    /// The last one from now on. `is_live`: it is sent as soon as it is on disk.
    pub(super) fn put(&mut self, mut outgoing: Outgoing, is_live: bool, output: &mut Output) {
        // Sent for the first time by this session, for all we know; somebody else may have tried a given id.
        let attempt = u16::from(outgoing.is_given);
        outgoing.is_attempted = is_live || outgoing.is_given;
        if is_live && !outgoing.is_given {
            self.last_used_id = self.newest_id.max(Some(outgoing.id));
        }
        let written = output.persist(Change::Queued(outgoing.clone()));
        self.push(outgoing, written);
        self.entries.back_mut().expect("just put in").attempt = attempt;
        self.announce(output);
    }

    fn push(&mut self, outgoing: Outgoing, written: ChangeNumber) {
        self.bytes += outgoing.frame().len();
        if !outgoing.is_given {
            self.newest_id = self.newest_id.max(Some(outgoing.id));
        }
        self.announcements.push_back(Announcement { written, id: outgoing.id, replaces: None });
        let attempt = u16::from(outgoing.is_attempted);
        self.entries.push_back(Entry { outgoing, written, attempt, attempts_here: 0, progress: READY });
    }

    /// Tells of what has got to disk.
    pub(super) fn announce(&mut self, output: &mut Output) {
        while let Some(next) = self.announcements.pop_front_if(|next| output.is_persisted(next.written)) {
            let Some(entry) = self.entries.iter().rev().find(|entry| entry.outgoing.id == next.id) else { continue };
            let (client_msg_id, replaces) = (next.id, next.replaces);
            let news = match (entry.outgoing.draft(), replaces) {
                (Some(draft), _) => Some(ClientEvent::Queued { client_msg_id, draft, replaces }),
                (None, Some(from)) => Some(ClientEvent::OpRenamed { from, to: client_msg_id }),
                (None, None) => None,
            };
            if let Some(news) = news {
                output.event(news);
            }
        }
    }

    /// The session is live: ids that the server would not take are exchanged while they can be, and all may be sent.
    pub(super) fn go_live(&mut self, now: Now, clock: &ServerClock, random: &mut Random, output: &mut Output) {
        let server_time = clock.known(now).expect("the Welcome says what time it is");
        let is_unused = |entry: &Entry| !entry.outgoing.is_attempted;
        if self.entries.iter().any(|entry| is_unused(entry) && !may_be_used(entry.outgoing.id, server_time)) {
            self.rename_unused(now, server_time, clock, random, output);
        }
        if self.entries.iter().any(is_unused) {
            self.last_used_id = self.newest_id;
            let written = output.persist(Change::Attempted);
            for entry in self.entries.iter_mut().filter(|entry| is_unused(entry)) {
                (entry.outgoing.is_attempted, entry.written) = (true, written);
            }
        }
        self.announce(output);
    }

    /// All of them, so that their order stays that of their ids. An id from a clock that was ahead is no floor for the
    /// new ones; one that would do is, so that it does not come up again for something else.
    fn rename_unused(
        &mut self,
        now: Now,
        server_time: WallTime,
        clock: &ServerClock,
        random: &mut Random,
        output: &mut Output,
    ) {
        let usable = self.entries.iter().map(|entry| entry.outgoing.id).filter(|id| may_be_used(*id, server_time));
        let mut floor = self.last_used_id.max(usable.max());
        for entry in self.entries.iter_mut().filter(|entry| !entry.outgoing.is_attempted) {
            let (from, to) = (entry.outgoing.id, clock.mint(now, floor, random));
            floor = Some(to);
            entry.outgoing = entry.outgoing.renamed(to, &mut output.builder);
            entry.written = output.persist(Change::Renamed { from, to: entry.outgoing.clone() });
            self.announcements.retain(|announcement| announcement.id != from);
            self.announcements.push_back(Announcement { written: entry.written, id: to, replaces: Some(from) });
        }
        self.newest_id = floor;
    }

    /// Nothing is in flight any more: all of it is sent again when there is a way.
    pub(super) fn forget_flights(&mut self) {
        for entry in &mut self.entries {
            entry.attempts_here = 0;
            if matches!(entry.progress, Progress::InFlight { .. }) {
                entry.progress = READY;
            }
        }
        self.in_flight = 0;
    }

    /// Sends what may start, and again what was not answered in time. Only while live.
    pub(super) fn pump(&mut self, now: Instant, output: &mut Output) {
        let mut in_flight_ahead = self.in_flight;
        let mut may_start = true;
        for entry in &mut self.entries {
            match entry.progress {
                Progress::Answered(_) => continue,
                Progress::InFlight { retry_at } => {
                    in_flight_ahead -= 1;
                    if retry_at <= now {
                        entry.transmit(now, output);
                    }
                }
                Progress::Waiting { not_before } => {
                    may_start &=
                        not_before <= now && output.is_persisted(entry.written) && self.in_flight < IN_FLIGHT_MAX;
                    if may_start {
                        entry.transmit(now, output);
                        self.in_flight += 1;
                    }
                }
            }
            if !may_start && in_flight_ahead == 0 {
                break;
            }
        }
    }

    /// When [`Outbox::pump`] has something to do although nothing happens.
    pub(super) fn next_timeout(&self, output: &Output) -> Option<Instant> {
        let mut in_flight_ahead = self.in_flight;
        let mut next: Option<Instant> = None;
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        let mut may_start = true;
        for entry in &self.entries {
            match entry.progress {
                Progress::Answered(_) => continue,
                Progress::InFlight { retry_at } => {
                    in_flight_ahead -= 1;
                    sooner(retry_at);
                }
                Progress::Waiting { not_before } => {
                    if may_start && output.is_persisted(entry.written) && self.in_flight < IN_FLIGHT_MAX {
                        sooner(not_before);
                    }
                    may_start = false;
                }
            }
            if !may_start && in_flight_ahead == 0 {
                break;
            }
        }
        next
    }

    /// The server has taken it. Does nothing for what is not, or no longer, to be answered.
    pub(super) fn answered(&mut self, id: ClientMsgId, event: ClientEvent, output: &mut Output) {
        let Some(index) = self.unanswered(id) else { return };
        self.settle(index, event, output);
    }

    /// The server does not take it: for now, or for good.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        id: ClientMsgId,
        refusal: Refusal,
        random: &mut Random,
        output: &mut Output,
    ) {
        let Some(index) = self.unanswered(id) else { return };
        if !refusal.is_temporary {
            return self.settle(index, ClientEvent::Failed { client_msg_id: id, reason: refusal.reason }, output);
        }
        let entry = &mut self.entries[index];
        if matches!(entry.progress, Progress::InFlight { .. }) {
            self.in_flight -= 1;
        }
        entry.progress = Progress::Waiting { not_before: now + refusal.wait(random) };
    }

    /// Gives up what may have been sent and can no longer be sent safely.
    pub(super) fn fail_expired(&mut self, server_time: WallTime, output: &mut Output) {
        let oldest = server_time.minus(CLIENT_MSG_ID_AGE_MAX);
        for index in 0..self.entries.len() {
            let Entry { outgoing, progress, .. } = &self.entries[index];
            let is_answered = matches!(progress, Progress::Answered(_));
            if !is_answered && outgoing.is_attempted && outgoing.id.minted_at() < oldest {
                let (client_msg_id, reason) = (outgoing.id, Reason::from(Code::ClientIdTooOld));
                self.settle(index, ClientEvent::Failed { client_msg_id, reason }, output);
            }
        }
    }

    /// The application is done with this event. False: it is not about anything here.
    pub(super) fn applied(&mut self, number: EventNumber, output: &mut Output) -> bool {
        let Some(index) = self.entries.iter().position(|entry| entry.progress == Progress::Answered(number)) else {
            return false;
        };
        let entry = self.entries.remove(index).expect("found a line ago");
        self.bytes -= entry.outgoing.frame().len();
        output.persist(Change::Answered(entry.outgoing.id));
        true
    }

    fn unanswered(&self, id: ClientMsgId) -> Option<usize> {
        let index = self.entries.iter().position(|entry| entry.outgoing.id == id)?;
        (!matches!(self.entries.get(index)?.progress, Progress::Answered(_))).then_some(index)
    }

    fn settle(&mut self, index: usize, event: ClientEvent, output: &mut Output) {
        let progress = &mut self.entries[index].progress;
        if matches!(progress, Progress::InFlight { .. }) {
            self.in_flight -= 1;
        }
        *progress = Progress::Answered(output.event(event));
    }
}

impl Entry {
    fn transmit(&mut self, now: Instant, output: &mut Output) {
        let frame = self.outgoing.attempt(self.attempt, &mut output.builder);
        output.push(Action::Transmit(frame));
        self.attempt = self.attempt.saturating_add(1);
        let patience = ANSWER_TIMEOUT.saturating_mul(1 << self.attempts_here.min(8)).min(ANSWER_TIMEOUT_MAX);
        self.attempts_here += 1;
        self.progress = Progress::InFlight { retry_at: now + patience };
    }
}

/// What a server says when it does not do something.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) is_temporary: bool,
    pub(super) retry_after_ms: u32,
}

impl Refusal {
    /// Never shorter than the server wishes, and spread: it may have refused many at once.
    pub(super) fn wait(&self, random: &mut Random) -> Duration {
        let wished = Duration::from_millis(u64::from(self.retry_after_ms)).min(REFUSAL_WAIT_MAX);
        wished.max(REFUSAL_WAIT_MIN) + random.up_to(REFUSAL_WAIT_MIN)
    }
}

fn may_be_used(id: ClientMsgId, server_time: WallTime) -> bool {
    (server_time.minus(UNUSED_ID_AGE_MAX)..=server_time.plus(UNUSED_ID_AHEAD_MAX)).contains(&id.minted_at())
}
