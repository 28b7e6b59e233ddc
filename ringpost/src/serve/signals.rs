//! What ends a server: a signal, or a part of it that has failed.

use std::fmt;
use std::time::Duration;

use crate::signal::both;

/// How often the threads are looked after.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Signal(&'static str),
    GatewayFailed,
    RouterFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Signal(name) => write!(f, "{name}"),
            Reason::GatewayFailed => f.write_str("the gateway has ended by itself"),
            Reason::RouterFailed => f.write_str("the router has ended by itself"),
        }
    }
}

/// Waits for a signal, or for something that `failure` has to tell.
pub(super) async fn wait(failure: impl Fn() -> Option<Reason>) -> Reason {
    let (mut interrupt, mut terminate) = both();
    let mut watch = tokio::time::interval(WATCH_INTERVAL);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Reason::Signal("INT"),
            _ = terminate.recv() => return Reason::Signal("TERM"),
            _ = watch.tick() => {
                if let Some(reason) = failure() {
                    return reason;
                }
            }
        }
    }
}

/// The second signal does not wait for anything. What was acked is durable all the same.
pub(super) async fn exit_at_once() {
    let (mut interrupt, mut terminate) = both();
    let number = tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    };
    std::process::exit(128 + number);
}
