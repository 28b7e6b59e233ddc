//! What an operator can set of a gateway, with the range of each value.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_core::ShardConfig;
use protocol::limits::FRAME_TIMEOUT;

use crate::cores;
use crate::driver::DriverChoice;

/// See each field; [`GatewayConfig::check`] says which is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where clients connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Which mechanism moves the bytes.
    pub driver: DriverChoice,
    /// Shard threads, 1 to 256. `None`, the default: see [`Self::shards_count`].
    pub shards: Option<u16>,
    /// Whether each shard thread stays on a core of its own.
    pub pin_shards: PinShards,
    /// The bounds and intervals of each shard: each field says its range, and none is above an hour, 16,777,216 connections
    /// or 1,048,576 handshakes. Traces take 64 KiB to 16 GiB and are kept for 1 s to 30 days.
    pub shard: ShardConfig,
    /// Steps of TLS handshakes that a turn of the thread takes, 1 to 65,536: one takes as long as dozens of frames. The rest
    /// wait for the next turns, and who has shaken hands does not wait for them.
    pub handshakes_per_turn_max: u32,
    /// Memory of a shard for frames and TLS records of which the rest has not arrived, and for what is held while a
    /// connection may not be read, 1 MiB to 16 GiB. At the bound the connection with most of it is closed.
    pub torn_bytes_max: usize,
    /// From the first byte of a frame, or of a TLS record, to its last, 100 ms to 60 s.
    pub frame_timeout: Duration,
    /// From the decision to close a connection to its end: flushing, and waiting for the peer to close its side, 100 ms
    /// to 60 s.
    pub close_timeout: Duration,
    /// From the start of a drain to its end, 100 ms to 10 min. What is not flushed by then is cut.
    pub drain_timeout: Duration,
}

/// See [`GatewayConfig::pin_shards`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinShards {
    /// Where there is more than one of them, a core for each, and no quota of processor time.
    #[default]
    Auto,
    /// The scheduler decides.
    Off,
}

impl PinShards {
    /// Every one there is.
    pub const ALL: [PinShards; 2] = [PinShards::Auto, PinShards::Off];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            PinShards::Auto => "auto",
            PinShards::Off => "off",
        }
    }
}

/// A value out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Name of the field.
    pub field: &'static str,
    /// What would be accepted.
    pub range: String,
}

/// What is accepted of each value.
pub mod range {
    use std::ops::RangeInclusive;
    use std::time::Duration;

