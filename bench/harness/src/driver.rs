//! Which driver a server on this machine has: it picks as the server does, from the same setting.

use gateway_server::DriverChoice;

/// The variable by which a server that is started here is told its driver.
pub const DRIVER_VARIABLE: &str = "RINGPOST_GATEWAY_DRIVER";

/// The driver that a setting stands for here; a text that is none stays what it is.
pub fn mechanism(setting: &str) -> String {
    let pick = setting.parse::<DriverChoice>().ok().and_then(|choice| choice.pick(false).ok());
    pick.map_or_else(|| setting.to_owned(), |pick| pick.driver.name().to_owned())
}

/// `uring` or `monoio`.
pub fn family(mechanism: &str) -> String {
    mechanism.split('-').next().unwrap_or_default().to_owned()
}
