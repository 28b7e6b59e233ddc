//! The bounds and intervals of a shard.

use core::time::Duration;

use protocol::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX, HANDSHAKE_TIMEOUT};
use protocol::trace::TraceConfig;

/// See each field. [`Default`] is for the only shard of the only gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// The gateway's place in the cluster.
    pub gateway_id: u64,
    /// New at every start of the process.
    pub gateway_incarnation: u64,
    /// Which shard of the gateway this is, and of how many: see [`crate::home_shard`].
    pub shard_index: u16,
    /// Not 0.
    pub shards_count: u16,
    /// Connections at a time, authenticated or not. Not 0.
    pub connections_max: u32,
    /// Connections that have not authenticated: at the bound the oldest goes. Not 0.
    pub handshakes_max: u32,
    /// The same of one address, or of one IPv6 network of 64 bits. Not 0.
    pub handshakes_per_address_max: u32,
    /// From the accepted socket to the Welcome.
    pub handshake_timeout: Duration,
    /// Told to clients; one that is not heard of for twice as long is closed. At least a second.
    pub heartbeat_interval: Duration,
    /// What the driver was given for one connection and has not reported as sent: over it the connection is closed. From
    /// the largest frame to 1 GiB; what the router may push without an ack and the pages a client may ask for at a time
    /// have to fit.
    pub send_queue_bytes_max: u32,
    /// Clients that are told to reconnect come back within this time.
    pub reconnect_window: Duration,
    /// How long a device may show its resume ticket in place of its access token, as far as that lasts. A session that a
    /// ticket has begun ends with it, and the device comes back with its token.
    pub ticket_lifetime: Duration,
    /// Which messages leave a trace, and how much of it is kept.
    pub trace: TraceConfig,
}

impl Default for ShardConfig {
    fn default() -> Self {
        ShardConfig {
            gateway_id: 0,
            gateway_incarnation: 0,
            shard_index: 0,
            shards_count: 1,
            connections_max: 1 << 20,
            handshakes_max: 16_384,
            handshakes_per_address_max: 256,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            heartbeat_interval: Duration::from_secs(30),
            send_queue_bytes_max: 1024 * 1024,
            reconnect_window: Duration::from_secs(10),
            ticket_lifetime: Duration::from_secs(24 * 3600),
            trace: TraceConfig::default(),
        }
    }
}

impl ShardConfig {
    /// The same place in the cluster with the limits of `other`. Clients were told the heartbeat, and handshakes are due in
    /// the order in which they began, so these two stay too.
    pub(crate) fn with_limits_of(&self, other: ShardConfig) -> ShardConfig {
        ShardConfig {
            gateway_id: self.gateway_id,
            gateway_incarnation: self.gateway_incarnation,
            shard_index: self.shard_index,
            shards_count: self.shards_count,
            handshake_timeout: self.handshake_timeout,
            heartbeat_interval: self.heartbeat_interval,
            ..other
        }
    }

    /// Whoever reads configuration from outside checks it before.
    pub(crate) fn assert_in_range(&self) {
        assert!(self.shard_index < self.shards_count, "a shard that is none of its gateway");
        assert!(self.connections_max > 0, "a shard without connections");
        assert!(self.handshakes_max > 0 && self.handshakes_per_address_max > 0, "a shard that lets nobody in");
        assert!(self.heartbeat_interval >= Duration::from_secs(1), "the sweep is no finer than that");
        let send_queue_range = (FRAME_SIZE_MAX + FRAME_PREFIX_SIZE) as u32..=1 << 30;
        assert!(send_queue_range.contains(&self.send_queue_bytes_max), "one frame fits, and the sum fits 32 bits");
    }
}
