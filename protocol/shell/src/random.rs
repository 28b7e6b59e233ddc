//! Randomness for names, from the keys that std asks the operating system for. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// Any number.
pub fn number() -> u64 {
    RandomState::new().hash_one(0)
}

/// Any bytes.
pub fn bytes() -> [u8; 16] {
    (u128::from(number()) << 64 | u128::from(number())).to_le_bytes()
}
