//! Where something is in the log: segment numbers, positions and the places of records.

use std::fmt;

use crate::limits::{SECTOR_BYTES, SEGMENT_HEADER_BYTES};

/// The number of a segment. The first one of a log is 1, the next one is always the successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u32);

impl SegmentNumber {
    /// The first segment of a log.
    pub const FIRST: Self = Self(1);

    /// The segment that follows this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("four billion segments of at least 16 KiB do not fit a disk"))
    }
}

/// A point between two bytes of the log. Ordered as the log was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment.
    pub segment: SegmentNumber,
    /// Bytes from the start of its file.
    pub offset: u32,
}

impl Position {
    /// Where the first batch of a segment stands.
    #[must_use]
    pub fn first_of(segment: SegmentNumber) -> Self {
        Self { segment, offset: SEGMENT_HEADER_BYTES }
    }

    /// As one number: the segment above, the offset below.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        u64::from(self.segment.0) << 32 | u64::from(self.offset)
    }

    /// The inverse of [`Position::to_u64`].
    #[must_use]
    pub fn from_u64(packed: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = packed.to_be_bytes();
        Self { segment: SegmentNumber(u32::from_be_bytes([a, b, c, d])), offset: u32::from_be_bytes([e, f, g, h]) }
    }

    /// The first sector boundary at or behind `bytes` from here: where the next batch starts.
    pub(crate) fn behind(self, bytes: u32) -> Self {
        Self { segment: self.segment, offset: (self.offset + bytes).next_multiple_of(SECTOR_BYTES) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} offset {}", crate::FileName::Segment(self.segment), self.offset)
    }
}

/// Where one record is. Small and `Copy`: an index keeps one per message. Ordered as the log was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment.
    pub segment: SegmentNumber,
    /// Bytes from the start of its file to the record's header.
    pub offset: u32,
    /// Bytes of header, key and payload.
    pub length: u32,
}

impl Place {
    /// The point right behind the record.
    #[must_use]
    pub fn end(self) -> Position {
        Position { segment: self.segment, offset: self.offset.saturating_add(self.length) }
    }
}

const _: () = assert!(size_of::<Place>() == 12, "an index of a hundred million messages pays for every byte");
