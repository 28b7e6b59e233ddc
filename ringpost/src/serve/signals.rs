//! What ends a server: a signal, or a part of it that has failed. And the one signal that does not, HUP, unless it is said
//! by a terminal that is closed.

use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// HUP, which does not end the process by itself any more.
pub(crate) struct Hangups {
    signal: Signal,
    had_terminal: bool,
}

impl Hangups {
    /// From early on: whoever finds the server running may send one.
    pub(crate) fn listen(runtime: &Runtime) -> Hangups {
        let _context = runtime.enter();
        let signal = signal(SignalKind::hangup()).expect("this signal can be listened for");
        Hangups { signal, had_terminal: std::io::stdin().is_terminal() }
    }

    /// The person who started it has gone, and asked for nothing.
    fn has_lost_terminal(&self) -> bool {
        self.had_terminal && !std::io::stdin().is_terminal()
    }
}

/// Waits for a signal to end, or for something that `failure` has to tell. Meanwhile a HUP calls `renew`.
pub(super) async fn wait(
    mut hangups: Hangups,
    failure: impl Fn() -> Option<Reason>,
    mut renew: impl FnMut(),
) -> Reason {
    let (mut interrupt, mut terminate) = both();
    let mut watch = tokio::time::interval(WATCH_INTERVAL);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Reason::Signal("INT"),
            _ = terminate.recv() => return Reason::Signal("TERM"),
            _ = hangups.signal.recv() => {
                if hangups.has_lost_terminal() {
                    return Reason::Signal("HUP");
                }
                renew();
            }
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
