//! Every limit of the store, in one place, each with the reason for its size.

/// A page of a side file: what one read of an index brings, with a checksum of its own. The unit of kernels.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Bytes of a side file that one step of a seal makes: about 0.2 ms of work between two turns of the embedder.
pub(crate) const SEAL_STEP_BYTES: usize = 64 << 10;

/// Bytes of full segments that wait for their index. Beyond, new messages are shed: what waits is in memory, and about
/// as much memory as the records themselves take.
pub(crate) const INDEX_BEHIND_BYTES_MAX: u64 = 64 << 20;

/// Bytes of segments whose index an opening holds in memory before it waits for side files.
pub(crate) const UNSEALED_BYTES_MAX: u64 = 192 << 20;

/// Pages of indexes kept in memory because they were read lately.
pub(crate) const PAGE_CACHE_BYTES_MAX: usize = 16 << 20;

/// Bytes of one part of a snapshot: what a commit may carry beside messages without being felt.
pub(crate) const SNAPSHOT_PART_BYTES: usize = 256 << 10;

/// Parts of a snapshot that a start reads ahead.
pub(crate) const SNAPSHOT_READS_MAX: usize = 8;

/// Pages on their way from the disk.
pub(crate) const PAGE_READS_MAX: usize = storage_log::limits::SIDE_READS_IN_FLIGHT_MAX;

const _: () = assert!(SNAPSHOT_READS_MAX <= PAGE_READS_MAX, "a disk has room for what is read ahead");
