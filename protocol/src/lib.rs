//! The wire of Ringpost: frames, limits, ids and codes, and the state machines of both ends of a session and of a link.
//!
//! Pure: no clock, no I/O, no randomness of its own. Time is an argument, randomness a seed.
#![no_std]

extern crate alloc;

pub mod client;
pub mod codes;
pub mod encode;
pub mod event;
pub mod figures;
pub mod frame;
pub mod frame_number;
pub mod ids;
pub mod limits;
pub mod link;
pub mod peek;
pub mod server;
pub mod small_map;
pub mod time;
pub mod trace;

pub use wire;
