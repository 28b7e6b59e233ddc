//! The clocks of one machine: the monotonic one is everybody's virtual time, the wall clock is off by its own amount and
//! may be stepped.

use protocol::time::{Instant, Now, WallTime};

/// The wall clock of a machine that is right, at virtual time 0: 2026-01-01.
const WALL_START: WallTime = WallTime(1_767_225_600_000);

/// One machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How far the wall clock is ahead of the right time, in milliseconds.
    pub wall_ahead_ms: i64,
}

impl Clock {
    /// What this machine reads.
    pub fn read(&self, at: Instant) -> Now {
        let right = WALL_START.0 + at.0 / 1_000_000;
        Now { monotonic: at, wall: WallTime(right.saturating_add_signed(self.wall_ahead_ms)) }
    }
}
