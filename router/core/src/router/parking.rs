//! Whoever has had nothing to do for a while is forgotten. Of a user with sessions these stay ([`ParkedSessions`]).
//!
//! A sweep looks at a few owners at a time and comes to each once in `park_after`; who was not needed since the sweep's last
//! visit goes. So nobody has a timer for it, and a turn does a bounded amount.
//!
//! [`ParkedSessions`]: crate::parked::ParkedSessions

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Unbounded};

use protocol::ids::{ConversationId, UserId};
use protocol::time::Instant;

use super::Router;
use crate::conversation::ConversationOwner;
use crate::user::UserOwner;

/// How many users, and as many conversations, a step looks at: some ten microseconds.
const OWNERS_PER_STEP: usize = 256;

/// How far the sweep is.
#[derive(Default)]
pub(super) struct Sweep {
    /// When its next step is due; `None` until there is somebody to look at.
    next_at: Option<Instant>,
    /// Who was looked at last in this round.
    user: Option<UserId>,
    conversation: Option<ConversationId>,
}

impl Router {
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.sweep.next_at
    }

    /// A step, if it is due.
    pub(super) fn sweep(&mut self) {
        let now = self.context.now.monotonic;
        if self.sweep.next_at.is_some_and(|at| at <= now) {
            let resting = take_resting(&mut self.users, &mut self.sweep.user, UserOwner::rests);
            self.park(resting);
            take_resting(&mut self.conversations, &mut self.sweep.conversation, ConversationOwner::rests);
            self.sweep.next_at = None;
        }
    }

    /// At the end of a turn: there may be somebody to look at.
    pub(super) fn arm_sweep(&mut self) {
        let owners = self.users.len().max(self.conversations.len());
        if owners > 0 && self.sweep.next_at.is_none() {
            let steps = u32::try_from(owners.div_ceil(OWNERS_PER_STEP)).unwrap_or(u32::MAX);
            self.sweep.next_at = Some(self.context.now.monotonic + self.context.config.park_after / steps);
        }
    }

    /// These users have been forgotten: their sessions are all that stays.
    pub(super) fn park(&mut self, owners: Vec<UserOwner>) {
        for sessions in owners.into_iter().filter_map(UserOwner::into_sessions) {
            self.context.counters.users_parked += 1;
            sessions.iter().for_each(|(reference, session)| self.context.parked.put(*reference, session));
        }
    }
}

/// Of the next few owners after `last` those that rest, taken out.
fn take_resting<K: Ord + Copy, V>(
    owners: &mut BTreeMap<K, V>,
    last: &mut Option<K>,
    rests: fn(&mut V) -> bool,
) -> Vec<V> {
    let after = last.map_or(Unbounded, Excluded);
    let (mut looked_at, mut resting) = (0, Vec::new());
    for (id, owner) in owners.range_mut((after, Unbounded)).take(OWNERS_PER_STEP) {
        (looked_at, *last) = (looked_at + 1, Some(*id));
        if rests(owner) {
            resting.push(*id);
        }
    }
    if looked_at < OWNERS_PER_STEP {
        *last = None;
    }
    resting.iter().filter_map(|id| owners.remove(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_comes_to_all_in_turn_and_a_step_looks_at_few() {
        let mut owners: BTreeMap<usize, bool> = (0..3 * OWNERS_PER_STEP).map(|id| (id, id % 2 == 0)).collect();
        let mut last = None;
        let mut step = || {
            let resting = take_resting(&mut owners, &mut last, |owner| *owner);
            (resting.len(), owners.len())
        };
        let of_step = OWNERS_PER_STEP / 2;
        assert_eq!(step(), (of_step, 5 * of_step));
        assert_eq!(step(), (of_step, 4 * of_step));
        assert_eq!(step(), (of_step, 3 * of_step));
        // The end of the round; the next one finds only those that do not rest.
        assert_eq!(step(), (0, 3 * of_step));
        assert_eq!(step(), (0, 3 * of_step));
    }
}
