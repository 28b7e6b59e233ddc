//! What an embedder chooses.

use crate::identity::LogIdentity;
use crate::limits::{BATCH_BYTES_MAX, SECTOR_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES};

/// The choices of an embedder. All but `new_log` may change from one start to the next.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of a segment file, from [`SEGMENT_BYTES_MIN`] to [`SEGMENT_BYTES_MAX`], a multiple of [`SECTOR_BYTES`].
    /// Applies to segments made from now on.
    pub segment_bytes: u32,
    /// Below this much free space new work is shed. What was accepted goes on in the space that is allocated already.
    pub disk_low_bytes: u64,
    /// Size of a file that is kept beside the log and let go of when the disk is full all the same, so that what was
    /// accepted finds room. At least a segment, or it is of no use; 0 for none. It is made again when there is room.
    pub ballast_bytes: u32,
    /// Who the log shall be if the folder is empty. Random numbers; not used when there is a log.
    pub new_log: LogIdentity,
}

impl Options {
    /// Segments of 64 MiB, new work shed below 256 MiB, a ballast of 64 MiB.
    #[must_use]
    pub fn new(new_log: LogIdentity) -> Self {
        Self { segment_bytes: 64 << 20, disk_low_bytes: 256 << 20, ballast_bytes: 64 << 20, new_log }
    }

    pub(crate) fn assert_valid(&self) {
        assert!((SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes), "segment_bytes has its limits");
        assert!(self.segment_bytes.is_multiple_of(SECTOR_BYTES), "a segment is made of whole sectors");
    }
}

/// The largest batch in a segment of this size. A quarter of it at most, since what is left of a segment when a whole
/// batch might not fit is never used.
pub(crate) fn batch_bytes_max(segment_bytes: u32) -> u32 {
    let quarter = segment_bytes.saturating_sub(SEGMENT_HEADER_BYTES) / 4;
    BATCH_BYTES_MAX.min(quarter / SECTOR_BYTES * SECTOR_BYTES)
}
