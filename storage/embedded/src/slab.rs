//! Things by id that are never removed, also in the order in which they came: so a walk over them can pause and go on
//! while new ones come.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use crate::hash::IdHashes;

pub(crate) struct Slab<K, V> {
    places: HashMap<K, u32, IdHashes>,
    things: Vec<(K, V)>,
}

impl<K, V> Default for Slab<K, V> {
    fn default() -> Self {
        Slab { places: HashMap::default(), things: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Slab<K, V> {
    pub(crate) fn find(&self, id: K) -> Option<&V> {
        self.things.get(*self.places.get(&id)? as usize).map(|(_, thing)| thing)
    }

    pub(crate) fn find_mut(&mut self, id: K) -> Option<&mut V> {
        self.things.get_mut(*self.places.get(&id)? as usize).map(|(_, thing)| thing)
    }

    pub(crate) fn find_or_insert(&mut self, id: K, make: impl FnOnce() -> V) -> &mut V {
        let place = *self.places.entry(id).or_insert_with(|| {
            self.things.push((id, make()));
            (self.things.len() - 1) as u32
        });
        &mut self.things[place as usize].1
    }

    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    /// Some of them, in the order in which they came.
    pub(crate) fn iter(&self, places: Range<usize>) -> impl Iterator<Item = (K, &V)> {
        self.things.get(places).unwrap_or_default().iter().map(|(id, thing)| (*id, thing))
    }
}
