//! The entries of all connections of a shard, by the shard's own names for them.

use gateway_core::ConnectionId;

use super::Entry;

/// 50 KiB, so that what a chunk has too much is little.
const CHUNK_ENTRIES: usize = 256;

/// Grows in chunks, so that an entry never moves and growing copies nothing. Never shrinks: the shard uses its slots again.
#[derive(Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<Option<Entry>>>,
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
        let previous = slot.replace(entry);
        self.count += usize::from(previous.is_none());
        previous
    }

    pub(super) fn get(&self, key: &ConnectionId) -> Option<&Entry> {
        let (chunk, place) = split(*key);
        self.chunks.get(chunk)?.get(place)?.as_ref().filter(|entry| entry.generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: &ConnectionId) -> Option<&mut Entry> {
        self.slot_mut(key)?.as_mut().filter(|entry| entry.generation == key.generation)
    }

    pub(super) fn remove(&mut self, key: &ConnectionId) -> Option<Entry> {
        let entry = self.slot_mut(key)?.take_if(|entry| entry.generation == key.generation)?;
        self.count -= 1;
        Some(entry)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Looks at every slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Entry)> {
        self.chunks.iter().flatten().zip(0u32..).filter_map(|(slot, index)| {
            let entry = slot.as_ref()?;
            Some((ConnectionId { index, generation: entry.generation }, entry))
        })
    }

    fn slot_mut(&mut self, key: &ConnectionId) -> Option<&mut Option<Entry>> {
        let (chunk, place) = split(*key);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }
}

fn split(key: ConnectionId) -> (usize, usize) {
    (key.index as usize / CHUNK_ENTRIES, key.index as usize % CHUNK_ENTRIES)
}
