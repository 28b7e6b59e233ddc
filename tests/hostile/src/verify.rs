//! Frames verified as the product does it, with an eye on the clock.

use std::time::{Duration, Instant};

use protocol::event::Event;
use protocol::frame::{self, FrameError};
use protocol::wire::{self, ServerBody};

/// A frame that costs more of a core is a fault of the verifier's bounds. With assertions on, and with the sanitizer of a
/// fuzzer, everything is slower by far more than a machine's moods.
pub const VERIFY_TIME_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 25 } else { 1 });
/// A thread that was put aside in the middle says nothing about the frame.
const ATTEMPTS: usize = 8;

/// As a server verifies it.
pub fn client_frame(bytes: &[u8]) -> Result<wire::ClientFrame<'_>, FrameError> {
    in_time(bytes.len(), || frame::client_frame(bytes))
}

/// As a client verifies it.
pub fn server_frame(bytes: &[u8]) -> Result<wire::ServerFrame<'_>, FrameError> {
    in_time(bytes.len(), || frame::server_frame(bytes))
}

/// Verifies a frame of our own server and decodes every event in it.
pub fn frame_of_ours(bytes: &[u8]) -> wire::ServerFrame<'_> {
    let frame = server_frame(bytes).expect("a server sends valid frames");
    let events = match frame.body_type() {
        ServerBody::Push => frame.body_as_push().and_then(|push| push.events()),
        ServerBody::SyncPage => frame.body_as_sync_page().and_then(|page| page.events()),
        ServerBody::HistoryPage => frame.body_as_history_page().and_then(|page| page.entries()),
        _ => None,
    };
    for event in events.iter().flatten() {
        Event::decode(event).expect("a server sends valid events");
    }
    frame
}

fn in_time<T>(size: usize, verify: impl Fn() -> T) -> T {
    let mut fastest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let began = Instant::now();
        let verified = verify();
        fastest = fastest.min(began.elapsed());
        if fastest <= VERIFY_TIME_MAX {
            return verified;
        }
    }
    panic!("{size} bytes took {fastest:?} to verify, at most {VERIFY_TIME_MAX:?}");
}
