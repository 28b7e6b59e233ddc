//! The floor that a chat server is measured against: one thread, plain TCP, epoll, and nothing but the receives and sends
//! that a message takes.
//!
//! It orders nothing, stores nothing and encrypts nothing. A message of one end of a pair goes to the other end, its
//! sender is answered, and the ack of the other end goes back as a tick: see [`wire`] for the bytes.
#![cfg(target_os = "linux")]

mod server;
pub mod wire;

pub use server::serve;
