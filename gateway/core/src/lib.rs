//! The pure heart of the gateway: one [`Shard`] per core.
//!
//! No clock, no I/O, no randomness: the shells bring time, bytes and verdicts, and do what the shard says.

#![no_std]
extern crate alloc;

mod ack_times;
mod audience;
mod config;
mod connection;
mod connections;
mod counters;
mod handshakes;
mod moved;
mod output;
mod placement;
mod router_link;
mod session_index;
mod shard;
mod slab;
mod sweep;
mod ticket;

pub use audience::{FOLLOWERS_PER_TURN_MAX, ROUND_INTERVAL_MIN};
pub use config::ShardConfig;
pub use connection::ConnectionId;
pub use counters::{ByFrame, FramesOfClients, FramesOfServers, ShardCounters, ShardGauges};
pub use moved::MovedConnection;
pub use output::{Action, FrameRef};
pub use placement::home_shard;
pub use router_link::OPENS_IN_FLIGHT_MAX;
pub use shard::{AuthRefusal, CloseCause, Flow, Identity, LinkEvent, Peer, Refusal, Shard};
pub use sweep::SWEEP_ROUND;
pub use ticket::{TICKET_KEY_SIZE, TicketKeys};
