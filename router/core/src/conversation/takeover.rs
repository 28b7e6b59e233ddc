//! What a new owner does before it serves a conversation whose last owner may have died with writes under way.
//!
//! It reads the last 2 × W places, W being the most entries in flight, and writes the last W anew under its own epoch: the
//! entry that counts, or a void where there is none. Late writes of the former owner then lie below those and count no
//! more. Of entries with the same identity only the one with the highest epoch stays; reading twice the window finds the
//! twin that an earlier takeover kept. With a window read only once a message could end up at two places; without the
//! rule of identity it would.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::ids::{ConversationId, Epoch, Ordinal, Seq};
use storage_api::{ENTRIES_IN_FLIGHT_MAX, Entry, EntryBody, EntryKey, Identity};

/// How many places a takeover reads.
pub(super) const PLACES_READ: usize = 2 * ENTRIES_IN_FLIGHT_MAX;

/// The first place it reads.
pub(super) fn first_read(head: Seq) -> Seq {
    Seq(head.0.saturating_sub(PLACES_READ as u64) + 1)
}

/// The entries to write, of which `voids` are new voids.
pub(super) struct Plan {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) voids: u64,
}

/// `found`: of each place from [`first_read`] to `head` the entry with the highest epoch, where there is one.
pub(super) fn plan(conversation: ConversationId, head: Seq, found: &[Arc<Entry>], epoch: Epoch) -> Plan {
    let mut newest: BTreeMap<Identity, (Epoch, Seq)> = BTreeMap::new();
    for entry in found {
        let Some(identity) = entry.identity() else { continue };
        let place = newest.entry(identity).or_insert((entry.epoch, entry.key.seq));
        if entry.epoch > place.0 {
            *place = (entry.epoch, entry.key.seq);
        }
    }
    let found: BTreeMap<Seq, &Arc<Entry>> = found.iter().map(|entry| (entry.key.seq, entry)).collect();
    let mut plan = Plan { entries: Vec::new(), voids: 0 };
    let first = Seq(head.0.saturating_sub(ENTRIES_IN_FLIGHT_MAX as u64) + 1);
    let mut ordinal = found.range(..first).next_back().map_or(Ordinal(0), |(_, entry)| entry.ordinal);
    for seq in (first.0..=head.0).map(Seq) {
        let entry = found.get(&seq);
        let stays = entry.is_some_and(|entry| {
            entry.identity().is_none_or(|identity| newest.get(&identity).is_some_and(|(_, place)| *place == seq))
        });
        ordinal = entry.map_or(ordinal, |entry| entry.ordinal);
        let body = match entry {
            Some(entry) if stays => entry.body.clone(),
            _ => {
                plan.voids += 1;
                EntryBody::Void
            }
        };
        plan.entries.push(Arc::new(Entry { key: EntryKey { conversation, seq }, epoch, ordinal, body }));
    }
    plan
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use protocol::event::MemberChanged;
    use protocol::ids::{ClientMsgId, DeviceId, UserId};
    use protocol::time::WallTime;
    use protocol::wire::{ConversationKind, MembershipAction, Role};

    use super::*;

    const CONVERSATION: ConversationId = ConversationId([1; 16]);

    fn entry(seq: u64, epoch: u64, id: u8) -> Arc<Entry> {
        let body = EntryBody::Membership(Arc::new(MemberChanged {
            conversation: CONVERSATION,
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            action: MembershipAction::Added,
            actor: UserId(1),
            actor_device: DeviceId(1),
            users: vec![],
            role: Role::Member,
            kind: ConversationKind::Group,
            title: String::new(),
            client_op_id: ClientMsgId([id; 16]),
            server_time: WallTime(0),
        }));
        let key = EntryKey { conversation: CONVERSATION, seq: Seq(seq) };
        Arc::new(Entry { key, epoch: Epoch(epoch), ordinal: Ordinal(seq), body })
    }

    fn voids(head: u64, found: &[Arc<Entry>]) -> Vec<u64> {
        let plan = plan(CONVERSATION, Seq(head), found, Epoch(9));
        assert!(plan.entries.iter().all(|entry| entry.epoch == Epoch(9)));
        let voids: Vec<u64> =
            plan.entries.iter().filter(|entry| entry.body == EntryBody::Void).map(|entry| entry.key.seq.0).collect();
        assert_eq!(plan.voids, voids.len() as u64);
        voids
    }

    #[test]
    fn every_place_of_the_window_is_written_and_holes_become_voids() {
        let plan = plan(CONVERSATION, Seq(4), &[entry(1, 1, 1), entry(4, 2, 4)], Epoch(9));
        assert!(plan.entries.iter().map(|entry| entry.key.seq.0).eq(1..=4));
        assert_eq!(voids(4, &[entry(1, 1, 1), entry(4, 2, 4)]), [2, 3]);
    }

    #[test]
    fn of_two_entries_with_one_identity_the_higher_epoch_stays() {
        assert_eq!(voids(3, &[entry(1, 2, 7), entry(2, 1, 2), entry(3, 3, 7)]), [1]);
        assert_eq!(voids(3, &[entry(1, 3, 7), entry(2, 1, 2), entry(3, 2, 7)]), [3]);
    }

    #[test]
    fn a_twin_before_the_window_is_found_because_twice_the_window_is_read() {
        let window = ENTRIES_IN_FLIGHT_MAX as u64;
        let head = 2 * window;
        let mut found: Vec<Arc<Entry>> = (2..=head).map(|seq| entry(seq, 1, seq as u8)).collect();
        found.insert(0, entry(1, 5, head as u8));
        assert_eq!(first_read(Seq(head)), Seq(1));
        assert_eq!(voids(head, &found), [head]);
    }
}
