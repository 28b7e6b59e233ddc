//! A hash that stands on disks: never changes. Quick and even; not made against somebody who picks keys to collide, so
//! whatever is found by it is compared.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps by ids that nobody outside can choose: conversations, which are hashes themselves, and users.
pub(crate) type IdHashes = BuildHasherDefault<IdHasher>;

#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ hash(bytes));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn write_usize(&mut self, _length: usize) {
        // Of an array: always the same.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = u64::from_be_bytes(*b"Ringpost") ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

/// The finalizer of splitmix64: every bit of the input moves every bit of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_pinned() {
        assert_eq!(hash(b""), 0x5269_6e67_706f_7374);
        assert_eq!(hash(b"ringpost"), 0xd4d2_0d7a_3626_d396);
        assert_eq!(hash(b"ringpost!"), 0x2a1a_b5ed_ebd8_d0cd);
    }
}
