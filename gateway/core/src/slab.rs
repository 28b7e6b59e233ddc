//! Slots that are used again, each time with another generation, so that a stale id finds nothing.
//!
//! Grows in chunks: a slot never moves, and growing never copies a million of them in one turn. Never shrinks.

use alloc::vec::Vec;

use crate::connection::ConnectionId;

const CHUNK_SLOTS: usize = 1024;

pub(crate) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    vacant: Vec<u32>,
    slots_count: u32,
}

pub(crate) struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { chunks: Vec::new(), vacant: Vec::new(), slots_count: 0 }
    }
}

impl<T> Slab<T> {
    /// The slot that was freed last is used first: it is the warmest.
    pub(crate) fn insert(&mut self, value: T) -> ConnectionId {
        let index = self.vacant.pop().unwrap_or_else(|| self.add_slot());
        let slot = self.slot_mut(index).expect("vacant and new slots exist");
        assert!(slot.value.is_none(), "a slot is given away once");
        slot.value = Some(value);
        ConnectionId { index, generation: slot.generation }
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&T> {
        let (chunk, slot) = place(id.index);
        let slot = self.chunks.get(chunk)?.get(slot)?;
        slot.value.as_ref().filter(|_| slot.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let slot = self.slot_mut(id.index)?;
        slot.value.as_mut().filter(|_| slot.generation == id.generation)
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let slot = self.slot_mut(id.index).filter(|slot| slot.generation == id.generation)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(id.index);
        Some(value)
    }

    /// Who has this slot now.
    pub(crate) fn at(&self, index: u32) -> Option<(ConnectionId, &T)> {
        let (chunk, slot) = place(index);
        let slot = self.chunks.get(chunk)?.get(slot)?;
        Some((ConnectionId { index, generation: slot.generation }, slot.value.as_ref()?))
    }

    /// Likewise.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(ConnectionId, &mut T)> {
        let slot = self.slot_mut(index)?;
        Some((ConnectionId { index, generation: slot.generation }, slot.value.as_mut()?))
    }

    /// Every slot below this one exists.
    pub(crate) fn slots_count(&self) -> u32 {
        self.slots_count
    }

    /// Slots in use.
    pub(crate) fn count(&self) -> u32 {
        self.slots_count - self.vacant.len() as u32
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten().filter_map(|slot| slot.value.as_mut())
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let (chunk, slot) = place(index);
        self.chunks.get_mut(chunk)?.get_mut(slot)
    }

    fn add_slot(&mut self) -> u32 {
        let index = self.slots_count;
        self.slots_count = index.checked_add(1).expect("the bound on connections comes before this");
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_SLOTS) {
            self.chunks.push(Vec::with_capacity(CHUNK_SLOTS));
        }
        // Generations begin with 1, so that no id is all zero.
        let chunk = self.chunks.last_mut().expect("there is one with room");
        chunk.push(Slot { generation: 1, value: None });
        index
    }
}

fn place(index: u32) -> (usize, usize) {
    (index as usize / CHUNK_SLOTS, index as usize % CHUNK_SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_and_its_old_id_finds_nothing() {
        let mut slab = Slab::default();
        let old = slab.insert('a');
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b');
        assert_eq!((new.index, new.generation), (old.index, old.generation + 1));
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.get(old), None);
        assert_eq!((slab.get(new), slab.at(new.index)), (Some(&'b'), Some((new, &'b'))));
        assert_eq!(slab.at_mut(new.index), Some((new, &mut 'b')));
    }

    #[test]
    fn values_stay_where_they_are_when_it_grows() {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..5_000u32).map(|value| slab.insert(value)).collect();
        ids.iter().step_by(2).for_each(|id| assert_eq!(slab.remove(*id), Some(id.index)));
        assert_eq!((slab.count(), slab.slots_count()), (2_500, 5_000));
        ids.iter().skip(1).step_by(2).for_each(|id| assert_eq!(slab.get(*id), Some(&id.index)));
        assert_eq!(slab.values_mut().count(), 2_500);
        assert!(slab.insert(9).index < 5_000);
    }
}
