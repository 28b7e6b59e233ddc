//! Random numbers from a seed, the same on every machine: the splitmix64 sequence.

pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound`, exclusive.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is nothing below zero");
        (self.next() % bound as u64) as usize
    }

    pub(super) fn is_heads(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