    use protocol::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX};

    const TOO_LITTLE: Duration = Duration::from_millis(100);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Of [`super::GatewayConfig::shards`].
    pub const SHARDS: RangeInclusive<u16> = 1..=256;
    /// Of [`super::ShardConfig::connections_max`].
    pub const CONNECTIONS_MAX: RangeInclusive<u32> = 1..=1 << 24;
    /// Of [`super::ShardConfig::handshakes_max`].
    pub const HANDSHAKES_MAX: RangeInclusive<u32> = 1..=1 << 20;
    /// Of [`super::ShardConfig::handshakes_per_address_max`].
    pub const HANDSHAKES_PER_ADDRESS_MAX: RangeInclusive<u32> = 1..=1 << 16;
    /// Of [`super::ShardConfig::handshake_timeout`].
    pub const HANDSHAKE_TIMEOUT: RangeInclusive<Duration> = TOO_LITTLE..=HOUR;
    /// Of [`super::ShardConfig::heartbeat_interval`].
    pub const HEARTBEAT_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;
    /// Of [`super::ShardConfig::reconnect_window`].
    pub const RECONNECT_WINDOW: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
    /// Of [`super::ShardConfig::ticket_lifetime`].
    pub const TICKET_LIFETIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 24 * 3600);
    /// Of [`super::ShardConfig::send_queue_bytes_max`].
    pub const SEND_QUEUE_BYTES_MAX: RangeInclusive<u32> = (FRAME_PREFIX_SIZE + FRAME_SIZE_MAX) as u32..=1 << 30;
    /// Of the memory of [`super::ShardConfig::trace`].
    pub const TRACE_BYTES_MAX: RangeInclusive<usize> = 64 << 10..=16 << 30;
    /// Of the age of [`super::ShardConfig::trace`].
    pub const TRACE_KEPT: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR.saturating_mul(24 * 30);
    /// Of [`super::GatewayConfig::handshakes_per_turn_max`].
    pub const HANDSHAKES_PER_TURN_MAX: RangeInclusive<u32> = 1..=1 << 16;
    /// Of [`super::GatewayConfig::torn_bytes_max`].
    pub const TORN_BYTES_MAX: RangeInclusive<usize> = 1 << 20..=16 << 30;
    /// Of [`super::GatewayConfig::frame_timeout`].
    pub const FRAME_TIMEOUT: RangeInclusive<Duration> = TOO_LITTLE..=Duration::from_secs(60);
    /// Of [`super::GatewayConfig::close_timeout`].
    pub const CLOSE_TIMEOUT: RangeInclusive<Duration> = TOO_LITTLE..=Duration::from_secs(60);
    /// Of [`super::GatewayConfig::drain_timeout`].
    pub const DRAIN_TIMEOUT: RangeInclusive<Duration> = TOO_LITTLE..=Duration::from_secs(600);
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            driver: DriverChoice::Auto,
            shards: None,
            pin_shards: PinShards::Auto,
            shard: ShardConfig::default(),
            handshakes_per_turn_max: 8,
            torn_bytes_max: 32 << 20,
            frame_timeout: FRAME_TIMEOUT,
            close_timeout: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl GatewayConfig {
    /// How many shard threads there shall be. By itself a gateway has one for each core that this process may use, since
    /// it has nothing else to do there. Beside a router it leaves half of them to the router, the log and the disk, which
    /// work as much for a message as it does itself.
    pub fn shards_count(&self, is_beside_router: bool) -> u16 {
        let cores = if is_beside_router { cores::count() / 2 } else { cores::count() };
        let by_cores = u16::try_from(cores).unwrap_or(u16::MAX).clamp(*range::SHARDS.start(), *range::SHARDS.end());
        self.shards.unwrap_or(by_cores)
    }

    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let shard = &self.shard;
        in_range("shards", self.shards.unwrap_or(*range::SHARDS.start()), range::SHARDS)?;
        in_range("shard.connections_max", shard.connections_max, range::CONNECTIONS_MAX)?;
        in_range("shard.handshakes_max", shard.handshakes_max, range::HANDSHAKES_MAX)?;
        let per_address = range::HANDSHAKES_PER_ADDRESS_MAX;
        in_range("shard.handshakes_per_address_max", shard.handshakes_per_address_max, per_address)?;
        in_range("shard.handshake_timeout", shard.handshake_timeout, range::HANDSHAKE_TIMEOUT)?;
        in_range("shard.heartbeat_interval", shard.heartbeat_interval, range::HEARTBEAT_INTERVAL)?;
        in_range("shard.reconnect_window", shard.reconnect_window, range::RECONNECT_WINDOW)?;
        in_range("shard.ticket_lifetime", shard.ticket_lifetime, range::TICKET_LIFETIME)?;
        in_range("shard.send_queue_bytes_max", shard.send_queue_bytes_max, range::SEND_QUEUE_BYTES_MAX)?;
        in_range("shard.trace.bytes_max", shard.trace.bytes_max, range::TRACE_BYTES_MAX)?;
        in_range("shard.trace.kept", shard.trace.kept, range::TRACE_KEPT)?;
        in_range("handshakes_per_turn_max", self.handshakes_per_turn_max, range::HANDSHAKES_PER_TURN_MAX)?;
        in_range("torn_bytes_max", self.torn_bytes_max, range::TORN_BYTES_MAX)?;
        in_range("frame_timeout", self.frame_timeout, range::FRAME_TIMEOUT)?;
        in_range("close_timeout", self.close_timeout, range::CLOSE_TIMEOUT)?;
        in_range("drain_timeout", self.drain_timeout, range::DRAIN_TIMEOUT)
    }
}

fn in_range<T: PartialOrd + fmt::Debug>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(ConfigError { field, range: format!("{:?} to {:?}", range.start(), range.end()) })
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be from {}", self.field, self.range)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_a_value_that_is_not_is_named() {
        assert_eq!(GatewayConfig::default().check(), Ok(()));
        let config = GatewayConfig { close_timeout: Duration::ZERO, ..GatewayConfig::default() };
        let error = config.check().expect_err("out of range");
        assert_eq!(error.to_string(), "close_timeout must be from 100ms to 60s");
    }

    #[test]
    fn a_gateway_beside_a_router_leaves_it_half_of_the_cores() {
        let by_cores = GatewayConfig::default();
        assert_eq!(usize::from(by_cores.shards_count(false)), cores::count().min(256));
        assert_eq!(usize::from(by_cores.shards_count(true)), (cores::count() / 2).clamp(1, 256));
        let told = GatewayConfig { shards: Some(7), ..GatewayConfig::default() };
        assert_eq!((told.shards_count(false), told.shards_count(true)), (7, 7));
        assert!(GatewayConfig { shards: Some(0), ..GatewayConfig::default() }.check().is_err());
    }
}
