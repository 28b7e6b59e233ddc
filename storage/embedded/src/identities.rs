//! Which entry has which identity, for as long as retries may come.

use std::collections::{BTreeMap, HashMap};

use protocol::ids::{ConversationId, Seq};
use protocol::time::WallTime;
use storage_api::{DEDUP_DAYS, Identity};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// By the day on which the id was minted, so that a day is forgotten at once.
#[derive(Default)]
pub(crate) struct Identities {
    days: BTreeMap<u64, HashMap<(ConversationId, Identity), Seq>>,
}

impl Identities {
    /// The entry at the highest seq counts: ids come once, but for what a former format may have left.
    pub(crate) fn insert(&mut self, conversation: ConversationId, identity: Identity, seq: Seq) {
        let day = self.days.entry(day_of(identity.client_id.minted_at())).or_default();
        let known = day.entry((conversation, identity)).or_insert(seq);
        *known = (*known).max(seq);
    }

    pub(crate) fn find(&self, conversation: ConversationId, identity: Identity) -> Option<Seq> {
        self.days.get(&day_of(identity.client_id.minted_at()))?.get(&(conversation, identity)).copied()
    }

    /// Ids that are older than what is accepted, a whole day at a time.
    pub(crate) fn forget_before(&mut self, now: WallTime) {
        let oldest = day_of(now).saturating_sub(u64::from(DEDUP_DAYS));
        while self.days.first_key_value().is_some_and(|(day, _)| *day < oldest) {
            self.days.pop_first();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.days.values().map(HashMap::len).sum()
    }
}

fn day_of(time: WallTime) -> u64 {
    time.0 / DAY_MS
}
