//! The pure heart of the router: conversation and user owners.

#![no_std]
extern crate alloc;
