//! What an operator can set of a gateway, with the range of each value.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_core::ShardConfig;
use protocol::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX, FRAME_TIMEOUT};

use crate::driver::DriverChoice;

/// See each field; [`GatewayConfig::check`] says which is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where clients connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Which mechanism moves the bytes.
    pub driver: DriverChoice,
    /// The bounds and intervals of the shard: each field says its range, and none is above an hour, 16,777,216 connections
    /// or 1,048,576 handshakes.
    pub shard: ShardConfig,
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

/// A value out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Name of the field.
    pub field: &'static str,
    /// What would be accepted.
    pub range: String,
}

const TOO_LITTLE: Duration = Duration::from_millis(100);

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            driver: DriverChoice::Auto,
            shard: ShardConfig::default(),
            torn_bytes_max: 32 << 20,
            frame_timeout: FRAME_TIMEOUT,
            close_timeout: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl GatewayConfig {
    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        in_range("shard.connections_max", self.shard.connections_max, 1..=1 << 24)?;
        in_range("shard.handshakes_max", self.shard.handshakes_max, 1..=1 << 20)?;
        in_range("shard.handshakes_per_address_max", self.shard.handshakes_per_address_max, 1..=1 << 16)?;
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        in_range("shard.handshake_timeout", self.shard.handshake_timeout, TOO_LITTLE..=hour)?;
        in_range("shard.heartbeat_interval", self.shard.heartbeat_interval, second..=hour)?;
        in_range("shard.reconnect_window", self.shard.reconnect_window, Duration::ZERO..=hour)?;
        let frame_size = (FRAME_PREFIX_SIZE + FRAME_SIZE_MAX) as u32;
        in_range("shard.send_queue_bytes_max", self.shard.send_queue_bytes_max, frame_size..=1 << 30)?;
        in_range("torn_bytes_max", self.torn_bytes_max, 1 << 20..=16 << 30)?;
        in_range("frame_timeout", self.frame_timeout, TOO_LITTLE..=Duration::from_secs(60))?;
        in_range("close_timeout", self.close_timeout, TOO_LITTLE..=Duration::from_secs(60))?;
        in_range("drain_timeout", self.drain_timeout, TOO_LITTLE..=Duration::from_secs(600))
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
}
