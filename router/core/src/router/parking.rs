//! Whoever has had nothing to do for a while is forgotten. Of a user with sessions these stay ([`ParkedSessions`]).
//!
//! A sweep looks at a few owners at a time and comes to each once in `park_after`; who was not needed since the sweep's last
//! visit goes. So nobody has a timer for it, and a turn does a bounded amount.
//!
//! [`ParkedSessions`]: crate::parked::ParkedSessions

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Unbounded};
use core::time::Duration;

use protocol::time::Instant;

use super::Router;
use crate::conversation::ConversationOwner;
use crate::user::UserOwner;

/// How many owners a step looks at: some ten microseconds.
const OWNERS_PER_STEP: usize = 256;

/// How far the rounds over users, or over conversations, are.
pub(super) struct Sweep<K> {
    /// When the next step is due; `None`: there is nobody to look at.
    next_at: Option<Instant>,
    /// Of this round. It does not fall when owners go, or the last ones would wait the longer the more have gone.
    steps: usize,
    /// Who was looked at last in this round.
    last: Option<K>,
}

impl<K> Default for Sweep<K> {
    fn default() -> Self {
        Sweep { next_at: None, steps: 0, last: None }
    }
}

impl<K: Ord + Copy> Sweep<K> {
    /// Takes out who rests of those that are looked at now.
    fn take_resting<V>(&mut self, now: Instant, owners: &mut BTreeMap<K, V>, rests: fn(&mut V) -> bool) -> Vec<V> {
        if self.next_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.next_at = None;
        let after = self.last.map_or(Unbounded, Excluded);
        let mut resting = Vec::new();
        for (id, owner) in owners.range_mut((after, Unbounded)).take(OWNERS_PER_STEP) {
            self.last = Some(*id);
            if rests(owner) {
                resting.push(*id);
            }
        }
        if owners.last_key_value().is_none_or(|(end, _)| self.last.is_none_or(|last| last >= *end)) {
            (self.steps, self.last) = (0, None);
        }
        resting.iter().filter_map(|id| owners.remove(id)).collect()
    }

    /// There may be somebody to look at.
    fn arm(&mut self, now: Instant, owners_count: usize, park_after: Duration) {
        if owners_count > 0 && self.next_at.is_none() {
            self.steps = self.steps.max(owners_count.div_ceil(OWNERS_PER_STEP));
            self.next_at = Some(now + park_after / u32::try_from(self.steps).unwrap_or(u32::MAX));
        }
    }
}

impl Router {
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        [self.users_sweep.next_at, self.conversations_sweep.next_at].into_iter().flatten().min()
    }

    pub(super) fn sweep(&mut self) {
        let now = self.context.now.monotonic;
        let resting = self.users_sweep.take_resting(now, &mut self.users, UserOwner::rests);
        self.park(resting);
        self.conversations_sweep.take_resting(now, &mut self.conversations, ConversationOwner::rests);
    }

    /// At the end of a turn.
    pub(super) fn arm_sweep(&mut self) {
        let (now, park_after) = (self.context.now.monotonic, self.context.config.park_after);
        self.users_sweep.arm(now, self.users.len(), park_after);
        self.conversations_sweep.arm(now, self.conversations.len(), park_after);
    }

    /// These users have been forgotten: their sessions are all that stays.
    pub(super) fn park(&mut self, owners: Vec<UserOwner>) {
        for sessions in owners.into_iter().filter_map(UserOwner::into_sessions) {
            self.context.counters.users_parked += 1;
            sessions.iter().for_each(|(reference, session)| self.context.parked.put(*reference, session));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_comes_to_everybody_once_in_its_time_however_many_go_meanwhile() {
        let park_after = Duration::from_secs(8);
        let mut owners: BTreeMap<usize, u32> = (0..8 * OWNERS_PER_STEP).map(|id| (id, 0)).collect();
        let (mut sweep, mut now) = (Sweep::default(), Instant(0));
        for second in 1..=16 {
            sweep.arm(now, owners.len(), park_after);
            now = now + Duration::from_secs(1);
            let resting = sweep.take_resting(now, &mut owners, |visits| {
                *visits += 1;
                *visits == 2
            });
            assert_eq!(resting.len(), if second <= 8 { 0 } else { OWNERS_PER_STEP }, "second {second}");
        }
        assert!(owners.is_empty());
    }
}
