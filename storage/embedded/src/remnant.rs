//! What is left of a segment when some of its records have had their time: the others, and behind them their index.
//!
//! One file, so that records and index change at once. A header page, big-endian: magic 8 bytes, CRC32C `u32` of the page
//! behind it, format version `u16`, two zero bytes, log id 16 bytes, segment `u32`, generation `u16`, two zero bytes,
//! the page where the index begins `u32`, the end of the records `u32`, where the batches of the segment ended `u64`;
//! then the records one behind another, each under its own checksum as ever; zeros up to a page; the index as in a side
//! file. A remnant takes the place of the segment, or of the remnant of a lower generation.

use storage_log::{LogId, Position, SegmentNumber};

use crate::bytes::{Reader, Writer};
use crate::limits::PAGE_BYTES;
use crate::sealed_segment::BadIndex;

/// The newest format of remnants, and the one that is written.
pub(crate) const REMNANT_FORMAT_VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"RINGPREM";
const COVERED_FROM: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemnantHeader {
    pub(crate) log_id: LogId,
    pub(crate) segment: SegmentNumber,
    pub(crate) generation: u16,
    pub(crate) index_page: u32,
    pub(crate) records_end: u32,
    /// The chain of batches goes on from here.
    pub(crate) batches_end: Position,
}

impl RemnantHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().bytes(&MAGIC).u32(0).u16(REMNANT_FORMAT_VERSION).u16(0).bytes(&self.log_id.0);
        let writer = writer.u32(self.segment.0).u16(self.generation).u16(0);
        let mut page = writer.u32(self.index_page).u32(self.records_end).u64(self.batches_end.to_u64()).0;
        page.resize(PAGE_BYTES, 0);
        let checksum = crc32c::crc32c(&page[COVERED_FROM..]);
        page[MAGIC.len()..COVERED_FROM].copy_from_slice(&checksum.to_be_bytes());
        page
    }

    pub(crate) fn decode(segment: SegmentNumber, generation: u16, page: &[u8]) -> Result<RemnantHeader, BadIndex> {
        let version = verified_version(page).ok_or(BadIndex::Damaged)?;
        if version > REMNANT_FORMAT_VERSION {
            return Err(BadIndex::Newer(version));
        }
        let fields = Reader(page.get(COVERED_FROM + 4..).unwrap_or_default());
        let header = Self::fields_behind_version(fields).ok_or(BadIndex::Damaged)?;
        let is_named_so = (header.segment, header.generation) == (segment, generation);
        if is_named_so { Ok(header) } else { Err(BadIndex::Damaged) }
    }

    fn fields_behind_version(mut fields: Reader<'_>) -> Option<RemnantHeader> {
        let (log_id, segment) = (LogId(fields.array()?), SegmentNumber(fields.u32()?));
        let generation = fields.u16()?;
        let _zeros = fields.u16()?;
        let (index_page, records_end) = (fields.u32()?, fields.u32()?);
        let batches_end = Position::from_u64(fields.u64()?);
        Some(RemnantHeader { log_id, segment, generation, index_page, records_end, batches_end })
    }
}

fn verified_version(page: &[u8]) -> Option<u16> {
    let mut fields = Reader(page.get(..PAGE_BYTES)?);
    let magic: [u8; 8] = fields.array()?;
    let checksum = fields.u32()?;
    let is_whole = magic == MAGIC && crc32c::crc32c(fields.0) == checksum;
    if is_whole { fields.u16() } else { None }
}
