//! The whole system in one thread: network, store, clocks and crashes simulated, everything else as it ships.
//!
//! [`campaign`] runs seeds, [`world`] is one of them; [`checker`] says what they prove. [`rings`] is a smaller world for what
//! lies below the gateway's shard.

pub mod agenda;
pub mod campaign;
pub mod checker;
pub mod client_host;
pub mod clock;
mod describe;
pub mod fault;
pub mod gateway_host;
pub mod ledger;
pub mod network;
pub mod outcome;
pub mod prng;
pub mod process;
pub mod promise;
pub mod rings;
pub mod router_host;
pub mod script;
pub mod sighting;
pub mod store;
pub mod stored;
pub mod trace;
pub mod witness;
pub mod world;
