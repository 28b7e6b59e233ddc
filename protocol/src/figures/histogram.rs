//! Counts of values by size, in fixed buckets of which each is twice as wide as the one before.
//!
//! A value costs two additions and no search: its bucket is the number of its leading bit.

use core::time::Duration;

use super::{Figure, Visitor};

/// Bounds between buckets. What is above the last one is counted beyond it.
const BOUNDS: usize = 21;

/// The first bound is `2^FIRST_LOG2`, in the unit of which `PER_UNIT` make one that is exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram<const FIRST_LOG2: u32, const PER_UNIT: u64> {
    counts: [u64; BOUNDS + 1],
    sum: u64,
}

/// Durations from 16 µs to 17 s.
pub type Times = Histogram<14, 1_000_000_000>;

/// Sizes in bytes from 256 bytes to 256 MiB.
pub type Sizes = Histogram<8, 1>;

/// A histogram as exporters see it.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    counts: &'a [u64],
    first_log2: u32,
    per_unit: f64,
    sum: u64,
}

impl<const FIRST_LOG2: u32, const PER_UNIT: u64> Histogram<FIRST_LOG2, PER_UNIT> {
    /// One more of this size.
    pub fn add(&mut self, value: u64) {
        let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
        let index = (bits.saturating_sub(FIRST_LOG2) as usize).min(BOUNDS);
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }
}

impl Times {
    /// One more that took this long.
    pub fn observe(&mut self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl<const FIRST_LOG2: u32, const PER_UNIT: u64> Figure for Histogram<FIRST_LOG2, PER_UNIT> {
    fn show(&self, visitor: &mut dyn Visitor) {
        let buckets =
            Buckets { counts: &self.counts, first_log2: FIRST_LOG2, per_unit: PER_UNIT as f64, sum: self.sum };
        visitor.buckets(buckets);
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, other)| *count += other);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

impl Buckets<'_> {
    /// Upper bound, and how many values are not above it. The last bound is infinity.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.counts.iter().enumerate().map(move |(index, count)| {
            below += count;
            let bound = (1_u64 << (self.first_log2 as usize + index)) as f64 / self.per_unit;
            (if index < BOUNDS { bound } else { f64::INFINITY }, below)
        })
    }

    /// Of all values.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / self.per_unit
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn buckets<const FIRST_LOG2: u32, const PER_UNIT: u64>(
        histogram: &Histogram<FIRST_LOG2, PER_UNIT>,
    ) -> Vec<(f64, u64)> {
        let view = Buckets {
            counts: &histogram.counts,
            first_log2: FIRST_LOG2,
            per_unit: PER_UNIT as f64,
            sum: histogram.sum,
        };
        view.cumulative().collect()
    }

    #[test]
    fn a_value_on_a_bound_is_not_above_it() {
        let mut sizes = Sizes::default();
        for value in [0, 1, 256, 257, 512, 513] {
            sizes.add(value);
        }
        assert_eq!(buckets(&sizes)[..4], [(256.0, 3), (512.0, 5), (1024.0, 6), (2048.0, 6)]);
    }

    #[test]
    fn what_is_beyond_the_last_bound_is_counted_beyond_it() {
        let mut times = Times::default();
        times.observe(Duration::from_micros(10));
        times.observe(Duration::from_secs(17));
        times.observe(Duration::from_secs(18));
        times.observe(Duration::MAX);
        let found = buckets(&times);
        assert_eq!(found.len(), BOUNDS + 1);
        assert_eq!(found.first(), Some(&(0.000_016_384, 1)));
        assert_eq!(found[BOUNDS - 1..], [(17.179_869_184, 2), (f64::INFINITY, 4)]);
    }
}
