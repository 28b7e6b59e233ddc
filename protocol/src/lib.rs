//! The wire: frames, limits, ids, codes, and the session and link state machines of both ends. Pure.

#![no_std]
extern crate alloc;
