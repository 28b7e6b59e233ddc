//! The folder: which names a process sees, which are on the medium, and the changes between the two.

use std::collections::BTreeMap;

use super::random::Random;
use super::tally::FaultTallies;
use crate::disk::FileName;

/// A file apart from its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileIndex(pub(super) usize);

#[derive(Clone, Copy)]
enum Change {
    Create(FileName, FileIndex),
    Rename(FileName, FileName),
    Unlink(FileName),
}

type Names = BTreeMap<FileName, FileIndex>;

#[derive(Default)]
pub(super) struct Folder {
    cached: Names,
    durable: Names,
    unsynced: Vec<Change>,
}

impl Folder {
    pub(super) fn find(&self, file: FileName) -> Option<FileIndex> {
        self.cached.get(&file).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (FileName, FileIndex)> + '_ {
        self.cached.iter().map(|(name, index)| (*name, *index))
    }

    /// Whether a file has a name here or on the medium.
    pub(super) fn mentions(&self, index: FileIndex) -> bool {
        self.cached.values().chain(self.durable.values()).any(|named| *named == index)
    }

    pub(super) fn create(&mut self, file: FileName, index: FileIndex) {
        self.change(Change::Create(file, index));
    }

    pub(super) fn rename(&mut self, from: FileName, to: FileName) {
        self.change(Change::Rename(from, to));
    }

    pub(super) fn unlink(&mut self, file: FileName) {
        self.change(Change::Unlink(file));
    }

    fn change(&mut self, change: Change) {
        apply(change, &mut self.cached);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.drain(..).for_each(|change| apply(change, &mut self.durable));
    }

    /// The changes are seen until the next power cut, and never become durable.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    pub(super) fn medium(&self) -> Folder {
        Folder { cached: self.durable.clone(), durable: self.durable.clone(), unsynced: Vec::new() }
    }

    /// Each unsynced change is kept or lost, whatever came before it.
    pub(super) fn cut_power(&mut self, random: &mut Random, tallies: &mut FaultTallies) {
        let fate = random.below(3);
        for change in std::mem::take(&mut self.unsynced) {
            let is_kept = fate == 0 || (fate == 1 && random.is_heads());
            if is_kept {
                apply(change, &mut self.durable);
                continue;
            }
            match change {
                Change::Create(..) => tallies.lost_creates.count(true),
                Change::Rename(from, _) => tallies.lost_renames.count(self.durable.contains_key(&from)),
                Change::Unlink(file) => tallies.lost_unlinks.count(self.durable.contains_key(&file)),
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

fn apply(change: Change, names: &mut Names) {
    match change {
        Change::Create(file, index) => {
            names.insert(file, index);
        }
        Change::Rename(from, to) => {
            if let Some(index) = names.remove(&from) {
                names.insert(to, index);
            }
        }
        Change::Unlink(file) => {
            names.remove(&file);
        }
    }
}
