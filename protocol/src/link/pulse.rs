//! The heartbeat of a link: when this end is to be heard of again, and whether the other end still is.
//!
//! Each end sends a batch at least every [`LINK_HEARTBEAT_INTERVAL`], an empty one where it has nothing to say, and takes
//! the other end for gone when nothing has come for [`LINK_SILENCE_MAX`]. So it is found within seconds that a machine
//! is lost, a process stands still or a network swallows everything, of which no socket tells.

use core::time::Duration;

use crate::time::Instant;

/// A third of the silence that is borne: two beats may be late.
pub const LINK_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A gateway that has not heard of its router for this long delivers nothing: the router may have cut sessions meanwhile.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Of one end of one link, from the moment it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    heard_at: Instant,
    beat_at: Instant,
}

impl Pulse {
    /// The link has just come up: both ends have been heard of.
    pub fn new(now: Instant) -> Pulse {
        Pulse { heard_at: now, beat_at: now + LINK_HEARTBEAT_INTERVAL }
    }

    /// A batch has come.
    pub fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Whether the other end is to be taken for gone.
    pub fn is_silent(&self, now: Instant) -> bool {
        now.since(self.heard_at) >= LINK_SILENCE_MAX
    }

    /// Whether a beat is to be sent now. True once an interval.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.beat_at;
        if is_due {
            self.beat_at = now + LINK_HEARTBEAT_INTERVAL;
        }
        is_due
    }

    /// When to look next.
    pub fn next_at(&self) -> Instant {
        self.beat_at.min(self.heard_at + LINK_SILENCE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_due_once_an_interval_also_after_a_long_sleep() {
        let start = Instant(5);
        let mut pulse = Pulse::new(start);
        assert!(!pulse.is_due(start));
        let late = start + 10 * LINK_HEARTBEAT_INTERVAL;
        assert!(pulse.is_due(late) && !pulse.is_due(late));
        assert!(pulse.is_due(late + LINK_HEARTBEAT_INTERVAL));
    }

    #[test]
    fn who_is_heard_of_in_time_is_never_silent() {
        let mut now = Instant(5);
        let mut pulse = Pulse::new(now);
        for _ in 0..5 {
            now = now + (LINK_SILENCE_MAX - Duration::from_nanos(1));
            assert!(!pulse.is_silent(now));
            pulse.heard(now);
        }
        assert!(pulse.is_silent(now + LINK_SILENCE_MAX));
    }

    #[test]
    fn the_next_look_is_for_whatever_comes_first() {
        let start = Instant(5);
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.next_at(), start + LINK_HEARTBEAT_INTERVAL);
        assert!(pulse.is_due(start + (LINK_SILENCE_MAX - Duration::from_millis(1))));
        assert_eq!(pulse.next_at(), start + LINK_SILENCE_MAX);
    }
}
