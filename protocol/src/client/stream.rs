//! The user's log on its way to the application: every event once, in order, and the cursor behind it.
//!
//! Four places in the log, each at or before the next: acked (the server knows), stored (on disk), applied (the
//! application is done), received (handed to the application). What was received is remembered, so that a log that is
//! sent again after a reconnect goes on where it was.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::action::{ChangeNumber, ClientEvent, EventNumber, RequestId, Snapshot};
use super::marks::Marks;
use super::outbox::ANSWER_TIMEOUT;
use super::output::Output;
use super::state::{Change, ClientState, Position};
use crate::event::Event;
use crate::ids::{ConversationId, Seq, UserSeq};
use crate::limits::ACK_DELAY_MAX;
use crate::time::Instant;

/// Events with the application: more are not taken from the server, which sends them again when asked.
pub const UNAPPLIED_EVENTS_MAX: usize = 1024;
/// The cursor waits so long for company before it is written and then acked. The writing takes its part of what the
/// server grants.
pub const CURSOR_DELAY: Duration = Duration::from_millis(ACK_DELAY_MAX.as_millis() as u64 / 2);

pub(super) struct Stream {
    received: Position,
    applied: Position,
    stored: Position,
    acked: UserSeq,
    unapplied: VecDeque<Unapplied>,
    marks: Marks,
    /// Reads of a life of the store of which nothing has been applied yet.
    early_reads: Marks,
    flush_at: Option<Instant>,
    flush: Option<Flush>,
    sync: Option<Sync>,
    is_live: bool,
    /// Something was not taken because too much was with the application.
    is_behind: bool,
    /// The server brings what is asked for and nothing else, until a page has reached the end of its log.
    is_pulling: bool,
}

struct Unapplied {
    number: EventNumber,
    position: Position,
    effect: Effect,
    is_applied: bool,
}

#[derive(Clone, Copy)]
enum Effect {
    None,
    Holds(ConversationId, Seq),
    ReadConfirmed(ConversationId, Seq),
}

/// A cursor that is being written, and the read marks that go out with it.
struct Flush {
    number: ChangeNumber,
    position: Position,
    reads: Vec<(ConversationId, Seq)>,
}

/// A page that was asked for.
struct Sync {
    request_id: RequestId,
    retry_at: Instant,
}

impl Stream {
    pub(super) fn load(state: &mut ClientState) -> Stream {
        let position = state.position;
        Stream {
            received: position,
            applied: position,
            stored: position,
            acked: position.user_seq,
            unapplied: VecDeque::new(),
            marks: Marks::new(core::mem::take(&mut state.marks)),
            early_reads: Marks::new(Vec::new()),
            flush_at: None,
            flush: None,
            sync: None,
            is_live: false,
            is_behind: false,
            is_pulling: false,
        }
    }

    /// What a Hello may claim.
    pub(super) fn stored(&self) -> Position {
        self.stored
    }

    /// The session is live. `resumed`: the server goes on after what Hello claimed. Otherwise nothing of its log is here,
    /// and a Snapshot says where it goes on; if that is lost on the way, everything is asked for.
    pub(super) fn go_live(&mut self, claimed: Position, resumed: bool, log: Position, output: &mut Output) {
        self.acked = if resumed { claimed.user_seq } else { UserSeq(0) };
        let handed = self.unapplied.back().map_or(self.applied, |last| last.position);
        let goes_on = resumed && handed.is_same_log(&claimed);
        let user_seq = if goes_on { handed.user_seq.max(claimed.user_seq) } else { self.acked };
        self.received = Position { user_seq, ..log };
        (self.is_live, self.is_behind, self.is_pulling) = (true, false, false);
        if resumed {
            self.ack_news(output);
        }
        self.tell_reads(output);
    }

    pub(super) fn disconnected(&mut self) {
        (self.is_live, self.sync) = (false, None);
    }

    /// The server may have lost what it was told and what it was asked.
    pub(super) fn resend(&mut self, now: Instant, output: &mut Output) {
        self.acked = UserSeq(0);
        // A router that serves the session anew knows nothing of that.
        self.is_pulling = false;
        self.ack_news(output);
        self.tell_reads(output);
        if self.sync.take().is_some() {
            self.ask(now, output);
        }
    }

