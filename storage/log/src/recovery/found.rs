//! What a recovery is for, and what it tells of what it finds.

use crate::position::{Place, Position};
use crate::record::RecordView;

/// What a recovery is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To work with the log. Makes one if there is none; read-only if there is a mark.
    Open,
    /// To verify everything from the medium, past the page cache, and to remove the mark if all is well.
    Check,
    /// To read the one segment that it starts at, up to the batch that follows it. Changes nothing.
    Walk,
}

/// What a recovery has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoverySummary {
    /// Segment files, prepared ones included.
    pub segment_count: u32,
    /// Batches with records, and seals.
    pub batch_count: u64,
    /// Records.
    pub record_count: u64,
    /// Where a torn tail was cut: what stood there was never acked.
    pub torn_at: Option<Position>,
    /// There was a mark. After [`Purpose::Check`] it is gone.
    pub was_marked: bool,
}

/// A record that a recovery yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredRecord<'a> {
    /// Where it is, for later reads.
    pub place: Place,
    /// The verified record.
    pub record: RecordView<'a>,
}

impl RecoverySummary {
    /// Of two recoveries, the later one last.
    pub(crate) fn plus(self, later: Self) -> Self {
        Self {
            segment_count: self.segment_count + later.segment_count,
            batch_count: self.batch_count + later.batch_count,
            record_count: self.record_count + later.record_count,
            torn_at: later.torn_at,
            was_marked: later.was_marked,
        }
    }
}
