//! What was asked of the server and not yet answered. Nothing of it is on disk: whoever asked is gone after a restart.
//!
//! Asking twice does no harm, so a question is asked again whenever its answer may be lost.

use alloc::vec::Vec;

use super::action::{Action, Answer, ClientEvent, CommandError, RequestId};
use super::outbox::{ANSWER_TIMEOUT, Refusal};
use super::output::Output;
use super::random::Random;
use crate::time::Instant;

/// Questions that are open at a time.
pub const QUESTIONS_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Questions {
    questions: Vec<Question>,
}

struct Question {
    request_id: RequestId,
    frame: Vec<u8>,
    /// `None` while there is no way to ask.
    ask_at: Option<Instant>,
}

impl Questions {
    pub(super) fn check_room(&self) -> Result<(), CommandError> {
        if self.questions.len() < QUESTIONS_MAX { Ok(()) } else { Err(CommandError::RequestsFull) }
    }

    /// `now`: it can be asked.
    pub(super) fn put(&mut self, request_id: RequestId, frame: Vec<u8>, now: Option<Instant>, output: &mut Output) {
        self.questions.push(Question { request_id, frame, ask_at: now });
        if let Some(now) = now {
            self.pump(now, output);
        }
    }

    /// All of them, again.
    pub(super) fn resend(&mut self, now: Instant, output: &mut Output) {
        self.questions.iter_mut().for_each(|question| question.ask_at = Some(now));
        self.pump(now, output);
    }

    /// Nobody waits for the answer.
    pub(super) fn forget(&mut self, request_id: RequestId) {
        self.questions.retain(|question| question.request_id != request_id);
    }

    pub(super) fn disconnected(&mut self) {
        self.questions.iter_mut().for_each(|question| question.ask_at = None);
    }

    pub(super) fn answered(&mut self, request_id: RequestId, answer: Answer, output: &mut Output) {
        if let Some(index) = self.index(request_id) {
            self.questions.swap_remove(index);
            output.event(ClientEvent::Answer(request_id, answer));
        }
    }

    pub(super) fn refused(
        &mut self,
        now: Instant,
        request_id: RequestId,
        refusal: Refusal,
        random: &mut Random,
        output: &mut Output,
    ) {
        if !refusal.is_temporary {
            return self.answered(request_id, Answer::Refused(refusal.reason), output);
        }
        if let Some(question) = self.index(request_id).and_then(|index| self.questions.get_mut(index)) {
            question.ask_at = Some(now + refusal.wait(random));
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.questions.iter().filter_map(|question| question.ask_at).min()
    }

    /// Asks what is due.
    pub(super) fn pump(&mut self, now: Instant, output: &mut Output) {
        for question in self.questions.iter_mut().filter(|question| question.ask_at.is_some_and(|at| at <= now)) {
            question.ask_at = Some(now + ANSWER_TIMEOUT);
            output.push(Action::Transmit(question.frame.clone()));
        }
    }

    fn index(&self, request_id: RequestId) -> Option<usize> {
        self.questions.iter().position(|question| question.request_id == request_id)
    }
}