    /// Events from one user_seq on.
    pub(super) fn events(&mut self, now: Instant, first: UserSeq, events: Vec<Event>, output: &mut Output) {
        for (index, event) in (0..).zip(events) {
            // A log ends with the largest number.
            let Some(user_seq) = first.0.checked_add(index) else { return };
            self.is_behind |= self.unapplied.len() >= UNAPPLIED_EVENTS_MAX;
            if self.is_behind {
                return;
            }
            if user_seq <= self.received.user_seq.0 {
                continue;
            }
            if user_seq - 1 > self.received.user_seq.0 {
                return self.ask(now, output);
            }
            self.receive(UserSeq(user_seq), event, output);
        }
    }

    pub(super) fn sync_page(
        &mut self,
        now: Instant,
        request_id: RequestId,
        first: UserSeq,
        events: Vec<Event>,
        has_more: bool,
        output: &mut Output,
    ) {
        self.sync.take_if(|sync| sync.request_id == request_id);
        self.is_pulling &= has_more;
        self.events(now, first, events, output);
        self.pull(now, output);
    }

    /// The page was refused: it is asked for again after a while, or with the next Pong where pushes go on. False: it was
    /// not asked for here.
    pub(super) fn sync_refused(&mut self, request_id: RequestId) -> bool {
        let is_ours = self.sync.as_ref().is_some_and(|sync| sync.request_id == request_id);
        if is_ours && !self.is_pulling {
            self.sync = None;
        }
        is_ours
    }

    /// This session has not kept up: from now on it asks for every page.
    pub(super) fn begin_pull(&mut self, now: Instant, output: &mut Output) {
        self.is_pulling = true;
        self.pull(now, output);
    }

    pub(super) fn snapshot(&mut self, snapshot: Snapshot, output: &mut Output) {
        self.received = snapshot.position;
        let number = output.event(ClientEvent::Snapshot(snapshot));
        self.wait_for(number, Effect::None);
    }

    /// Everything that was received is acked: what the server has beyond it was lost, or is yet to come.
    pub(super) fn is_settled_at(&self) -> Option<UserSeq> {
        let is_settled = self.sync.is_none() && self.unapplied.is_empty() && self.acked == self.received.user_seq;
        is_settled.then_some(self.received.user_seq)
    }

    /// The server's log ends at `head`, and nothing has come since everything was acked at `settled_at`.
    pub(super) fn cure_lost_tail(&mut self, now: Instant, settled_at: UserSeq, head: UserSeq, output: &mut Output) {
        if self.is_settled_at() == Some(settled_at) && head > settled_at {
            self.ask(now, output);
        }
    }

    /// The application is done with this event. False: it is not about anything here.
    pub(super) fn applied(&mut self, now: Instant, number: EventNumber, output: &mut Output) -> bool {
        let Ok(index) = self.unapplied.binary_search_by_key(&number, |unapplied| unapplied.number) else {
            return false;
        };
        self.unapplied[index].is_applied = true;
        while let Some(next) = self.unapplied.pop_front_if(|next| next.is_applied) {
            if next.position.store_incarnation != self.applied.store_incarnation {
                // A seq of another life of the store may be given again, to something else.
                self.marks.clear();
                self.early_reads.unconfirmed().for_each(|(conversation, up_to)| self.marks.read(conversation, up_to));
                self.early_reads.clear();
            }
            self.applied = next.position;
            match next.effect {
                Effect::None => {}
                Effect::Holds(conversation, seq) => self.marks.hold(conversation, seq),
                Effect::ReadConfirmed(conversation, up_to) => self.marks.confirm_read(conversation, up_to),
            }
            self.flush_at.get_or_insert(now + CURSOR_DELAY);
        }
        if self.is_behind && self.unapplied.len() <= UNAPPLIED_EVENTS_MAX / 2 {
            self.is_behind = false;
            self.ask(now, output);
        }
        self.pull(now, output);
        true
    }

    pub(super) fn read(&mut self, now: Instant, conversation: ConversationId, up_to: Seq) {
        if self.received.store_incarnation != self.applied.store_incarnation {
            return self.early_reads.read(conversation, up_to);
        }
        self.marks.read(conversation, up_to);
        if self.marks.is_changed() {
            self.flush_at.get_or_insert(now + CURSOR_DELAY);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let flush_at = self.flush_at.filter(|_| self.flush.is_none());
        [flush_at, self.sync.as_ref().map(|sync| sync.retry_at)].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, output: &mut Output) {
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush(output);
        }
        if self.sync.take_if(|sync| sync.retry_at <= now).is_some() {
            self.ask(now, output);
        }
    }

