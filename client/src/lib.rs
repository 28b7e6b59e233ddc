//! The Rust SDK around protocol's client session.
