//! A token bucket in 8 bytes: only the time at which it will be full again is kept (the generic cell rate algorithm of
//! ITU-T I.371).

use core::time::Duration;

use crate::time::Instant;

/// One bucket. Its size and its rate are its user's, so that a million of them do not repeat them.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    full_at: Instant,
}

impl RateLimit {
    /// Takes one of at most `burst` tokens, of which one comes back every `interval`; or says when to try again.
    pub(super) fn take(&mut self, now: Instant, burst: u32, interval: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now);
        let missing = full_at.since(now);
        let missing_max = interval * (burst - 1);
        if missing > missing_max {
            return Err(missing - missing_max);
        }
        self.full_at = full_at + interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let mut limit = RateLimit::default();
        let start = Instant(0) + 100 * SECOND;
        (0..3).for_each(|_| assert_eq!(limit.take(start, 3, SECOND), Ok(())));
        assert_eq!(limit.take(start, 3, SECOND), Err(SECOND));
        assert_eq!(limit.take(start + SECOND / 2, 3, SECOND), Err(SECOND / 2));
        assert_eq!(limit.take(start + SECOND, 3, SECOND), Ok(()));
        assert_eq!(limit.take(start + SECOND, 3, SECOND), Err(SECOND));
    }

    #[test]
    fn a_rest_saves_up_no_more_than_one_burst() {
        let mut limit = RateLimit::default();
        assert_eq!(limit.take(Instant(0), 2, SECOND), Ok(()));
        let later = Instant(0) + 1_000 * SECOND;
        let taken = (0..10).filter(|_| limit.take(later, 2, SECOND).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
