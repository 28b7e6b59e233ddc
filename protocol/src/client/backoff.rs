//! How long to wait before the next attempt to connect: full jitter, so that a crowd that was cut off at one moment does
//! not come back at one moment.

use core::time::Duration;

use super::random::Random;

/// The longest wait after the first attempt that failed. It doubles from there.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// It doubles up to here. A server that comes back has everybody within this time.
pub const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// The longest window for coming back that a server is believed.
pub const RETRY_WINDOW_MAX: Duration = Duration::from_secs(10 * 60);

#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure.
    pub(super) fn next(&mut self, random: &mut Random) -> Duration {
        let longest = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        random.up_to(longest)
    }

    /// The same, and not before a moment in the window the server gave.
    pub(super) fn next_within(&mut self, window_ms: (u32, u32), random: &mut Random) -> Duration {
        let millis = |millis| Duration::from_millis(u64::from(millis)).min(RETRY_WINDOW_MAX);
        let (from, to) = (millis(window_ms.0), millis(window_ms.1));
        let within = from + random.up_to(to.saturating_sub(from));
        self.next(random).max(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_spread_from_zero_to_a_bound_that_doubles_and_begins_anew_after_success() {
        let mut random = Random::new(3);
        let longest_after = |failures: u32, random: &mut Random| {
            let waits = (0..300).map(|_| Backoff { failures }.next(random));
            let (mut low, mut high) = (Duration::MAX, Duration::ZERO);
            waits.for_each(|wait| (low, high) = (low.min(wait), high.max(wait)));
            assert!(low < high / 20, "{low:?} {high:?}");
            high
        };
        for (failures, longest_ms) in [(0, 250), (1, 500), (3, 2_000), (6, 15_000), (40, 15_000)] {
            let (high, longest) = (longest_after(failures, &mut random), Duration::from_millis(longest_ms));
            assert!(high <= longest && high > longest * 9 / 10, "{failures} {high:?}");
        }
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.next(&mut random);
        }
        backoff.succeeded();
        assert!(backoff.next(&mut random) <= BACKOFF_FIRST);
    }

    #[test]
    fn a_window_is_kept_but_not_for_ever() {
        let mut random = Random::new(3);
        for _ in 0..100 {
            let wait = Backoff::default().next_within((4_000, 9_000), &mut random);
            assert!((4..=9).contains(&wait.as_secs()), "{wait:?}");
        }
        let wait = Backoff::default().next_within((u32::MAX, u32::MAX), &mut random);
        assert_eq!(wait, RETRY_WINDOW_MAX);
        assert!(Backoff::default().next_within((9_000, 4_000), &mut random) >= Duration::from_secs(9));
    }
}
