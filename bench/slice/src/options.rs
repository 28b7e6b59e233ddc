//! What a run is.

use std::path::PathBuf;
use std::time::Duration;

/// See each field.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `ringpost` binary.
    pub binary: PathBuf,
    /// Pairs of users, from 1 to 2,000.
    pub pairs: usize,
    /// Messages of a pair that wait for their ack in the first phase.
    pub window: usize,
    /// Messages a second of the second phase and of the baseline; `None`: half of what the first phase has reached.
    pub rate: Option<u32>,
    /// Of each phase, after its first second.
    pub duration: Duration,
    /// Where the server keeps its data: made, and removed at the end. On a disk, or the sync is none.
    pub scratch: PathBuf,
}
