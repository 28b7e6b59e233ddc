//! The client session against a scripted server: every rule on its own, then all of them under random losses.

mod channels;
mod connecting;
mod device;
mod frames;
mod questions;
mod random;
mod sending;
mod server;
mod stream;
