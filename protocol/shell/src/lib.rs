//! What the shells of both tiers need and no core may have: clocks, randomness, and the queues of a link within one
//! process.

pub mod clock;
mod link_queue;
mod link_source;
pub mod random;

pub use link_queue::{BatchReceiver, BatchSender, LINK_BATCHES_MAX, LinkClosed, LinkTransport};
pub use link_source::LinkSource;
