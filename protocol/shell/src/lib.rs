//! What the shells of both tiers need and no core may have: clocks, randomness, counters that others look at, traces,
//! the size of pages, and the queues of a link within one process.

pub mod clock;
mod counter;
mod link_queue;
mod link_source;
pub mod random;
mod small_pages;
mod trace_ring;

pub use counter::Counter;
pub use link_queue::{BatchReceiver, BatchSender, LINK_BATCHES_MAX, LinkClosed, LinkTransport};
pub use link_source::LinkSource;
pub use small_pages::use_small_pages;
pub use trace_ring::{TraceFound, TraceRing};