    /// Has the cursor written now, unless there is nothing to write or it is being written.
    pub(super) fn flush(&mut self, output: &mut Output) {
        if self.flush.is_some() || self.flush_at.take().is_none() {
            return;
        }
        let marks = self.marks.take_changed();
        let reads = marks.iter().filter(|mark| mark.read > mark.read_confirmed);
        let reads = reads.map(|mark| (mark.conversation, mark.read)).collect();
        let number = output.persist(Change::Progress(self.applied, marks));
        self.flush = Some(Flush { number, position: self.applied, reads });
    }

    /// Something is on disk, and the server may be told.
    pub(super) fn handle_persisted(&mut self, output: &mut Output) {
        let Some(flush) = self.flush.take_if(|flush| output.is_persisted(flush.number)) else { return };
        self.stored = flush.position;
        if !self.is_live {
            return;
        }
        self.ack_news(output);
        for (conversation, up_to) in flush.reads {
            output.transmit(|builder| builder.message_read(conversation, up_to));
        }
    }

    /// Whether a cursor is yet to be written.
    pub(super) fn is_flushing(&self) -> bool {
        self.flush.is_some() || self.flush_at.is_some()
    }

    fn ack_news(&mut self, output: &mut Output) {
        if self.stored.is_same_log(&self.received) && self.stored.user_seq != self.acked {
            self.acked = self.stored.user_seq;
            output.transmit(|builder| builder.ack(self.acked));
        }
    }

    fn tell_reads(&self, output: &mut Output) {
        for (conversation, up_to) in self.marks.unconfirmed() {
            output.transmit(|builder| builder.message_read(conversation, up_to));
        }
    }

    fn receive(&mut self, user_seq: UserSeq, event: Event, output: &mut Output) {
        self.received.user_seq = user_seq;
        let effect = match &event {
            Event::MessageNew(message) => Effect::Holds(message.head().conversation, message.head().seq),
            Event::Echo { conversation, seq, .. } => Effect::Holds(*conversation, *seq),
            Event::MemberChanged(change) => Effect::Holds(change.conversation, change.seq),
            Event::Void(Some((conversation, seq))) => Effect::Holds(*conversation, *seq),
            Event::SyncRead { conversation, up_to } => Effect::ReadConfirmed(*conversation, *up_to),
            Event::Void(None) | Event::Delivered(_) | Event::Read(_) | Event::Unknown(_) => Effect::None,
        };
        let is_repeat = matches!(effect, Effect::Holds(conversation, seq) if self.has(conversation, seq));
        let number = output.event(ClientEvent::Stream { user_seq, event, is_repeat });
        self.wait_for(number, effect);
    }

    /// Whether the stream has brought this entry before.
    fn has(&self, conversation: ConversationId, seq: Seq) -> bool {
        let store_incarnation = self.received.store_incarnation;
        let is_here = |unapplied: &Unapplied| {
            unapplied.position.store_incarnation == store_incarnation
                && matches!(unapplied.effect, Effect::Holds(where_to, held) if where_to == conversation && held >= seq)
        };
        self.applied.store_incarnation == store_incarnation && self.marks.held(conversation) >= seq
            || self.unapplied.iter().any(is_here)
    }

    fn wait_for(&mut self, number: EventNumber, effect: Effect) {
        self.unapplied.push_back(Unapplied { number, position: self.received, effect, is_applied: false });
    }

    /// Asks for the next page when the application is done with all there was.
    fn pull(&mut self, now: Instant, output: &mut Output) {
        if self.is_pulling && self.unapplied.is_empty() {
            self.ask(now, output);
        }
    }

    fn ask(&mut self, now: Instant, output: &mut Output) {
        if self.is_live && self.sync.is_none() {
            let (request_id, after) = (output.request_id(), self.received.user_seq);
            self.sync = Some(Sync { request_id, retry_at: now + ANSWER_TIMEOUT });
            output.transmit(|builder| builder.sync_get(request_id, after));
        }
    }
}
