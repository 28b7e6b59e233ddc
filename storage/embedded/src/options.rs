//! What an embedder chooses.

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
    /// The store goes on as another one: see [`crate::restore`].
    pub renewed: Option<StoreIncarnation>,
}

impl EmbeddedOptions {
    /// 32 MiB of recent messages, new ones shed while more than 64 MiB wait, a snapshot every 128 MiB: a start reads that
    /// in about a second.
    pub fn new(log: Options) -> EmbeddedOptions {
        EmbeddedOptions {
            log,
            recent_bytes_max: 32 << 20,
            backlog_bytes_max: 64 << 20,
            snapshot_every_bytes: 128 << 20,
            renewed: None,
        }
    }
}
