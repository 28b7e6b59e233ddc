//! What an embedder chooses.

use std::time::Duration;

use storage_log::{Options, StoreIncarnation};

/// The choices of an embedder. All may change from one start to the next.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// Of the log.
    pub log: Options,
    /// Bytes of messages kept in memory because they were written or read lately; the oldest go first.
    pub recent_bytes_max: usize,
    /// Bytes of writes that wait for room in the log. Beyond, new messages are shed until half of it has gone.
    pub backlog_bytes_max: usize,
    /// Bytes of records after which the next snapshot is written, unless twice the bytes of the last one are more. A
    /// start reads so much, and what is written while a snapshot is.
    pub snapshot_every_bytes: u64,
    /// A segment that is not full after so long is left for a new one, with a snapshot at its beginning: what has had its
    /// time, or is erased, can only go from a segment before such a snapshot, a few of these times later.
    pub segment_age_max: Duration,
    /// The store goes on as another one: see [`crate::restore`].
    pub renewed: Option<StoreIncarnation>,
}

impl EmbeddedOptions {
    /// 32 MiB of recent messages, new ones shed while more than 64 MiB wait, a snapshot every 128 MiB: a start reads that
    /// in about a second; a new segment every day in which something was said.
    pub fn new(log: Options) -> EmbeddedOptions {
        EmbeddedOptions {
            log,
            recent_bytes_max: 32 << 20,
            backlog_bytes_max: 64 << 20,
            snapshot_every_bytes: 128 << 20,
            segment_age_max: Duration::from_secs(24 * 60 * 60),
            renewed: None,
        }
    }
}
