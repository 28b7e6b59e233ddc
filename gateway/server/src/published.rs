//! What a shard thread lets others see of its shard.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_core::{ShardCounters, ShardGauges};
use protocol::figures::{Figures, Visitor};
use protocol::trace::TraceConfig;
use protocol_shell::TraceRing;

use crate::metrics::LoopFigures;

/// Written by the shard thread, read by whoever answers probes and exports metrics.
#[derive(Default)]
pub(crate) struct Published {
    is_ready: AtomicBool,
    figures: Mutex<ShardFigures>,
    pub(crate) trace: TraceRing,
}

/// Not older than a tick of the loop.
#[derive(Clone, Default)]
pub(crate) struct ShardFigures {
    pub(crate) counters: ShardCounters,
    pub(crate) gauges: ShardGauges,
    pub(crate) of_loop: LoopFigures,
}

impl Published {
    pub(crate) fn new(trace: TraceConfig) -> Published {
        Published { trace: TraceRing::new(trace), ..Published::default() }
    }

    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    pub(crate) fn set_figures(&self, counters: &ShardCounters, gauges: ShardGauges, of_loop: &LoopFigures) {
        let mut figures = self.figures.lock().expect("nothing panics while it holds this lock");
        figures.counters.clone_from(counters);
        figures.gauges = gauges;
        figures.of_loop.clone_from(of_loop);
    }

    /// A copy: the shard thread waits for this lock.
    pub(crate) fn figures(&self) -> ShardFigures {
        let mut figures = self.figures.lock().expect("nothing panics while it holds this lock").clone();
        figures.of_loop.linked = self.is_ready();
        figures
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }
}

impl ShardFigures {
    /// Takes in those of another shard.
    pub(crate) fn merge(&mut self, other: &ShardFigures) {
        self.counters.merge(&other.counters);
        self.gauges.merge(&other.gauges);
        self.of_loop.merge(&other.of_loop);
    }
}

impl Figures for ShardFigures {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.counters.visit(visitor);
        self.gauges.visit(visitor);
        self.of_loop.visit(visitor);
    }
}
