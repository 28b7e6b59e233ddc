//! The bounds of a router.

use core::time::Duration;

use protocol::ids::Epoch;
use protocol::trace::TraceConfig;

/// Every bound is stated with what happens when it is reached.
#[derive(Clone, Copy, Debug)]
pub struct RouterConfig {
    /// New at every start of the process.
    pub router_incarnation: u64,
    /// Of this ownership; higher than every earlier one.
    pub epoch: Epoch,
    /// Owned conversations in memory; idle ones beyond are forgotten and loaded again when needed.
    pub conversations_max: usize,
    /// Owned users in memory; as above.
    pub users_max: usize,
    /// Client ids remembered per conversation; older ones are asked of the store. 0: always ask.
    pub dedup_window_entries: usize,
    /// Devices of a user that are not revoked; another one is refused with `TooManyDevices`.
    pub devices_max: usize,
    /// Events pushed to a device and not acked; the rest waits in its log.
    pub push_window_events: usize,
    /// Bytes likewise; one event always goes.
    pub push_window_bytes: usize,
    /// Once a full window's oldest event is not acked for this long, its session is told the end of the log (`PullMode`)
    /// and pushed nothing more until it has asked for pages up to there. Default 5 s.
    pub pull_after: Duration,
    /// A user or a conversation of a few that nothing has happened to for this long, or up to twice as long, is forgotten
    /// but for the sessions of the user's devices, and loaded again when needed. Default 30 s.
    pub park_after: Duration,
    /// Requests waiting for one conversation; further ones are refused with `TryAgain`.
    pub inbox_max: usize,
    /// Answers waiting for one gateway's credits; beyond, the link is dropped and built anew. At half of it, the pages
    /// that are being read included, further requests of that gateway wait, and with them their credits.
    pub link_backlog_bytes_max: usize,
    /// Receipts of one reader in one conversation reach a sender at most this often.
    pub receipt_interval: Duration,
    /// Device cursors and fan-out marks are saved at most this often.
    pub flush_interval: Duration,
    /// A failed request of the store is repeated after this time, doubled each time.
    pub store_retry_min: Duration,
    /// The end of the doubling.
    pub store_retry_max: Duration,
    /// What a client is told to wait with `TryAgain` and `DiskLow`.
    pub retry_after: Duration,
    /// Which messages leave a trace, and how much of it is kept.
    pub trace: TraceConfig,
}

impl Default for RouterConfig {
    fn default() -> Self {
        RouterConfig {
            router_incarnation: 1,
            epoch: Epoch(1),
            conversations_max: 100_000,
            users_max: 1_000_000,
            dedup_window_entries: 256,
            devices_max: 32,
            push_window_events: 256,
            push_window_bytes: 256 * 1024,
            pull_after: Duration::from_secs(5),
            park_after: Duration::from_secs(30),
            inbox_max: 1024,
            link_backlog_bytes_max: 64 * 1024 * 1024,
            receipt_interval: Duration::from_secs(1),
            flush_interval: Duration::from_secs(1),
            store_retry_min: Duration::from_millis(50),
            store_retry_max: Duration::from_secs(2),
            retry_after: Duration::from_secs(1),
            trace: TraceConfig::default(),
        }
    }
}

impl RouterConfig {
    /// The same ownership with the limits of `other`.
    pub(crate) fn with_limits_of(&self, other: RouterConfig) -> RouterConfig {
        RouterConfig { router_incarnation: self.router_incarnation, epoch: self.epoch, ..other }
    }
}
