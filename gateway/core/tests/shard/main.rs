//! A shard between a driver and a router that live in memory.

mod bad_input;
mod channels;
mod deadlines;
mod link;
mod moves;
mod random;
mod sessions;
mod support;
mod tickets;
