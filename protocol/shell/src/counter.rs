//! A number that a thread counts and others may look at.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::figures::{Figure, Visitor};

/// Only rises. One thread writes it, so counting is an addition without a lock; whoever reads may be a moment behind.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Only from the one thread that writes it.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// Likewise.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Its value now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Figure for Counter {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.number("", self.value());
    }

    fn merge(&mut self, other: &Counter) {
        self.add(other.value());
    }
}
