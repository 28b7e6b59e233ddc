//! The clocks that a session is told of, and when its timers are due by the runtime's clock.
//!
//! The monotonic one may stand still while the machine sleeps. After a sleep a dead connection is noticed by its
//! heartbeats, and what is made up for until then is the time of ids, which the next answer of the server puts right.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use protocol::time::{Instant, Now, WallTime};

/// Begins at zero when it is made.
pub(crate) struct Clock {
    begun: StdInstant,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { begun: StdInstant::now() }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Now {
        let nanos = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Now { monotonic: Instant(nanos), wall }
    }

    pub(crate) fn deadline(&self, at: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.begun) + at.since(Instant(0))
    }
}
