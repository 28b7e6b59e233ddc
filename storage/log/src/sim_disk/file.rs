//! One file: what a read sees, what is on the medium, and the writes between the two.

use super::random::Random;
use super::tally::FaultTallies;

const SECTOR: usize = 512;
const PAGE: usize = 4096;

struct Unsynced {
    offset: usize,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub(super) struct SimFile {
    /// What a read sees.
    cached: Vec<u8>,
    /// What is there after a power cut, when nothing is unsynced.
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Bits that were flipped and not read since.
    rotten_offsets: Vec<usize>,
}

impl SimFile {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn set_len(&mut self, bytes: usize) {
        self.cached.resize(bytes, 0);
    }

    pub(super) fn write(&mut self, offset: usize, bytes: Vec<u8>) {
        let end = offset + bytes.len();
        self.cached.resize(self.cached.len().max(end), 0);
        self.cached[offset..end].copy_from_slice(&bytes);
        self.rotten_offsets.retain(|rotten| !(offset..end).contains(rotten));
        self.unsynced.push(Unsynced { offset, bytes });
    }

    pub(super) fn read(&mut self, offset: usize, length: usize, tallies: &mut FaultTallies) -> Vec<u8> {
        let start = offset.min(self.cached.len());
        let end = offset.saturating_add(length).min(self.cached.len());
        let before = self.rotten_offsets.len();
        self.rotten_offsets.retain(|rotten| !(start..end).contains(rotten));
        tallies.rotten_bits.mattered += (before - self.rotten_offsets.len()) as u64;
        self.cached[start..end].to_vec()
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for write in self.unsynced.drain(..) {
            let end = write.offset + write.bytes.len();
            self.durable[write.offset..end].copy_from_slice(&write.bytes);
        }
    }

    /// As kernels do it: the pages are clean from now on, though they never reached the medium.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty() || self.cached.len() != self.durable.len()
    }

    /// Clean pages are read from the medium again.
    pub(super) fn drop_cache(&mut self) {
        let length = self.cached.len();
        self.cached.clone_from(&self.durable);
        self.cached.resize(length, 0);
        for write in &self.unsynced {
            self.cached[write.offset..write.offset + write.bytes.len()].copy_from_slice(&write.bytes);
        }
    }

    pub(super) fn flip_bit(&mut self, offset: usize, bit: u8) {
        for bytes in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << bit;
            }
        }
        self.rotten_offsets.push(offset);
    }

    pub(super) fn medium(&self) -> SimFile {
        SimFile { cached: self.durable.clone(), durable: self.durable.clone(), ..SimFile::default() }
    }

    /// Whether something that can be read is not on the medium.
    pub(super) fn differs_from_medium(&self) -> bool {
        self.cached != self.durable
    }

    /// What is left after a power cut: of each unit of the medium, some number of the writes to it.
    pub(super) fn cut_power(&mut self, random: &mut Random, tallies: &mut FaultTallies) {
        if self.durable.len() != self.cached.len() {
            if random.is_heads() {
                self.durable.resize(self.cached.len(), 0);
            } else {
                tallies.lost_lengths.count(true);
            }
        }
        let unit = if random.is_heads() { SECTOR } else { PAGE };
        let fate = random.below(4);
        let mut has_lost = false;
        let mut is_reordered = false;
        // A unit that has lost a write has lost the later ones too: the cache holds it once.
        let mut lost_units = std::collections::BTreeSet::new();
        for write in std::mem::take(&mut self.unsynced) {
            let (mut kept, mut lost) = (0, 0);
            for piece in pieces(write.offset, write.bytes.len(), unit) {
                let is_kept = !lost_units.contains(&(piece.start / unit))
                    && match fate {
                        0 => false,
                        1 => true,
                        _ => random.is_heads(),
                    };
                if is_kept {
                    kept += 1;
                    is_reordered |= has_lost;
                    self.keep(piece.clone(), &write);
                } else {
                    lost += 1;
                    has_lost = true;
                    lost_units.insert(piece.start / unit);
                }
            }
            match (kept, lost) {
                (_, 0) => {}
                (0, _) => tallies.lost_writes.count(true),
                _ if unit == SECTOR => tallies.torn_at_512.count(true),
                _ => tallies.torn_at_4096.count(true),
            }
        }
        if is_reordered {
            tallies.reordered.count(true);
        }
        self.cached.clone_from(&self.durable);
    }

    fn keep(&mut self, piece: std::ops::Range<usize>, write: &Unsynced) {
        let end = piece.end.min(self.durable.len());
        if piece.start < end {
            let bytes = &write.bytes[piece.start - write.offset..end - write.offset];
            self.durable[piece.start..end].copy_from_slice(bytes);
        }
    }
}

/// The parts of a write that lie in one unit each.
fn pieces(offset: usize, length: usize, unit: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = offset + length;
    let first_unit = offset / unit;
    let unit_count = end.div_ceil(unit) - first_unit;
    (first_unit..first_unit + unit_count).map(move |index| (index * unit).max(offset)..((index + 1) * unit).min(end))
}
