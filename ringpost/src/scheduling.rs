//! How a server shares the cores with others.

use std::time::Duration;

/// As short as the kernel allows. A message passes four threads and runs for some µs on each, so what it waits for is its
/// turns: beside busy processes they come after a tenth of a millisecond rather than three.
const TIME_SLICE: Duration = Duration::from_micros(100);

/// For this thread and those that it starts, so before it has any. Where it is refused all works, only less promptly.
pub(crate) fn take_short_turns() {
    #[cfg(target_os = "linux")]
    if let Err(error) = gateway_ring::set_time_slice(TIME_SLICE) {
        tracing::debug!(%error, "the kernel gives no short time slices");
    }
}
