//! A map in order of its keys that has one row, or a few, almost always: a sorted vector without spare room.
//!
//! A node of a `BTreeMap` has room for eleven rows, and a hash map for three, so that the one device or the one conversation
//! of most people would take a kilobyte each. Somebody has ten thousand conversations: beyond [`FEW_MAX`] rows it is a
//! `BTreeMap`, for good, so that no row costs more than the one before.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Up to so many rows are moved when one comes between them.
const FEW_MAX: usize = 64;

/// See the file's head.
#[derive(Clone, Debug)]
pub struct SmallMap<K, V> {
    rows: Rows<K, V>,
}

#[derive(Clone, Debug)]
enum Rows<K, V> {
    Few(Vec<(K, V)>),
    #[expect(clippy::box_collection, reason = "without it the map is larger than its vector")]
    Many(Box<BTreeMap<K, V>>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        SmallMap { rows: Rows::Few(Vec::new()) }
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    /// An empty one, which has allocated nothing.
    pub fn new() -> SmallMap<K, V> {
        SmallMap::default()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Few(few) => few.len(),
            Rows::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        match &self.rows {
            Rows::Few(few) => place(few, key).ok().map(|index| &few[index].1),
            Rows::Many(many) => many.get(key),
        }
    }

    /// The value at a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.rows {
            Rows::Few(few) => place(few, key).ok().map(|index| &mut few[index].1),
            Rows::Many(many) => many.get_mut(key),
        }
    }

    /// The value at a key, made where there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if let Rows::Few(few) = &mut self.rows
            && few.len() >= FEW_MAX
        {
            self.rows = Rows::Many(Box::new(core::mem::take(few).into_iter().collect()));
        }
        match &mut self.rows {
            Rows::Many(many) => many.entry(key).or_insert_with(make),
            Rows::Few(few) => {
                let found = place(few, &key);
                let (Ok(index) | Err(index)) = found;
                if found.is_err() {
                    // A quarter of what is there, where a vector takes as much again, and four at first.
                    if few.len() == few.capacity() {
                        few.reserve_exact(few.len() / 4 + 1);
                    }
                    few.insert(index, (key, make()));
                }
                &mut few[index].1
            }
        }
    }

    /// Puts a value at a key; answers the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(&key) {
            return Some(core::mem::replace(known, value));
        }
        self.get_or_insert_with(key, || value);
        None
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        match &mut self.rows {
            Rows::Few(few) => place(few, key).ok().map(|index| few.remove(index).1),
            Rows::Many(many) => many.remove(key),
        }
    }

    /// Keeps those rows of which `keeps` is true.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        match &mut self.rows {
            Rows::Few(few) => few.retain_mut(|(key, value)| keeps(key, value)),
            Rows::Many(many) => many.retain(keeps),
        }
    }

    /// The first key after this one.
    pub fn next_key(&self, key: &K) -> Option<&K> {
        match &self.rows {
            Rows::Few(few) => few.get(few.partition_point(|(known, _)| known <= key)).map(|(known, _)| known),
            Rows::Many(many) => {
                use core::ops::Bound::{Excluded, Unbounded};
                many.range((Excluded(key), Unbounded)).next().map(|(known, _)| known)
            }
        }
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match &self.rows {
            Rows::Few(few) => (few.as_slice(), None),
            Rows::Many(many) => (&[][..], Some(&**many)),
        };
        few.iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// Where a key is, or where it would go.
fn place<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(known, _)| known.cmp(key))
}

impl<K: Ord, V> FromIterator<(K, V)> for SmallMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(rows: I) -> Self {
        let mut map = SmallMap::new();
        for (key, value) in rows {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SmallMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq> Eq for SmallMap<K, V> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// More keys than are few, so that it passes the bound and comes back below it.
    #[test]
    fn it_does_what_a_tree_does_at_every_size() {
        let (mut map, mut tree) = (SmallMap::new(), BTreeMap::new());
        let mut random = 7_u64;
        for step in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (random >> 33) % (2 * FEW_MAX as u64);
            match (random >> 60) % 4 {
                // Fewer removals in the first half.
                0 | 1 if step % 4_000 < 2_000 || step % 3 == 0 => {
                    assert_eq!(map.insert(key, step), tree.insert(key, step))
                }
                2 => assert_eq!(map.get_or_insert_with(key, || step), tree.entry(key).or_insert(step)),
                3 if step % 1_000 == 0 => {
                    map.retain(|key, _| key % 3 == 0);
                    tree.retain(|key, _| key % 3 == 0);
                }
                _ => assert_eq!(map.remove(&key), tree.remove(&key)),
            }
            assert_eq!(map.get(&key), tree.get(&key));
            assert_eq!(map.get_mut(&key), tree.get_mut(&key));
            assert_eq!(map.next_key(&key), tree.range(key + 1..).next().map(|(key, _)| key));
            assert!(map.len() == tree.len() && map.is_empty() == tree.is_empty() && map.iter().eq(tree.iter()));
        }
        assert!(matches!(map.rows, Rows::Many(_)));
    }

    #[test]
    fn one_row_takes_the_room_of_one() {
        let mut map = SmallMap::new();
        map.insert(1, [0; 100]);
        assert_eq!(size_of_val(&map), 3 * size_of::<usize>());
        assert!(matches!(&map.rows, Rows::Few(few) if few.capacity() == 1));
    }
}
