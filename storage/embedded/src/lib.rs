//! The embedded store: `storage/api` on one append log, with an index in memory that one scan rebuilds at the start.
//!
//! A state machine like the log: it starts no thread, waits for nothing and reads no clock. [`Opening`] scans the log,
//! [`EmbeddedStore`] takes requests and disk completions, and gives disk operations and events.
//!
//! Invariants: what an answer shows is durable; writes become durable in the order in which they came; after a crash a
//! write that did not fit one batch of the log may be there up to one of its mutations, and never without those before.

mod conversation;
mod error;
mod identities;
mod index;
mod opening;
mod options;
mod reads;
mod recent;
mod record;
mod registrations;
mod store;
mod user;
mod writes;

pub use error::{OpenError, RecordFault};
pub use opening::{Opening, OpeningProgress};
pub use options::EmbeddedOptions;
pub use store::{EmbeddedStore, Figures, StoreEvent};
