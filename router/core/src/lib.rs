//! The pure heart of the router: conversation owners give order and permission, user owners keep each user's log and
//! the sessions of its devices. Persist first, then fan out.
//!
//! No clock, no I/O: the shell reports what happened with `handle_*`, and drains [`Router::poll_action`] afterwards.
#![no_std]

extern crate alloc;

mod audience;
mod config;
mod context;
mod conversation;
mod counters;
mod dedup;
mod dense;
mod last_seen;
mod links;
mod mail;
mod members;
mod orders;
mod parked;
mod receipts;
mod request;
mod room;
mod router;
mod session;
mod starved;
mod store_queue;
mod user;

pub use config::RouterConfig;
pub use counters::{RouterCounters, RouterGauges};
pub use links::{DropCause, LinkId};
pub use orders::{Order, OrderId, OrderOutcome};
pub use router::{Action, Router};
