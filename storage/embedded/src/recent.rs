//! Entries that were written or read lately, so that the way from a write to its recipients reads no disk.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use storage_api::{Entry, EntryBody, EntryKey};

use crate::hash::IdHashes;

/// What an entry takes beside its message, about.
const ENTRY_BYTES: usize = 200;

/// Bounded by bytes; what came first goes first.
pub(crate) struct Recent {
    entries: HashMap<EntryKey, Arc<Entry>, IdHashes>,
    order: VecDeque<EntryKey>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Recent {
        Recent { entries: HashMap::default(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// From the next entry on.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    pub(crate) fn insert(&mut self, entry: &Arc<Entry>) {
        self.bytes += size(entry);
        match self.entries.insert(entry.key, Arc::clone(entry)) {
            Some(replaced) => self.bytes -= size(&replaced),
            None => self.order.push_back(entry.key),
        }
        while self.bytes > self.bytes_max {
            let oldest = self.order.pop_front().and_then(|key| self.entries.remove(&key));
            self.bytes -= size(&oldest.expect("what takes bytes is in the order"));
        }
    }

    /// What the entry takes in an answer; 0 if it is not here.
    pub(crate) fn size(&self, key: EntryKey) -> usize {
        self.entries.get(&key).map_or(0, |entry| size(entry))
    }

    pub(crate) fn find(&self, key: EntryKey) -> Option<Arc<Entry>> {
        self.entries.get(&key).cloned()
    }
}

fn size(entry: &Entry) -> usize {
    ENTRY_BYTES + if let EntryBody::Message(message) = &entry.body { message.as_bytes().len() } else { 0 }
}
