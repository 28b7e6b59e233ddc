//! What is kept in memory of a segment that has a side file, and how a side file says it.
//!
//! A side file, big-endian: a header page; the pages of the three tables; the directory. The header: magic 8 bytes,
//! CRC32C `u32` of the page behind it, format version `u16`, two zero bytes, log id 16 bytes, segment `u32`, page count
//! `u32`, directory size `u32`, its CRC32C `u32`, the newest snapshot when it was written (segment, offset and length
//! `u32` each, zeros for none), newest entry, oldest and newest identity `u64` each in ms since 1970, per class the
//! count and the bytes of its records `u32` each, per table its rows, pages and words of filter `u32` each. The
//! directory: per table the filter and the first key of each page. Magic, checksum and version keep their places in
//! every format.

use protocol::time::WallTime;
use storage_log::{FileName, LogId, Place, SegmentNumber};

use crate::bytes::{Reader, Writer};
use crate::filter::Filter;
use crate::limits::PAGE_BYTES;
use crate::open_segment::{Summary, Tally};
use crate::table::{Key, Table};

/// The newest format of side files, and the one that is written.
pub(crate) const INDEX_FORMAT_VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"RINGPIDX";
const COVERED_FROM: usize = 12;

/// Of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableDirectory {
    pub(crate) row_count: u32,
    /// From the start of the file.
    pub(crate) first_page: u32,
    pub(crate) filter: Filter,
    /// The first key of each page, one behind another.
    pub(crate) fences: Vec<u8>,
}

impl TableDirectory {
    pub(crate) fn page_count(&self, table: Table) -> u32 {
        (self.fences.len() / table.key_bytes()) as u32
    }

    /// The page on which the first row stands whose key is at least this one, or the page before it; counted from the
    /// first.
    pub(crate) fn page_of(&self, table: Table, key: &Key) -> u32 {
        let (mut low, mut high) = (0, self.page_count(table));
        while low < high {
            let middle = (low + high) / 2;
            if self.fence(table, middle) < Some(*key) { low = middle + 1 } else { high = middle }
        }
        low.saturating_sub(1)
    }

    /// Whether this is the first key of that page.
    pub(crate) fn begins_with(&self, table: Table, page: u32, key: &Key) -> bool {
        self.fence(table, page) == Some(*key)
    }

    fn fence(&self, table: Table, page: u32) -> Option<Key> {
        let start = page as usize * table.key_bytes();
        self.fences.get(start..start + table.key_bytes()).map(Key::from_bytes)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedSegment {
    pub(crate) number: SegmentNumber,
    pub(crate) home: Home,
    pub(crate) summary: Summary,
    /// In the order of [`Table::ALL`].
    pub(crate) tables: [TableDirectory; 3],
}

/// Where the records of a segment are, and their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) records: FileName,
    pub(crate) index: FileName,
    /// Where in that file the index begins, in pages.
    pub(crate) first_page: u32,
}

impl Home {
    /// The segment as it was written, and its side file.
    pub(crate) fn of_segment(number: SegmentNumber) -> Home {
        Home { records: FileName::Segment(number), index: FileName::Index(number), first_page: 0 }
    }

    /// What is left of a segment, with the index behind it.
    pub(crate) fn of_remnant(number: SegmentNumber, generation: u16, first_page: u32) -> Home {
        let file = FileName::Remnant(number, generation);
        Home { records: file, index: file, first_page }
    }

    /// Of its records.
    pub(crate) fn generation(&self) -> u16 {
        match self.records {
            FileName::Remnant(_, generation) => generation,
            _ => 0,
        }
    }
}

/// The header of a side file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    pub(crate) segment: SegmentNumber,
    /// The header page and those of the tables.
    page_count: u32,
    pub(crate) directory_bytes: u32,
    directory_checksum: u32,
    /// The record that ends the newest snapshot.
    pub(crate) snapshot: Option<Place>,
    summary: Summary,
    /// Rows, pages, words of the filter.
    tables: [[u32; 3]; 3],
}

/// Why a side file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadIndex {
    /// It is made again.
    Damaged,
    /// A newer version wrote it, in this format.
    Newer(u16),
}

impl SealedSegment {
    pub(crate) fn table(&self, table: Table) -> &TableDirectory {
        &self.tables[table as usize]
    }

    /// Bytes in memory, about.
    pub(crate) fn resident_bytes(&self) -> usize {
        size_of::<SealedSegment>()
            + self.tables.iter().map(|table| table.filter.bytes() + table.fences.len()).sum::<usize>()
    }

    /// Forgets who is in the tables of identities: they are past their days.
    pub(crate) fn forget_identities(&mut self) {
        self.tables[Table::Identities as usize] = TableDirectory::default();
    }

