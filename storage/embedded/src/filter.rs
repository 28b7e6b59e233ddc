//! A filter over keys: says "no" for certain, or "perhaps". A Bloom filter in blocks of one cache line, so that a question
//! costs one miss of the cache.
//!
//! At [`BITS_PER_KEY`] about one "perhaps" in 300 is wrong; a read finds out. The layout stands on disks: blocks of eight
//! `u64`, big-endian; a key sets one bit in each of the eight.

const WORDS_PER_BLOCK: usize = 8;
const BITS_PER_KEY: usize = 12;

/// One odd multiplier a word, so that the eight bits of a key are independent.
const MULTIPLIERS: [u32; WORDS_PER_BLOCK] =
    [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1, 0x7feb_352d, 0x846c_a68b, 0x3c6e_f363];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// Of these keys.
    pub(crate) fn of(hashes: &[u64]) -> Filter {
        let block_count = (hashes.len() * BITS_PER_KEY).div_ceil(WORDS_PER_BLOCK * 64);
        let mut filter = Filter { words: vec![0; block_count * WORDS_PER_BLOCK] };
        hashes.iter().for_each(|hash| filter.insert(*hash));
        filter
    }

    fn insert(&mut self, hash: u64) {
        let start = self.block(hash);
        let block = self.words.iter_mut().skip(start);
        for (word, bit) in block.zip(bits(hash)) {
            *word |= bit;
        }
    }

    pub(crate) fn may_have(&self, hash: u64) -> bool {
        let block = self.words.get(self.block(hash)..).unwrap_or_default();
        !block.is_empty() && block.iter().zip(bits(hash)).all(|(word, bit)| word & bit != 0)
    }

    /// Bytes that it takes, in memory and on the disk.
    pub(crate) fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    pub(crate) fn encode_into(&self, buffer: &mut Vec<u8>) {
        self.words.iter().for_each(|word| buffer.extend_from_slice(&word.to_be_bytes()));
    }

    /// `None`: not whole blocks.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Filter> {
        let (words, rest) = bytes.as_chunks::<8>();
        let is_whole = rest.is_empty() && words.len().is_multiple_of(WORDS_PER_BLOCK);
        is_whole.then(|| Filter { words: words.iter().map(|word| u64::from_be_bytes(*word)).collect() })
    }

    /// Where the block of a key begins.
    fn block(&self, hash: u64) -> usize {
        let block_count = (self.words.len() / WORDS_PER_BLOCK) as u64;
        (((hash >> 32) * block_count) >> 32) as usize * WORDS_PER_BLOCK
    }
}

fn bits(hash: u64) -> impl Iterator<Item = u64> {
    let low = hash as u32;
    MULTIPLIERS.into_iter().map(move |multiplier| 1 << (low.wrapping_mul(multiplier) >> 26))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;

    #[test]
    fn what_is_in_is_found_and_few_others_are() {
        let filter = Filter::of(&(0..10_000_u64).map(|key| hash(&key.to_be_bytes())).collect::<Vec<_>>());
        assert!((0..10_000_u64).all(|key| filter.may_have(hash(&key.to_be_bytes()))));
        let wrong = (10_000..110_000_u64).filter(|key| filter.may_have(hash(&key.to_be_bytes()))).count();
        assert!(wrong < 1000, "{wrong} of 100,000 strangers were let in");
        let mut bytes = Vec::new();
        filter.encode_into(&mut bytes);
        assert_eq!(bytes.len(), filter.bytes());
        assert_eq!(Filter::decode(&bytes), Some(filter));
    }

    #[test]
    fn an_empty_filter_has_nothing() {
        assert!(!Filter::of(&[]).may_have(hash(b"key")));
        assert_eq!(Filter::decode(&[0; 63]), None);
    }
}
