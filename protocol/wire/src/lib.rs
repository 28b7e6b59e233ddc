//! The FlatBuffers tables of the wire: generated code and nothing else (`cargo xtask codegen`).
#![no_std]

#[rustfmt::skip]
#[allow(warnings, clippy::all)]
mod generated;

pub use generated::ringpost::*;
