//! What a shard thread lets others see of its shard.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_core::ShardCounters;

/// Written by the shard thread, read by whoever answers probes and exports metrics.
#[derive(Default)]
pub(crate) struct Published {
    is_ready: AtomicBool,
    counters: Mutex<ShardCounters>,
}

impl Published {
    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    pub(crate) fn set_counters(&self, counters: &ShardCounters) {
        self.counters.lock().expect("nothing panics while it holds this lock").clone_from(counters);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> ShardCounters {
        self.counters.lock().expect("nothing panics while it holds this lock").clone()
    }
}
