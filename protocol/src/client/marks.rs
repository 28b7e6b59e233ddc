//! How far this device is in each conversation: what the stream has brought, and what has been read.

use alloc::vec::Vec;

use super::state::{Mark, put_mark};
use crate::ids::{ConversationId, Seq};

/// At most [`super::MARKS_MAX`] conversations.
pub(super) struct Marks {
    marks: Vec<Mark>,
    /// Those that are not on disk as they are.
    changed: Vec<ConversationId>,
}

impl Marks {
    pub(super) fn new(marks: Vec<Mark>) -> Marks {
        Marks { marks, changed: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        *self = Marks::new(Vec::new());
    }

    /// The newest entry of a conversation.
    pub(super) fn held(&self, conversation: ConversationId) -> Seq {
        self.marks.iter().rev().find(|mark| mark.conversation == conversation).map_or(Seq(0), |mark| mark.held)
    }

    pub(super) fn hold(&mut self, conversation: ConversationId, seq: Seq) {
        self.update(conversation, |mark| mark.held = mark.held.max(seq));
    }

    /// Opened on this device.
    pub(super) fn read(&mut self, conversation: ConversationId, up_to: Seq) {
        self.update(conversation, |mark| mark.read = mark.read.max(up_to));
    }

    /// The server says so.
    pub(super) fn confirm_read(&mut self, conversation: ConversationId, up_to: Seq) {
        self.update(conversation, |mark| mark.read_confirmed = mark.read_confirmed.max(up_to));
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Those that are to be written.
    pub(super) fn take_changed(&mut self) -> Vec<Mark> {
        let changed = core::mem::take(&mut self.changed);
        self.marks.iter().filter(|mark| changed.contains(&mark.conversation)).copied().collect()
    }

    /// What the server has not confirmed.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = (ConversationId, Seq)> {
        self.marks.iter().filter(|mark| mark.read > mark.read_confirmed).map(|mark| (mark.conversation, mark.read))
    }

    fn update(&mut self, conversation: ConversationId, update: impl FnOnce(&mut Mark)) {
        let known = self.marks.iter().rev().find(|mark| mark.conversation == conversation).copied();
        let mut mark = known.unwrap_or(Mark { conversation, held: Seq(0), read: Seq(0), read_confirmed: Seq(0) });
        update(&mut mark);
        if known != Some(mark) {
            put_mark(&mut self.marks, mark);
            if !self.changed.contains(&conversation) {
                self.changed.push(conversation);
            }
        }
    }
}
