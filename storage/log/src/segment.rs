//! The header block of a segment file.
//!
//! One page, little-endian: magic 8 bytes, CRC32C `u32` of the page behind it, format version `u16`, two zero bytes,
//! log id 16 bytes, incarnation `u64`, segment number `u32`, size of the file `u32`, zeros. Magic, checksum and format
//! version keep their places in every format, so that a newer file is told from a damaged one.

use crate::bytes::Fields;
use crate::identity::{LogId, LogIdentity, StoreIncarnation};
use crate::limits::{SECTOR_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES};
use crate::position::SegmentNumber;

/// The newest format of segments and batches that this version reads, and the one it writes.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"RINGPLOG";
const COVERED_FROM: usize = 12;

/// A segment file, named by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: LogIdentity,
    pub(crate) number: SegmentNumber,
    /// The size of the whole file. A file is given its name only when it has been synced at this size, so a shorter
    /// one has lost something.
    pub(crate) segment_bytes: u32,
}

/// Why a header block was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Wrong magic or checksum, too short, or of a size that no segment has.
    Damaged,
    /// Whole, but of a format newer than [`FORMAT_VERSION`].
    Newer(u16),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        block.extend_from_slice(&MAGIC);
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        block.extend_from_slice(&[0; 2]);
        block.extend_from_slice(&self.identity.log_id.0);
        block.extend_from_slice(&self.identity.incarnation.0.to_le_bytes());
        block.extend_from_slice(&self.number.0.to_le_bytes());
        block.extend_from_slice(&self.segment_bytes.to_le_bytes());
        block.resize(SEGMENT_HEADER_BYTES as usize, 0);
        let checksum = crc32c::crc32c(&block[COVERED_FROM..]);
        block[MAGIC.len()..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    pub(crate) fn decode(block: &[u8]) -> Result<Self, BadHeader> {
        let version = Self::verified_version(block).ok_or(BadHeader::Damaged)?;
        if version > FORMAT_VERSION {
            return Err(BadHeader::Newer(version));
        }
        Self::fields_behind_version(block).ok_or(BadHeader::Damaged)
    }

    fn verified_version(block: &[u8]) -> Option<u16> {
        let block = block.get(..SEGMENT_HEADER_BYTES as usize)?;
        let mut fields = Fields(block);
        let magic: [u8; 8] = fields.take()?;
        let checksum = fields.u32()?;
        let is_whole = magic == MAGIC && crc32c::crc32c(fields.0) == checksum;
        if is_whole { fields.u16() } else { None }
    }

    fn fields_behind_version(block: &[u8]) -> Option<Self> {
        let mut fields = Fields(block.get(COVERED_FROM + 4..)?);
        let log_id = LogId(fields.take()?);
        let incarnation = StoreIncarnation(fields.u64()?);
        let number = SegmentNumber(fields.u32()?);
        let segment_bytes = fields.u32()?;
        // No log ever made a segment of another size, and none could write on in it.
        let is_possible = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes)
            && segment_bytes.is_multiple_of(SECTOR_BYTES);
        is_possible.then_some(Self { identity: LogIdentity { log_id, incarnation }, number, segment_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let identity = LogIdentity { log_id: LogId([3; 16]), incarnation: StoreIncarnation(9) };
        SegmentHeader { identity, number: SegmentNumber(5), segment_bytes: 1 << 20 }
    }

    #[test]
    fn a_header_comes_back_and_a_flipped_bit_is_damage() {
        let block = header().encode();
        assert_eq!(SegmentHeader::decode(&block), Ok(header()));
        for bit in [0, 64, 96, 100, 400, 4095 * 8] {
            let mut rotten = block.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&rotten), Err(BadHeader::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_an_impossible_size_is_damage() {
        for segment_bytes in [0, 5120, SEGMENT_BYTES_MIN - SECTOR_BYTES, SEGMENT_BYTES_MIN + 1, SEGMENT_BYTES_MAX + 512]
        {
            let block = SegmentHeader { segment_bytes, ..header() }.encode();
            assert_eq!(SegmentHeader::decode(&block), Err(BadHeader::Damaged), "{segment_bytes}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut block = header().encode();
        block[12] = 2;
        let checksum = crc32c::crc32c(&block[12..]).to_le_bytes();
        block[8..12].copy_from_slice(&checksum);
        assert_eq!(SegmentHeader::decode(&block), Err(BadHeader::Newer(2)));
    }
}
