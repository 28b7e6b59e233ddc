//! The signals that ask a process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for INT or TERM.
pub(crate) async fn interrupt_or_terminate() {
    let (mut interrupt, mut terminate) = both();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// INT and TERM, which do not end the process by themselves any more.
pub(crate) fn both() -> (Signal, Signal) {
    let listen = |kind| signal(kind).expect("these signals can be listened for");
    (listen(SignalKind::interrupt()), listen(SignalKind::terminate()))
}
