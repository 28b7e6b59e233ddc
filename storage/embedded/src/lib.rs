//! The embedded store: `storage/api` on one append log.
//!
//! A state machine like the log: it starts no thread, waits for nothing and reads no clock. [`Opening`] reads what a start
//! needs, [`EmbeddedStore`] takes requests and disk completions, and gives disk operations and events.
//!
//! Where an entry is is in memory for the segments that have no side file yet, which are few; when a segment is full, its
//! index is written once, sorted, beside it. What follows from all records together, the small state, is in memory and in
//! snapshots in the log. So a start reads the newest snapshot, the log from there, and what stays in memory of the side
//! files.
//!
//! Invariants: what an answer shows is durable; writes become durable in the order in which they came; after a crash a
//! write that did not fit one batch of the log may be there up to one of its mutations, and never without those before.

mod answers;
mod bytes;
mod condense;
mod conversation;
mod erasures;
mod error;
mod filter;
mod handles;
mod hash;
mod jobs;
mod limits;
mod memo;
mod open_segment;
mod open_table;
mod opening;
mod options;
mod pages;
mod recent;
mod record;
mod registrations;
mod remnant;
mod retention;
mod seal;
mod sealed_segment;
mod search;
mod segments;
mod side_files;
mod side_ids;
mod slab;
mod snapshot;
mod snapshots;
mod state;
mod store;
mod table;
mod tools;
mod user;
mod writes;

pub use error::{IndexFault, OpenError, RecordFault};
pub use opening::{Opening, OpeningProgress};
pub use options::EmbeddedOptions;
pub use store::{EmbeddedStore, Figures, StoreEvent};
pub use tools::{Backup, CheckReport, ClassFigures, Stat, ToolError, backup, check, restore, stat};