    /// Header page and directory.
    pub(crate) fn encode(&self, log_id: LogId, page_count: u32, snapshot: Option<Place>) -> (Vec<u8>, Vec<u8>) {
        let mut directory = Vec::new();
        for table in &self.tables {
            table.filter.encode_into(&mut directory);
            directory.extend_from_slice(&table.fences);
        }
        let tables = Table::ALL.map(|table| {
            let directory = self.table(table);
            [directory.row_count, directory.page_count(table), (directory.filter.bytes() / 8) as u32]
        });
        let header = IndexHeader {
            segment: self.number,
            page_count,
            directory_bytes: directory.len() as u32,
            directory_checksum: crc32c::crc32c(&directory),
            snapshot,
            summary: self.summary.clone(),
            tables,
        };
        (header.encode(log_id), directory)
    }
}

impl IndexHeader {
    fn encode(&self, log_id: LogId) -> Vec<u8> {
        let nowhere = Place { segment: SegmentNumber(0), offset: 0, length: 0 };
        let place = self.snapshot.unwrap_or(nowhere);
        let writer = Writer::default().bytes(&MAGIC).u32(0).u16(INDEX_FORMAT_VERSION).u16(0).bytes(&log_id.0);
        let writer = writer.u32(self.segment.0).u32(self.page_count).u32(self.directory_bytes);
        let writer = writer.u32(self.directory_checksum).place(place);
        let Summary { tallies, newest, minted } = &self.summary;
        let writer = writer.u64(newest.0).u64(minted.0.0).u64(minted.1.0);
        let writer = tallies.iter().fold(writer, |writer, tally| writer.u32(tally.count).u32(tally.bytes));
        let mut page = self.tables.iter().flatten().fold(writer, |writer, number| writer.u32(*number)).0;
        page.resize(PAGE_BYTES, 0);
        let checksum = crc32c::crc32c(&page[COVERED_FROM..]);
        page[MAGIC.len()..COVERED_FROM].copy_from_slice(&checksum.to_be_bytes());
        page
    }

    /// The header, and the log that it belongs to.
    pub(crate) fn decode(segment: SegmentNumber, page: &[u8]) -> Result<(LogId, IndexHeader), BadIndex> {
        let version = verified_version(page).ok_or(BadIndex::Damaged)?;
        if version > INDEX_FORMAT_VERSION {
            return Err(BadIndex::Newer(version));
        }
        let fields = page.get(COVERED_FROM + 4..).unwrap_or_default();
        let (log_id, header) = Self::fields_behind_version(Reader(fields)).ok_or(BadIndex::Damaged)?;
        if header.segment == segment { Ok((log_id, header)) } else { Err(BadIndex::Damaged) }
    }

    fn fields_behind_version(mut fields: Reader<'_>) -> Option<(LogId, IndexHeader)> {
        let log_id = LogId(fields.array()?);
        let segment = SegmentNumber(fields.u32()?);
        let (page_count, directory_bytes, directory_checksum) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let snapshot = fields.place()?;
        let newest = WallTime(fields.u64()?);
        let minted = (WallTime(fields.u64()?), WallTime(fields.u64()?));
        let mut summary = Summary { newest, minted, ..Summary::default() };
        for tally in &mut summary.tallies {
            *tally = Tally { count: fields.u32()?, bytes: fields.u32()? };
        }
        let mut tables = [[0; 3]; 3];
        for number in tables.iter_mut().flatten() {
            *number = fields.u32()?;
        }
        let snapshot = (snapshot.length > 0).then_some(snapshot);
        let header =
            IndexHeader { segment, page_count, directory_bytes, directory_checksum, snapshot, summary, tables };
        Some((log_id, header))
    }

    /// Where the directory begins, from the header on.
    pub(crate) fn directory_offset(&self) -> u32 {
        self.page_count.saturating_mul(PAGE_BYTES as u32)
    }

    /// `None`: it is damaged.
    pub(crate) fn open(self, home: Home, directory: &[u8]) -> Option<SealedSegment> {
        if crc32c::crc32c(directory) != self.directory_checksum {
            return None;
        }
        let (mut rest, mut first_page) = (directory, home.first_page + 1);
        let mut tables = <[TableDirectory; 3]>::default();
        for (table, directory) in Table::ALL.into_iter().zip(&mut tables) {
            let [row_count, page_count, word_count] = self.tables[table as usize];
            let (filter, behind) = rest.split_at_checked(word_count as usize * 8)?;
            let (fences, behind) = behind.split_at_checked(page_count as usize * table.key_bytes())?;
            let (filter, fences) = (Filter::decode(filter)?, fences.to_vec());
            *directory = TableDirectory { row_count, first_page, filter, fences };
            rest = behind;
            first_page += page_count;
        }
        Some(SealedSegment { number: self.segment, home, summary: self.summary, tables })
    }
}

fn verified_version(page: &[u8]) -> Option<u16> {
    let mut fields = Reader(page.get(..PAGE_BYTES)?);
    let magic: [u8; 8] = fields.array()?;
    let checksum = fields.u32()?;
    let is_whole = magic == MAGIC && crc32c::crc32c(fields.0) == checksum;
    if is_whole { fields.u16() } else { None }
}
