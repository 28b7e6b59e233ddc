//! A commit batch: records that become durable together or not at all, behind one header and one checksum.
//!
//! Stored, little-endian: magic `u32`, CRC32C `u32`, log id 16 bytes, segment `u32`, offset `u32`, length `u32` (header
//! and records), record count `u32`, `synced_through` `u64`; then the records, one right behind another. The checksum
//! covers everything behind itself and is seeded by log id, segment and offset.
//!
//! `synced_through` is the end of the batch before this one. The log writes a batch only when the one before it has
//! been synced, so the field is at once a proof of durability and a chain: no batch can go missing unnoticed, also not
//! the last one of a segment.

use crate::bytes::Fields;
use crate::identity::LogId;
use crate::limits::{BATCH_BYTES_MAX, SECTOR_BYTES};
use crate::position::{Position, SegmentNumber};
use crate::record::Record;

/// Bytes in front of the records of a batch.
pub(crate) const BATCH_HEADER_BYTES: u32 = 48;

const MAGIC: u32 = u32::from_le_bytes(*b"RPBT");
/// The checksum covers everything from here.
const COVERED_FROM: usize = 8;

/// A batch whose checksum matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) position: Position,
    /// Header and records.
    pub(crate) length: u32,
    pub(crate) record_count: u32,
    pub(crate) synced_through: Position,
}

impl BatchHeader {
    /// Where the next batch of this segment stands.
    pub(crate) fn end(&self) -> Position {
        self.position.behind(self.length)
    }
}

/// What bytes at a place of a segment are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// A whole batch of this log that belongs exactly here.
    Batch(BatchHeader),
    /// It may be a batch; to tell takes this many bytes from its start.
    Needs(u32),
    /// Not a batch, or a torn or rotten one.
    Nothing,
}

/// Looks for a batch that starts `bytes`, which stand at `position`.
pub(crate) fn inspect(log_id: LogId, position: Position, bytes: &[u8]) -> Inspected {
    if bytes.len() < BATCH_HEADER_BYTES as usize {
        return Inspected::Needs(BATCH_HEADER_BYTES);
    }
    let Some((checksum, header)) = decode_header(log_id, bytes) else { return Inspected::Nothing };
    let length_is_possible = (BATCH_HEADER_BYTES..=BATCH_BYTES_MAX).contains(&header.length);
    if header.position != position || !length_is_possible {
        return Inspected::Nothing;
    }
    match bytes.get(..header.length as usize) {
        None => Inspected::Needs(header.length),
        Some(batch) if checksum_of(log_id, position, batch) == checksum => Inspected::Batch(header),
        Some(_) => Inspected::Nothing,
    }
}

fn decode_header(log_id: LogId, bytes: &[u8]) -> Option<(u32, BatchHeader)> {
    let mut fields = Fields(bytes);
    if fields.u32()? != MAGIC {
        return None;
    }
    let checksum = fields.u32()?;
    if LogId(fields.take()?) != log_id {
        return None;
    }
    let position = Position { segment: SegmentNumber(fields.u32()?), offset: fields.u32()? };
    let (length, record_count) = (fields.u32()?, fields.u32()?);
    let synced_through = Position::from_u64(fields.u64()?);
    Some((checksum, BatchHeader { position, length, record_count, synced_through }))
}

fn checksum_of(log_id: LogId, position: Position, batch: &[u8]) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(&log_id.0), &position.to_u64().to_le_bytes());
    crc32c::crc32c_append(seed, batch.get(COVERED_FROM..).unwrap_or_default())
}

/// The records that wait for the next commit, encoded as they will be written.
pub(crate) struct BatchBuilder {
    buffer: Vec<u8>,
    record_count: u32,
}

impl BatchBuilder {
    pub(crate) fn new() -> Self {
        Self { buffer: header_room(Vec::new()), record_count: 0 }
    }

    /// Header and records so far.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Copies a record in; answers where in the batch it starts.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> u32 {
        let start = self.buffer.len() as u32;
        record.encode_into(&mut self.buffer);
        self.record_count += 1;
        start
    }

    /// Hands the finished batch out, padded to whole sectors, and starts the next one in `spare`. Also answers the
    /// length without the padding.
    pub(crate) fn finish(
        &mut self,
        log_id: LogId,
        position: Position,
        synced_through: Position,
        spare: Vec<u8>,
    ) -> (Vec<u8>, u32) {
        let length = self.buffer.len() as u32;
        assert!(length <= BATCH_BYTES_MAX, "a batch has a limit");
        let mut batch = std::mem::replace(&mut self.buffer, header_room(spare));
        let record_count = std::mem::take(&mut self.record_count);
        let header = [
            &MAGIC.to_le_bytes()[..],
            &[0; 4],
            &log_id.0,
            &position.segment.0.to_le_bytes(),
            &position.offset.to_le_bytes(),
            &length.to_le_bytes(),
            &record_count.to_le_bytes(),
            &synced_through.to_u64().to_le_bytes(),
        ]
        .concat();
        batch[..header.len()].copy_from_slice(&header);
        let checksum = checksum_of(log_id, position, &batch);
        batch[4..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
        batch.resize(batch.len().next_multiple_of(SECTOR_BYTES as usize), 0);
        (batch, length)
    }
}

/// An empty buffer of `spare`'s capacity with room for the header.
fn header_room(mut spare: Vec<u8>) -> Vec<u8> {
    spare.clear();
    spare.resize(BATCH_HEADER_BYTES as usize, 0);
    spare
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    const LOG: LogId = LogId([7; 16]);
    const HERE: Position = Position { segment: SegmentNumber(2), offset: 8192 };

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.push(&Record { class: Class::Permanent, format_version: 1, key: b"k", payload: &[b"body"] });
        builder.finish(LOG, HERE, Position::first_of(SegmentNumber(2)), Vec::new()).0
    }

    #[test]
    fn a_batch_is_one_only_in_its_own_log_and_place() {
        let bytes = batch();
        assert!(matches!(inspect(LOG, HERE, &bytes), Inspected::Batch(header) if header.record_count == 1));
        assert_eq!(inspect(LogId([8; 16]), HERE, &bytes), Inspected::Nothing);
        assert_eq!(inspect(LOG, HERE.behind(1), &bytes), Inspected::Nothing);
        assert_eq!(inspect(LOG, HERE, &bytes[..47]), Inspected::Needs(BATCH_HEADER_BYTES));
        assert_eq!(inspect(LOG, HERE, &bytes[..50]), Inspected::Needs(48 + 12 + 1 + 4));
    }

    #[test]
    fn a_flipped_bit_anywhere_makes_it_no_batch() {
        let bytes = batch();
        let covered_bits = (48 + 12 + 1 + 4) * 8;
        for bit in 0..covered_bits {
            let mut rotten = bytes.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(inspect(LOG, HERE, &rotten), Inspected::Batch(_)), "bit {bit}");
        }
    }
}
