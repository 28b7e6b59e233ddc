//! The pure heart of the gateway: one Shard per core.

#![no_std]
extern crate alloc;
