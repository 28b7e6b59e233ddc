//! Where log lines go: standard error, as text for a person or as JSON for a machine.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Names what is logged, as `tracing` filters do: `debug`, `gateway_server=trace`.
const VARIABLE: &str = "RINGPOST_LOG";

/// Once, at the start of a process. `default_level` holds where the variable says nothing, or nonsense.
pub(crate) fn start(default_level: &str) {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(default_level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        subscriber.compact().init();
    } else {
        subscriber.json().flatten_event(true).init();
    }
}
