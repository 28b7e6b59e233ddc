//! What connections hold in memory because it has not come whole or may not be told yet: who holds most, and who is late.
//!
//! Neither is looked for among all: while the router is slow, a shard may hold something for everybody.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use gateway_core::ConnectionId;
use protocol::time::Instant;

/// What one connection holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) bytes: usize,
    /// Since when the rest could have come and has not.
    pub(super) torn_since: Option<Instant>,
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Torn {
    rows: HashMap<ConnectionId, Row>,
    by_size: BTreeSet<(usize, Reverse<u64>, ConnectionId)>,
    by_age: BTreeSet<(Instant, ConnectionId)>,
    bytes: usize,
    rows_named: u64,
}

struct Row {
    held: Held,
    /// Counts those that have begun to hold something.
    number: u64,
}

impl Torn {
    /// What it holds from now on.
    pub(super) fn note(&mut self, key: ConnectionId, held: Held) {
        let before = self.forget(key);
        if held.bytes == 0 {
            return;
        }
        let number = before.unwrap_or_else(|| {
            self.rows_named += 1;
            self.rows_named
        });
        self.bytes += held.bytes;
        self.by_size.insert((held.bytes, Reverse(number), key));
        self.by_age.extend(held.torn_since.map(|since| (since, key)));
        self.rows.insert(key, Row { held, number });
    }

    /// It holds nothing any more. Its number, if it did.
    pub(super) fn forget(&mut self, key: ConnectionId) -> Option<u64> {
        let Row { held, number } = self.rows.remove(&key)?;
        self.bytes -= held.bytes;
        self.by_size.remove(&(held.bytes, Reverse(number), key));
        if let Some(since) = held.torn_since {
            self.by_age.remove(&(since, key));
        }
        Some(number)
    }

    /// In all.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many hold something.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Who holds most first, of equals who began first.
    pub(super) fn largest_first(&self) -> impl Iterator<Item = ConnectionId> {
        self.by_size.iter().rev().map(|(_, _, key)| *key)
    }

    /// Who waits longest for the rest, and since when, first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = (Instant, ConnectionId)> {
        self.by_age.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> ConnectionId {
        ConnectionId { index, generation: 1 }
    }

    fn held(bytes: usize, torn_since: Option<u64>) -> Held {
        Held { bytes, torn_since: torn_since.map(Instant) }
    }

    #[test]
    fn the_largest_and_the_oldest_come_first_and_who_holds_nothing_is_forgotten() {
        let mut torn = Torn::default();
        torn.note(key(1), held(100, Some(30)));
        torn.note(key(2), held(300, None));
        torn.note(key(3), held(100, Some(10)));
        torn.note(key(4), held(100, Some(20)));
        assert_eq!((torn.bytes(), torn.len()), (600, 4));
        assert_eq!(torn.largest_first().collect::<Vec<_>>(), [2, 1, 3, 4].map(key));
        assert_eq!(torn.oldest_first().map(|(since, _)| since.0).collect::<Vec<_>>(), [10, 20, 30]);
        // It grows, and keeps its place among those of its size.
        torn.note(key(3), held(150, Some(10)));
        torn.note(key(1), held(150, Some(30)));
        torn.note(key(2), held(0, None));
        assert_eq!(torn.forget(key(4)), Some(4));
        assert_eq!((torn.bytes(), torn.len()), (300, 2));
        assert_eq!(torn.largest_first().collect::<Vec<_>>(), [1, 3].map(key));
        assert_eq!(torn.oldest_first().map(|(since, _)| since.0).collect::<Vec<_>>(), [10, 30]);
    }
}
