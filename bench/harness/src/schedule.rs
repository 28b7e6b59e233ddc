//! When messages are due: at a rate, whatever has become of those before.

/// Open loop: the nth is due n intervals after the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    began_ns: u64,
    interval_ns: f64,
    count: u64,
}

impl Schedule {
    /// The first is due now; at a rate of 0 none ever is.
    pub fn new(now_ns: u64, per_second: f64) -> Schedule {
        Schedule { began_ns: now_ns, interval_ns: 1e9 / per_second, count: 0 }
    }

    /// When the next one is due.
    pub fn next_due_ns(&self) -> u64 {
        if self.interval_ns.is_finite() {
            self.began_ns + (self.interval_ns * self.count as f64) as u64
        } else {
            u64::MAX
        }
    }

    /// Takes the next one, its number and when it was due, if its time has come.
    pub fn take_due(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let due_ns = self.next_due_ns();
        if due_ns > now_ns {
            return None;
        }
        self.count += 1;
        Some((self.count - 1, due_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_keeps_the_time_at_which_it_was_due() {
        let mut schedule = Schedule::new(5_000, 1e6);
        assert_eq!(schedule.take_due(5_000), Some((0, 5_000)));
        assert_eq!(schedule.take_due(5_999), None);
        assert_eq!(schedule.take_due(9_000), Some((1, 6_000)));
        assert_eq!(schedule.take_due(9_000), Some((2, 7_000)));
        assert_eq!(schedule.next_due_ns(), 8_000);
    }

    #[test]
    fn at_no_rate_nothing_is_due() {
        assert_eq!(Schedule::new(5_000, 0.0).take_due(u64::MAX - 1), None);
    }
}
