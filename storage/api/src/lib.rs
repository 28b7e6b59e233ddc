//! Requests and responses of the store as values. Pure.

#![no_std]
extern crate alloc;
