//! Finds the session of a device: a slot for each, whose connection says whose it is.
//!
//! In parts that grow one by one, so that no turn waits until a million sessions have found new places. Invariant: every slot
//! in it is taken, by a connection whose user and device do not change.

use alloc::boxed::Box;
use core::mem;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use protocol::ids::{DeviceId, UserId};

use crate::connection::{Connection, ConnectionId};
use crate::slab::Slab;

/// At a million sessions one that grows moves some 4,000, in a quarter of a millisecond.
const PARTS: usize = 256;

/// See the file's head. Four bytes and one for the tag, at a load of 7/16 to 7/8.
pub(crate) struct SessionIndex(Box<[HashTable<u32>; PARTS]>);

impl Default for SessionIndex {
    fn default() -> SessionIndex {
        SessionIndex(Box::new([const { HashTable::new() }; PARTS]))
    }
}

impl SessionIndex {
    /// Gives the session that the device had before.
    pub(crate) fn insert(&mut self, id: ConnectionId, slab: &Slab<Connection>) -> Option<ConnectionId> {
        let key = key_of(id.index, slab);
        let is_same = |slot: &u32| key_of(*slot, slab) == key;
        match self.part(key).entry(hash_of(key), is_same, |slot| hash_of(key_of(*slot, slab))) {
            Entry::Vacant(vacant) => {
                vacant.insert(id.index);
                None
            }
            Entry::Occupied(mut occupied) => {
                let previous = mem::replace(occupied.get_mut(), id.index);
                slab.at(previous).map(|(id, _)| id)
            }
        }
    }

    /// Unless the device has another one since.
    pub(crate) fn remove(&mut self, id: ConnectionId, slab: &Slab<Connection>) {
        let key = key_of(id.index, slab);
        if let Ok(occupied) = self.part(key).find_entry(hash_of(key), |slot| *slot == id.index) {
            occupied.remove();
        }
    }

    fn part(&mut self, key: (UserId, DeviceId)) -> &mut HashTable<u32> {
        // The table takes its places from the lowest bits and its tags from the highest.
        let part = (hash_of(key) >> 40) as usize % PARTS;
        self.0.get_mut(part).expect("a remainder is below its divisor")
    }
}

fn key_of(slot: u32, slab: &Slab<Connection>) -> (UserId, DeviceId) {
    let (_, connection) = slab.at(slot).expect("a session leaves the index before its slot");
    (connection.user, connection.device)
}

/// Ids are given by the router: who connects cannot choose them to collide.
fn hash_of((user, device): (UserId, DeviceId)) -> u64 {
    // Two odd numbers without a pattern, as of a multiplicative hash: the fractions of the golden ratio and of √2.
    let mixed = user.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ device.0.wrapping_mul(0x6a09_e667_f3bc_c909);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

#[cfg(test)]
mod tests {
    use protocol::time::Instant;

    use super::*;

    fn session(slab: &mut Slab<Connection>, user: u64, device: u64) -> ConnectionId {
        let id = slab.insert(Connection::new(Instant(0)));
        let connection = slab.get_mut(id).expect("it was just made");
        (connection.user, connection.device) = (UserId(user), DeviceId(device));
        id
    }

    #[test]
    fn each_device_has_its_newest_session() {
        let (mut slab, mut index) = (Slab::default(), SessionIndex::default());
        for user in 0..10_000 {
            for device in 1..3 {
                assert_eq!(index.insert(session(&mut slab, user, device), &slab), None);
            }
        }
        let old = ConnectionId { index: 9_000, generation: 1 };
        let new = session(&mut slab, 4_500, 1);
        assert_eq!(index.insert(new, &slab), Some(old));
        index.remove(old, &slab);
        assert_eq!(
            index.insert(session(&mut slab, 4_500, 1), &slab),
            Some(new),
            "the older one's end took nothing away"
        );
    }

    #[test]
    fn who_has_left_is_not_found_and_its_slot_serves_another() {
        let (mut slab, mut index) = (Slab::default(), SessionIndex::default());
        let left = session(&mut slab, 7, 1);
        assert_eq!(index.insert(left, &slab), None);
        index.remove(left, &slab);
        slab.remove(left).expect("it was there");
        let other = session(&mut slab, 8, 1);
        assert_eq!((other.index, index.insert(other, &slab)), (left.index, None));
        assert_eq!(index.insert(session(&mut slab, 7, 1), &slab), None);
    }

    #[test]
    fn ids_that_follow_each_other_are_spread_over_the_parts() {
        let (mut slab, mut index) = (Slab::default(), SessionIndex::default());
        for user in 0..PARTS as u64 * 100 {
            index.insert(session(&mut slab, 1 << 48 | user, 1), &slab);
        }
        assert!(index.0.iter().all(|part| (50..150).contains(&part.len())));
    }
}
