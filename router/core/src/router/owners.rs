//! Conversations and users by their ids: loaded when they are needed, and parked where too many are in memory.

use alloc::collections::BTreeSet;

use protocol::ids::{ConversationId, UserId};
use protocol::time::Instant;

use super::Router;
use crate::context::Context;
use crate::conversation::ConversationOwner;
use crate::mail::ToUser;
use crate::room::make_room;
use crate::user::UserOwner;

impl Router {
    pub(super) fn with_conversation(
        &mut self,
        id: ConversationId,
        act: impl FnOnce(&mut ConversationOwner, &mut Context),
    ) {
        let Some(owner) = self.conversations.get_mut(&id) else {
            make_room(&mut self.conversations, self.context.config.conversations_max, id, ConversationOwner::is_idle);
            let owner = ConversationOwner::load(&mut self.context, id);
            self.conversations.insert(id, owner);
            return self.with_conversation(id, act);
        };
        owner.is_fresh = true;
        act(owner, &mut self.context);
    }

    /// Loads it where it is not at hand.
    pub(super) fn with_user(&mut self, id: UserId, act: impl FnOnce(&mut UserOwner, &mut Context)) {
        if let Some(owner) = self.users.get_mut(&id) {
            return attend(&mut self.context, &mut self.timers, id, owner, act);
        }
        let forgotten = make_room(&mut self.users, self.context.config.users_max, id, UserOwner::is_idle);
        self.park(forgotten);
        let mut owner = UserOwner::load(&mut self.context, id);
        attend(&mut self.context, &mut self.timers, id, &mut owner, act);
        self.users.insert(id, owner);
    }

    /// For what concerns nobody once the user has been forgotten.
    pub(super) fn with_user_at_hand(&mut self, id: UserId, act: impl FnOnce(&mut UserOwner, &mut Context)) {
        if let Some(owner) = self.users.get_mut(&id) {
            attend(&mut self.context, &mut self.timers, id, owner, act);
        }
    }

    pub(super) fn tell_user(&mut self, id: UserId, mail: ToUser) {
        match mail {
            // Who has a session is here, or parked.
            ToUser::Typing { .. } if !self.users.contains_key(&id) && !self.context.parked.has(id) => {}
            // Nobody is loaded for the end of a session.
            ToUser::Close(session) if !self.users.contains_key(&id) => self.context.close_parked(session),
            mail => self.with_user(id, |owner, context| owner.handle(context, mail)),
        }
    }
}

/// Something for a user; keeps its timer.
fn attend(
    context: &mut Context,
    timers: &mut BTreeSet<(Instant, UserId)>,
    id: UserId,
    owner: &mut UserOwner,
    act: impl FnOnce(&mut UserOwner, &mut Context),
) {
    owner.is_fresh = true;
    act(owner, context);
    let wanted = owner.poll_timeout(&context.config);
    if wanted != owner.armed_for {
        if let Some(at) = owner.armed_for {
            timers.remove(&(at, id));
        }
        timers.extend(wanted.map(|at| (at, id)));
        owner.armed_for = wanted;
    }
}
