//! Random numbers that a seed repeats: splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).

use std::time::Duration;

/// One stream of numbers. Streams are forked, so that drawing more in one place changes nothing in another.
#[derive(Clone, Debug)]
pub struct Prng {
    state: u64,
}

impl Prng {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Prng {
        Prng { state: seed }
    }

    /// A stream of its own.
    pub fn fork(&mut self) -> Prng {
        Prng { state: self.draw() }
    }

    /// Any 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = self.state;
        let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// Any 128 bits.
    pub fn draw_u128(&mut self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }

    /// Less than `bound`, which is not 0. The bias of a bound far below 2^64 does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// An index into `length` things, of which there is at least one.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True so many times of a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// From `low` up to but without `high`.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (low.as_nanos() as u64, high.as_nanos() as u64);
        Duration::from_nanos(low + self.below((high - low).max(1)))
    }

    /// One of them; there is at least one.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.index(things.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut prng = Prng::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| prng.draw()).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
