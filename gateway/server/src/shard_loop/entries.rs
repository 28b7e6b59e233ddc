//! The entries of all connections of a shard, by the shard's own names for them.

use gateway_core::ConnectionId;

use super::Entry;

const CHUNK_ENTRIES: usize = 256;

/// Grows in chunks, so that an entry never moves and growing copies nothing. Never shrinks: the shard uses its slots again.
#[derive(Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<Option<(u32, Entry)>>>,
    count: usize,
}

impl Entries {
    /// The entry that was there by this name.
    pub(super) fn insert(&mut self, key: ConnectionId, entry: Entry) -> Option<Entry> {
        let (chunk, place) = split(key);
        while self.chunks.len() <= chunk {
            let mut entries = Vec::with_capacity(CHUNK_ENTRIES);
            entries.resize_with(CHUNK_ENTRIES, || None);
            self.chunks.push(entries);
        }
        let slot = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place)).expect("it was made above");
        let previous = slot.replace((key.generation, entry));
        self.count += usize::from(previous.is_none());
        previous.map(|(_, entry)| entry)
    }

    pub(super) fn get(&self, key: &ConnectionId) -> Option<&Entry> {
        let (chunk, place) = split(*key);
        let (generation, entry) = self.chunks.get(chunk)?.get(place)?.as_ref()?;
        (*generation == key.generation).then_some(entry)
    }

    pub(super) fn get_mut(&mut self, key: &ConnectionId) -> Option<&mut Entry> {
        let (generation, entry) = self.slot_mut(key)?.as_mut()?;
        (*generation == key.generation).then_some(entry)
    }

    pub(super) fn remove(&mut self, key: &ConnectionId) -> Option<Entry> {
        let slot = self.slot_mut(key)?;
        let (_, entry) = slot.take_if(|(generation, _)| *generation == key.generation)?;
        self.count -= 1;
        Some(entry)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Looks at every slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Entry)> {
        self.chunks.iter().flatten().zip(0u32..).filter_map(|(slot, index)| {
            let (generation, entry) = slot.as_ref()?;
            Some((ConnectionId { index, generation: *generation }, entry))
        })
    }

    fn slot_mut(&mut self, key: &ConnectionId) -> Option<&mut Option<(u32, Entry)>> {
        let (chunk, place) = split(*key);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }
}

fn split(key: ConnectionId) -> (usize, usize) {
    (key.index as usize / CHUNK_ENTRIES, key.index as usize % CHUNK_ENTRIES)
}
