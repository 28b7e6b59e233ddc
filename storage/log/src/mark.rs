//! The content of the `needs_check` file, which a failed write or sync leaves behind.
//!
//! It says how far the log had been acked. What stands behind that was never acked: a read-only log does not show it,
//! and a check may keep it or cut it. Everything before it must be there. Before a check removes the file it writes into
//! it that all is well, since a removed name can come back with a loss of power.
//!
//! Stored, little-endian: acked through `u64`, or all ones for "all is well"; CRC32C `u32` of it. The file counts also
//! when its content never reached the disk.

use crate::bytes::Fields;
use crate::position::Position;

/// Bytes of the file.
pub(crate) const MARK_BYTES: u32 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A write or a sync has failed when the log was acked through this.
    Failed(Position),
    /// A write or a sync has failed; how far the log was acked is not known.
    Blank,
    /// A check has passed since.
    AllIsWell,
}

const ALL_IS_WELL: u64 = u64::MAX;

impl Mark {
    pub(crate) fn encode(self) -> Vec<u8> {
        let number = match self {
            Self::Failed(acked_through) => acked_through.to_u64(),
            Self::Blank => return vec![0; MARK_BYTES as usize],
            Self::AllIsWell => ALL_IS_WELL,
        };
        let number = number.to_le_bytes();
        [&number[..], &crc32c::crc32c(&number).to_le_bytes()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        match Self::verified_number(bytes) {
            None => Self::Blank,
            Some(ALL_IS_WELL) => Self::AllIsWell,
            Some(number) => Self::Failed(Position::from_u64(number)),
        }
    }

    fn verified_number(bytes: &[u8]) -> Option<u64> {
        let mut fields = Fields(bytes);
        let number: [u8; 8] = fields.take()?;
        (fields.u32()? == crc32c::crc32c(&number)).then(|| u64::from_le_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::SegmentNumber;

    #[test]
    fn a_mark_comes_back_and_a_torn_one_is_blank() {
        let failed = Mark::Failed(Position { segment: SegmentNumber(3), offset: 8192 });
        for mark in [failed, Mark::Blank, Mark::AllIsWell] {
            assert_eq!(Mark::decode(&mark.encode()), mark);
        }
        assert_eq!(Mark::decode(&failed.encode()[..11]), Mark::Blank);
    }
}
