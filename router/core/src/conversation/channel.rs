//! A channel to those who follow it: everybody of its realm who knows its id.
//!
//! Its members are those who write in it, and for them it is a group. Followers see its messages, not who comes and goes
//! among its members.

use alloc::sync::Arc;

use protocol::event::Event;
use protocol::ids::{Seq, UserId};
use protocol::wire::ConversationKind;
use storage_api::{Entry, EntryBody};

use super::Conversation;
use crate::context::Context;
use crate::mail::SessionRef;

impl Conversation {
    /// Whether this user may follow it.
    pub(super) fn may_follow(&self, user: UserId) -> bool {
        let mut members = self.members.all();
        self.kind == ConversationKind::Channel && members.any(|row| row.user.realm() == user.realm())
    }

    /// Whether this user may read this entry, as a member or as a follower.
    pub(super) fn may_read(&self, user: UserId, entry: &Entry) -> bool {
        let is_message = matches!(entry.body, EntryBody::Message(_));
        self.members.visible_to(user, entry.key.seq) || is_message && self.may_follow(user)
    }

    /// The last entry that is for this user, as far as is known to be durable; 0 for none.
    pub(super) fn head_for(&self, user: UserId) -> Seq {
        if self.may_follow(user) { self.durable_head } else { self.members.last_visible(user, self.durable_head) }
    }

    /// From now on everything that becomes durable is published to this connection.
    pub(super) fn follow(&mut self, context: &mut Context, session: SessionRef, request_id: u32) {
        if !context.links.join(session, request_id, self.id, self.durable_head) {
            return;
        }
        self.audience.join(session.link);
        let frame = context.builder.channel_push(self.id, self.durable_head, None);
        context.links.answer(session, frame);
    }

    /// It is durable, and so is everything before it.
    pub(super) fn publish(&self, context: &mut Context, entry: &Arc<Entry>) {
        self.publish_event(context, || Some(entry.event()).filter(|event| matches!(event, Event::MessageNew(_))));
    }

    /// What an entry said is gone.
    pub(super) fn publish_erased(&self, context: &mut Context, seq: Seq) {
        self.publish_event(context, || Some(Event::Void(Some((self.id, seq)))));
    }

    /// Most conversations have no audience, and build nothing.
    fn publish_event(&self, context: &mut Context, event: impl FnOnce() -> Option<Event>) {
        if self.audience.is_empty() {
            return;
        }
        let frame = context.builder.channel_push(self.id, self.durable_head, event().as_ref());
        for link in self.audience.links() {
            let has_gone = context.links.publish(link, self.id, self.durable_head, frame);
            context.counters.entries_published += u64::from(has_gone);
            context.counters.entries_left_out += u64::from(!has_gone);
        }
    }
}
