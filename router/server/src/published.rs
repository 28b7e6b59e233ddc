//! What the router's thread lets others see of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::figures::{Figures, Visitor};
use protocol::trace::TraceConfig;
use protocol_shell::TraceRing;

use crate::figures::RouterFigures;

/// Written by the router's thread each turn, read by whoever answers probes and exports metrics.
#[derive(Default)]
pub struct Published {
    trace: TraceRing,
    figures: Mutex<RouterFigures>,
    pressed: AtomicBool,
    read_only: AtomicBool,
}

impl Published {
    pub(crate) fn new(trace: TraceConfig) -> Published {
        Published { trace: TraceRing::new(trace), ..Published::default() }
    }

    /// The steps of messages that the router keeps.
    pub fn trace(&self) -> &TraceRing {
        &self.trace
    }

    /// Links to gateway shards.
    pub fn links(&self) -> u64 {
        self.figures.lock().expect("nothing panics while it holds this lock").gauges.links
    }

    /// New messages are refused because the disk is almost full or does not keep up.
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Nothing can be written before `ringpost store check` has passed.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    pub(crate) fn update(&self, update: impl FnOnce(&mut RouterFigures)) {
        update(&mut self.figures.lock().expect("nothing panics while it holds this lock"));
    }

    pub(crate) fn set_pressed(&self, is_pressed: bool) {
        self.pressed.store(is_pressed, Ordering::Relaxed);
    }

    pub(crate) fn set_read_only(&self, is_read_only: bool) {
        self.read_only.store(is_read_only, Ordering::Relaxed);
    }
}

impl Figures for Published {
    fn visit(&self, visitor: &mut dyn Visitor) {
        let mut figures = self.figures.lock().expect("nothing panics while it holds this lock").clone();
        figures.store.pressed = self.is_pressed();
        figures.store.read_only = self.is_read_only();
        figures.visit(visitor);
    }
}
