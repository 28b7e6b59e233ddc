//! Which driver a server on this machine has: it picks as the server does, from the same setting.

use gateway_server::{DriverChoice, GatewayConfig};

use crate::server::Tiers;

/// The variable by which a server that is started here is told its driver.
pub const DRIVER_VARIABLE: &str = "RINGPOST_GATEWAY_DRIVER";

const SHARDS_VARIABLE: &str = "RINGPOST_GATEWAY_SHARDS";

/// The driver that a setting stands for here; a text that is none stays what it is.
pub fn mechanism(setting: &str, tiers: Tiers) -> String {
    let shards = std::env::var(SHARDS_VARIABLE).ok().and_then(|count| count.parse().ok());
    let config = GatewayConfig { shards, ..GatewayConfig::default() };
    let has_moves = config.shards_count(tiers == Tiers::Whole) > 1;
    let pick = setting.parse::<DriverChoice>().ok().and_then(|choice| choice.pick(has_moves).ok());
    pick.map_or_else(|| setting.to_owned(), |pick| pick.driver.name().to_owned())
}

/// `uring` or `monoio`.
pub fn family(mechanism: &str) -> String {
    mechanism.split('-').next().unwrap_or_default().to_owned()
}
