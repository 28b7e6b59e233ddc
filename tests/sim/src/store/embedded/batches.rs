//! The batches of a log, as they pass on their way to the disk: which of their bytes are durable, and which of those are
//! proved durable by a later batch, so that damage there must be reported.

use std::collections::BTreeMap;

use storage_log::limits::{SECTOR_BYTES, SEGMENT_HEADER_BYTES};
use storage_log::{Completion, FileName, Operation, OperationId, SegmentNumber};

use crate::prng::Prng;

/// Where a batch stands, in the order of the log.
type Start = (SegmentNumber, u32);

/// Bits rot in one of so many of the newest proved batches, since old ones are seldom read.
const ROT_AMONG: usize = 24;

#[derive(Default)]
pub(super) struct Batches {
    /// Bytes by start, of the batches that wait for a sync.
    unsynced: BTreeMap<Start, u32>,
    syncs_under_way: BTreeMap<OperationId, BTreeMap<Start, u32>>,
    durable: BTreeMap<Start, u32>,
}

impl Batches {
    /// An operation is on its way.
    pub(super) fn submitted(&mut self, id: OperationId, operation: &Operation) {
        match operation {
            Operation::Write { file, offset, bytes } => {
                // Behind the last byte that is not zero there may be padding, which no checksum covers.
                let covered = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u32 + 1);
                if let FileName::Segment(segment) = file
                    && *offset >= SEGMENT_HEADER_BYTES
                {
                    self.unsynced.insert((*segment, *offset), covered);
                }
            }
            Operation::Sync { file: FileName::Segment(_) } => {
                self.syncs_under_way.insert(id, std::mem::take(&mut self.unsynced));
            }
            _ => {}
        }
    }

    /// It has ended.
    pub(super) fn completed(&mut self, completion: &Completion) {
        let synced = self.syncs_under_way.remove(&completion.id).unwrap_or_default();
        if completion.result.is_ok() {
            self.durable.extend(synced);
        }
    }

    /// What was under way may be there or not.
    pub(super) fn crashed(&mut self) {
        self.unsynced.clear();
        self.syncs_under_way.clear();
    }

    /// What a power cut would take or tear now.
    pub(super) fn unsynced_sectors(&self) -> usize {
        let waiting = self.unsynced.values().chain(self.syncs_under_way.values().flat_map(BTreeMap::values));
        waiting.map(|bytes| bytes.div_ceil(SECTOR_BYTES) as usize).sum()
    }

    /// The newest with a durable batch.
    pub(super) fn last_segment(&self) -> Option<SegmentNumber> {
        self.durable.last_key_value().map(|((segment, _), _)| *segment)
    }

    /// A byte that a checksum covers and that a later batch proves durable.
    pub(super) fn proved_byte(&self, prng: &mut Prng) -> Option<(FileName, u32)> {
        let proved: Vec<(&Start, &u32)> = self.durable.iter().rev().skip(1).take(ROT_AMONG).collect();
        if proved.is_empty() {
            return None;
        }
        let ((segment, offset), bytes) = prng.pick(&proved);
        Some((FileName::Segment(*segment), offset + prng.below(u64::from(**bytes)) as u32))
    }
}
