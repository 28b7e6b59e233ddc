//! Every limit and period of the log, in one place, each with the reason for its size.

use std::time::Duration;

/// What a device writes or loses as a whole: batches start at multiples of it, so that a later write never shares a
/// sector with bytes that were synced before it.
pub const SECTOR_BYTES: u32 = 512;

/// The header block of a segment. A whole page, so that no write of a batch ever touches the page that names the log.
pub const SEGMENT_HEADER_BYTES: u32 = 4096;

/// The largest batch, header included. Recovery holds two of them in memory.
pub const BATCH_BYTES_MAX: u32 = 1 << 20;

/// The smallest segment that is worth a name: room for the header and a few sectors.
pub const SEGMENT_BYTES_MIN: u32 = 16 << 10;

/// The largest segment. Offsets are `u32`, and a start-up reads the unused part of the open segment once.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;

/// The longest key of a record; its length is one byte of the record header.
pub const KEY_BYTES_MAX: usize = 64;

/// How many reads may be on their way to the disk; one more is refused with [`crate::ReadRefusal::Busy`].
pub const READS_IN_FLIGHT_MAX: usize = 1024;

/// How many reads of side files an embedder may have under way beside those of the log.
pub const SIDE_READS_IN_FLIGHT_MAX: usize = 256;

/// Reads of a segment that a scan has under way or at hand, a MiB each: so that the disk reads while records are taken.
pub(crate) const SCAN_READS_AHEAD: usize = 4;

/// How long after the last commit an empty batch seals it. Until then a rotten last batch cannot be told from a torn
/// one.
pub const SEAL_IDLE: Duration = Duration::from_millis(100);

/// How often the free space of the disk is asked for.
pub const FREE_SPACE_PERIOD: Duration = Duration::from_secs(1);
