//! The clocks of the shell. Read them after what has happened was collected and before it is told to the state machines:
//! the other way round a pause in between makes old news look fresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::{Instant, Now, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Counts while the machine sleeps. On macOS the monotonic clock does that already.
#[cfg(target_os = "linux")]
const SLEEP_AWARE_CLOCK: ClockId = ClockId::Boottime;
/// See above.
#[cfg(not(target_os = "linux"))]
const SLEEP_AWARE_CLOCK: ClockId = ClockId::Monotonic;

/// Both clocks.
pub fn now() -> Now {
    let since_start = Duration::try_from(clock_gettime(SLEEP_AWARE_CLOCK)).expect("this clock starts at zero");
    let nanos = u64::try_from(since_start.as_nanos()).expect("584 years after the machine was started");
    Now { monotonic: Instant(nanos), wall: wall_time() }
}

/// A wall clock before 1970 is read as 1970.
fn wall_time() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since_1970.as_millis()).expect("584 million years after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back_and_knows_the_year() {
        let (first, second) = (now(), now());
        assert!(first.monotonic > Instant(0) && first.monotonic <= second.monotonic);
        assert!(first.wall > WallTime(1_735_689_600_000), "before 2025");
    }
}
