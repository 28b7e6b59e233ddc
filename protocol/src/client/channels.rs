//! The channels that a session follows: what is published of them, and out of their histories what of it was missed.
//!
//! What is published comes once or never, so each has its place to tell. An application gets every entry after the place
//! that it has named, in order; where it begins the next time is for it to remember. While it does not keep up nothing more
//! is asked for, and what is published is left out, to be found in the history later.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::action::{Action, Answer, ClientEvent, EventNumber, HistoryPage, HistoryRange, RequestId};
use super::output::Output;
use super::questions::Questions;
use super::stream::UNAPPLIED_EVENTS_MAX;
use crate::event::Event;
use crate::ids::{ConversationId, Seq};
use crate::limits::HISTORY_LIMIT_MAX;
use crate::time::Instant;

/// Channels whose history is being asked for at a time: a page is up to 60 KiB, and a gateway closes who asks for far more
/// than it reads.
const CATCHING_UP_MAX: usize = 4;

#[derive(Default)]
pub(super) struct Channels {
    /// Under which the server was asked last.
    request_id: Option<RequestId>,
    followed: Vec<Followed>,
    /// What the application is not done with.
    unapplied: BTreeSet<EventNumber>,
}

struct Followed {
    conversation: ConversationId,
    /// Everything up to here was told.
    held: Seq,
    /// How far it is, as far as is known.
    head: Seq,
    /// What is missing is being asked for.
    asked: Option<RequestId>,
    /// The server has said how far it is since it was asked last.
    is_answered: bool,
}

impl Channels {
    /// These, in place of those before. `now`: it can be asked.
    pub(super) fn follow(
        &mut self,
        now: Option<Instant>,
        channels: &[(ConversationId, Seq)],
        questions: &mut Questions,
        output: &mut Output,
    ) -> RequestId {
        self.followed.drain(..).filter_map(|followed| followed.asked).for_each(|asked| questions.forget(asked));
        self.request_id.into_iter().for_each(|request_id| questions.forget(request_id));
        let request_id = output.request_id();
        self.request_id = Some(request_id);
        self.followed.extend(channels.iter().map(|&(conversation, held)| Followed {
            conversation,
            held,
            head: held,
            asked: None,
            is_answered: false,
        }));
        let frame = self.frame(request_id, output);
        if self.followed.is_empty() {
            // The server has nothing to say to that; without a connection it knows of none anyhow.
            if now.is_some() {
                output.push(Action::Transmit(frame));
            }
            output.event(ClientEvent::Answer(request_id, Answer::Following));
        } else {
            questions.put(request_id, frame, now, output);
        }
        request_id
    }

    /// The server knows of no channel that the session follows: it is to be asked with all other questions.
    pub(super) fn ask_again(&mut self, questions: &mut Questions, output: &mut Output) {
        let Some(request_id) = self.request_id.filter(|_| !self.followed.is_empty()) else { return };
        self.followed.iter_mut().for_each(|followed| followed.is_answered = false);
        questions.forget(request_id);
        questions.put(request_id, self.frame(request_id, output), None, output);
    }

    fn frame(&self, request_id: RequestId, output: &mut Output) -> Vec<u8> {
        let channels: Vec<ConversationId> = self.followed.iter().map(|followed| followed.conversation).collect();
        output.builder.channel_follow(request_id, &channels).to_vec()
    }

    /// What was published.
    pub(super) fn published(
        &mut self,
        now: Instant,
        conversation: ConversationId,
        head: Seq,
        events: Vec<Event>,
        questions: &mut Questions,
        output: &mut Output,
    ) {
        let Some(followed) = self.followed.iter_mut().find(|followed| followed.conversation == conversation) else {
            return;
        };
        followed.is_answered = true;
        followed.head = followed.head.max(head);
        if self.unapplied.len() < UNAPPLIED_EVENTS_MAX {
            let told = events.into_iter().filter_map(|event| followed.tell(event, output));
            self.unapplied.extend(told);
        }
        self.catch_up(Some(now), questions, output);
        if let Some(request_id) = self.request_id.filter(|_| self.followed.iter().all(|followed| followed.is_answered))
        {
            questions.answered(request_id, Answer::Following, output);
        }
    }

    /// Whether a page of a history was asked for here.
    pub(super) fn page(
        &mut self,
        now: Instant,
        request_id: RequestId,
        page: &HistoryPage,
        questions: &mut Questions,
        output: &mut Output,
    ) -> bool {
        let Some(followed) = self.followed.iter_mut().find(|followed| followed.asked == Some(request_id)) else {
            return false;
        };
        followed.asked = None;
        questions.forget(request_id);
        let held = followed.held;
        followed.head = followed.head.max(page.head);
        let told = page.entries.iter().filter_map(|event| followed.tell(event.clone(), output));
        self.unapplied.extend(told);
        if followed.held == held {
            // There is no more than that, whatever was said.
            followed.head = held;
        }
        self.catch_up(Some(now), questions, output);
        true
    }

    /// Whether the application was told this of a channel; it is done with it. `now`: it can be asked for more.
    pub(super) fn applied(
        &mut self,
        now: Option<Instant>,
        number: EventNumber,
        questions: &mut Questions,
        output: &mut Output,
    ) -> bool {
        let is_ours = self.unapplied.remove(&number);
        if is_ours {
            self.catch_up(now, questions, output);
        }
        is_ours
    }

    /// Asks for what is missing, of few at a time, while the application keeps up.
    fn catch_up(&mut self, now: Option<Instant>, questions: &mut Questions, output: &mut Output) {
        if self.unapplied.len() > UNAPPLIED_EVENTS_MAX / 2 {
            return;
        }
        let asked_count = self.followed.iter().filter(|followed| followed.asked.is_some()).count();
        let behind =
            self.followed.iter_mut().filter(|followed| followed.head > followed.held && followed.asked.is_none());
        for followed in behind.take(CATCHING_UP_MAX.saturating_sub(asked_count)) {
            let request_id = output.request_id();
            let range = HistoryRange::After(followed.held);
            let frame =
                output.builder.history_get(request_id, followed.conversation, range, HISTORY_LIMIT_MAX).to_vec();
            followed.asked = Some(request_id);
            questions.put(request_id, frame, now, output);
        }
    }

    /// A question of this name was refused for good: whether it was one of these. It is asked again with what comes next.
    pub(super) fn refused(&mut self, request_id: RequestId, questions: &mut Questions) -> bool {
        let Some(followed) = self.followed.iter_mut().find(|followed| followed.asked == Some(request_id)) else {
            return false;
        };
        followed.asked = None;
        questions.forget(request_id);
        true
    }
}

impl Followed {
    /// The next one; or, of one that was told before, that it is gone. `None`: there is nothing to tell.
    fn tell(&mut self, event: Event, output: &mut Output) -> Option<EventNumber> {
        let seq = event.entry_seq()?;
        let (is_next, is_void) = (seq.0.checked_sub(1) == Some(self.held.0), matches!(event, Event::Void(_)));
        let is_gone = is_void && seq <= self.held;
        if is_next {
            self.held = seq;
        }
        let is_told = is_gone || is_next && !is_void;
        is_told.then(|| output.event(ClientEvent::Channel { conversation: self.conversation, event }))
    }
}
