//! Randomness for seeds and names, from the keys that std asks the operating system for. Not for secrets.

use std::hash::{BuildHasher, RandomState};

pub(crate) fn draw() -> u64 {
    RandomState::new().hash_one(0)
}

pub(crate) fn draw_u128() -> u128 {
    u128::from(draw()) << 64 | u128::from(draw())
}
