//! Which faults have happened, and which of them made a difference.

/// How often a fault fired, and how often it mattered: it changed bytes, names or an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// It happened.
    pub fired: u64,
    /// Something was different because of it.
    pub mattered: u64,
}

impl Tally {
    pub(super) fn count(&mut self, mattered: bool) {
        self.fired += 1;
        self.mattered += u64::from(mattered);
    }
}

/// The faults of a [`crate::SimDisk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultTallies {
    /// The process was killed. Mattered: with operations in flight or bytes not yet synced.
    pub kills: Tally,
    /// The power was cut. Mattered: something that could be read before was not on the medium.
    pub power_cuts: Tally,
    /// At a power cut, a write was kept in some 512-byte sectors and lost in others.
    pub torn_at_512: Tally,
    /// At a power cut, a write was kept in some 4 KiB pages and lost in others.
    pub torn_at_4096: Tally,
    /// At a power cut, something was kept that was written after something that was lost.
    pub reordered: Tally,
    /// At a power cut, a write that had been performed was lost wholly.
    pub lost_writes: Tally,
    /// At a power cut, a file kept an old length.
    pub lost_lengths: Tally,
    /// At a power cut, a new name was lost.
    pub lost_creates: Tally,
    /// At a power cut, a renamed file had its old name again.
    pub lost_renames: Tally,
    /// At a power cut, a removed file was there again.
    pub lost_unlinks: Tally,
    /// A write failed. Mattered: a part of it was done.
    pub failed_writes: Tally,
    /// A sync failed once, and the next one would claim success. Mattered: something was not synced.
    pub failed_syncs: Tally,
    /// The disk was full. Always matters: an operation failed.
    pub full: Tally,
    /// A bit was flipped. Mattered: it was read.
    pub rotten_bits: Tally,
}

impl FaultTallies {
    /// Every fault with its name, for a table.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, Tally); 14] {
        [
            ("kill", self.kills),
            ("power cut", self.power_cuts),
            ("write torn at 512 B", self.torn_at_512),
            ("write torn at 4 KiB", self.torn_at_4096),
            ("writes reordered", self.reordered),
            ("write lost", self.lost_writes),
            ("length lost", self.lost_lengths),
            ("create lost", self.lost_creates),
            ("rename lost", self.lost_renames),
            ("unlink lost", self.lost_unlinks),
            ("write failed", self.failed_writes),
            ("sync failed", self.failed_syncs),
            ("disk full", self.full),
            ("bit rotten", self.rotten_bits),
        ]
    }
}
