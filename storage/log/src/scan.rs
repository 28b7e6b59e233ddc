//! A walk over one segment in bounded memory: says what stands at each place and when it needs the next read.

use std::ops::Range;

use crate::batch::{BATCH_HEADER_BYTES, BatchHeader, Inspected, inspect};
use crate::identity::LogId;
use crate::limits::{SECTOR_BYTES, SEGMENT_HEADER_BYTES};
use crate::position::Position;
use crate::supply::Segment;

/// Bytes of one read. The window holds at most this and the largest batch.
pub(crate) const SCAN_READ_BYTES: u32 = 1 << 20;

/// What the scanner sees.
pub(crate) enum Sight {
    /// The next read of the segment, to be given to [`Scanner::extend`].
    Wants,
    Batch(BatchHeader),
    /// No batch starts in this sector, which is all zeros or is not.
    NoBatch {
        is_blank: bool,
    },
    EndOfSegment,
}

pub(crate) struct Scanner {
    log_id: LogId,
    segment: Segment,
    at: u32,
    window: Vec<u8>,
    window_offset: u32,
}

impl Scanner {
    pub(crate) fn new(log_id: LogId, segment: Segment) -> Self {
        Self { log_id, segment, at: SEGMENT_HEADER_BYTES, window: Vec::new(), window_offset: SEGMENT_HEADER_BYTES }
    }

    pub(crate) fn segment(&self) -> Segment {
        self.segment
    }

    /// Where it stands.
    pub(crate) fn position(&self) -> Position {
        Position { segment: self.segment.number, offset: self.at }
    }

    /// Looks at the present place without moving on.
    pub(crate) fn look(&self) -> Sight {
        if self.at.saturating_add(BATCH_HEADER_BYTES) > self.segment.bytes {
            return Sight::EndOfSegment;
        }
        let bytes = self.bytes(self.at..self.window_end());
        match inspect(self.log_id, self.position(), bytes) {
            Inspected::Batch(header) => Sight::Batch(header),
            Inspected::Needs(length) if length <= self.segment.bytes - self.at => Sight::Wants,
            // A batch that would reach past the segment is none.
            Inspected::Needs(_) | Inspected::Nothing => {
                let sector = self.bytes(self.at..self.at.saturating_add(SECTOR_BYTES).min(self.window_end()));
                Sight::NoBatch { is_blank: sector.iter().all(|byte| *byte == 0) }
            }
        }
    }

    /// Moves on; what lies before is forgotten at the next read.
    pub(crate) fn move_to(&mut self, offset: u32) {
        assert!(offset > self.at, "a scan goes forward");
        self.at = offset;
    }

    pub(crate) fn next_sector(&mut self) {
        self.move_to(self.at + SECTOR_BYTES);
    }

    /// Takes the bytes that [`Sight::Wants`] asked for. `false` if there are fewer: the file has shrunk.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> bool {
        let wanted = SCAN_READ_BYTES.min(self.segment.bytes - self.window_end());
        let passed = self.at.min(self.window_end()) - self.window_offset;
        self.window.drain(..passed as usize);
        self.window_offset += passed;
        self.window.extend_from_slice(bytes);
        bytes.len() == wanted as usize
    }

    /// The bytes at a range of offsets of the segment, as far as the window has them.
    pub(crate) fn bytes(&self, range: Range<u32>) -> &[u8] {
        let start = range.start.saturating_sub(self.window_offset) as usize;
        let end = range.end.saturating_sub(self.window_offset) as usize;
        self.window.get(start..end.min(self.window.len())).unwrap_or_default()
    }

    fn window_end(&self) -> u32 {
        self.window_offset + self.window.len() as u32
    }
}
