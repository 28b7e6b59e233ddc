//! What the router's thread lets others see of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use router_core::RouterCounters;

/// Written by the router's thread each turn, read by whoever answers probes and exports metrics.
#[derive(Default)]
pub struct Published {
    counters: Mutex<RouterCounters>,
    links: AtomicU64,
    pressed: AtomicBool,
    read_only: AtomicBool,
}

impl Published {
    /// What `router/core` has counted.
    pub fn counters(&self) -> RouterCounters {
        *self.counters.lock().expect("nothing panics while it holds this lock")
    }

    /// Links to gateway shards.
    pub fn links(&self) -> u64 {
        self.links.load(Ordering::Relaxed)
    }

    /// New messages are refused because the disk is almost full or does not keep up.
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Nothing can be written before `ringpost store check` has passed.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    pub(crate) fn set_counters(&self, counters: &RouterCounters) {
        *self.counters.lock().expect("nothing panics while it holds this lock") = *counters;
    }

    pub(crate) fn set_links(&self, count: usize) {
        self.links.store(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_pressed(&self, is_pressed: bool) {
        self.pressed.store(is_pressed, Ordering::Relaxed);
    }

    pub(crate) fn set_read_only(&self, is_read_only: bool) {
        self.read_only.store(is_read_only, Ordering::Relaxed);
    }
}
