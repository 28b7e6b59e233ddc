//! What the router's thread lets others see of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use router_core::RouterCounters;

/// Written by the router's thread each turn, read by whoever answers probes and exports metrics.
#[derive(Default)]
pub struct Published {
    counters: Mutex<RouterCounters>,
    links: AtomicU64,
    append_nanos: AtomicU64,
    apply_nanos: AtomicU64,
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

    /// Time of the router's thread in which rows were encoded and handed to the log.
    pub fn append_time(&self) -> Duration {
        Duration::from_nanos(self.append_nanos.load(Ordering::Relaxed))
    }

    /// Time of the router's thread in which the index took what had become durable, and reads were answered.
    pub fn apply_time(&self) -> Duration {
        Duration::from_nanos(self.apply_nanos.load(Ordering::Relaxed))
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

    pub(crate) fn set_store_time(&self, append: Duration, apply: Duration) {
        self.append_nanos.store(nanos(append), Ordering::Relaxed);
        self.apply_nanos.store(nanos(apply), Ordering::Relaxed);
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

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
