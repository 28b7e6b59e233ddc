//! What an embedder chooses.

use storage_log::Options;

/// The choices of an embedder. All may change from one start to the next.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// Of the log.
    pub log: Options,
    /// Bytes of messages kept in memory because they were written or read lately; the oldest go first.
    pub recent_bytes_max: usize,
    /// Bytes of writes that wait for room in the log. Beyond, new messages are shed until half of it has gone.
    pub backlog_bytes_max: usize,
}

impl EmbeddedOptions {
    /// 32 MiB of recent messages, new ones shed while more than 64 MiB wait.
    pub fn new(log: Options) -> EmbeddedOptions {
        EmbeddedOptions { log, recent_bytes_max: 32 << 20, backlog_bytes_max: 64 << 20 }
    }
}
