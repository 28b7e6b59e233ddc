//! The tables of a side file: rows of a fixed size in the order of their keys, in pages.
//!
//! A page: CRC32C `u32` of everything behind it, seeded by segment and page number; row count `u16`; two zero bytes; the
//! rows; zeros. A row: key, offset `u32`, length `u32`. All big-endian, so that bytes sort as keys do.

use protocol::ids::{ConversationId, Seq, UserId, UserSeq};
use storage_log::{FileName, Place, SegmentNumber};

use crate::hash::mix;
use crate::limits::PAGE_BYTES;

const PAGE_HEADER_BYTES: usize = 8;
/// The longest key.
const KEY_BYTES_MAX: usize = 20;

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// (conversation, seq) → entry.
    Entries,
    /// (user, first user_seq) → events of a user's log.
    UserRows,
    /// Hash of conversation and identity → entry.
    Identities,
}

impl Table {
    pub(crate) const ALL: [Table; 3] = [Table::Entries, Table::UserRows, Table::Identities];

    pub(crate) fn key_bytes(self) -> usize {
        match self {
            Table::Entries => KEY_BYTES_MAX,
            Table::UserRows => 16,
            Table::Identities => 8,
        }
    }

    fn row_bytes(self) -> usize {
        self.key_bytes() + 8
    }

    fn rows_per_page(self) -> usize {
        (PAGE_BYTES - PAGE_HEADER_BYTES) / self.row_bytes()
    }
}

/// A key of a table, with zeros behind it up to the longest. As numbers, which are quicker to compare than bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    first: u64,
    second: u64,
    third: u32,
}

impl Key {
    /// An entry exists up to `u32::MAX`: more do not fit a disk.
    pub(crate) fn entry(conversation: ConversationId, seq: Seq) -> Key {
        let id = u128::from_be_bytes(conversation.0);
        Key { first: (id >> 64) as u64, second: id as u64, third: u32::try_from(seq.0).unwrap_or(u32::MAX) }
    }

    pub(crate) fn user_row(user: UserId, first: UserSeq) -> Key {
        Key { first: user.0, second: first.0, third: 0 }
    }

    pub(crate) fn identity(hash: u64) -> Key {
        Key { first: hash, second: 0, third: 0 }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Key {
        let mut all = [0; KEY_BYTES_MAX];
        all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = all;
        Key {
            first: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            second: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            third: u32::from_be_bytes([q, r, s, t]),
        }
    }

    /// Appends the bytes that stand on the disk.
    pub(crate) fn encode_into(self, table: Table, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.first.to_be_bytes());
        if table.key_bytes() > 8 {
            buffer.extend_from_slice(&self.second.to_be_bytes());
        }
        if table.key_bytes() > 16 {
            buffer.extend_from_slice(&self.third.to_be_bytes());
        }
    }

    /// The lowest key with the prefix of this one: what the filter knows.
    pub(crate) fn prefix(self, table: Table) -> Key {
        match table {
            Table::Entries => Key { third: 0, ..self },
            Table::UserRows | Table::Identities => Key { second: 0, third: 0, ..self },
        }
    }

    /// Under which the filter knows it.
    pub(crate) fn prefix_hash(self, table: Table) -> u64 {
        let Key { first, second, .. } = self.prefix(table);
        mix(mix(first) ^ second)
    }

    /// Of a key of [`Table::UserRows`].
    pub(crate) fn user_seq(self) -> UserSeq {
        UserSeq(self.second)
    }

    /// Of a key of [`Table::Entries`].
    pub(crate) fn seq(self) -> Seq {
        Seq(self.third.into())
    }
}

/// Where the thing with a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Located {
    pub(crate) key: Key,
    pub(crate) place: Place,
}

/// One page of one side file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageId {
    pub(crate) segment: SegmentNumber,
    pub(crate) file: FileName,
    /// Pages from the start of the file.
    pub(crate) number: u32,
}

/// A page that is being filled.
pub(crate) struct PageWriter {
    table: Table,
    bytes: Vec<u8>,
    row_count: u16,
}

impl PageWriter {
    pub(crate) fn new(table: Table) -> PageWriter {
        let mut bytes = Vec::with_capacity(PAGE_BYTES);
        bytes.resize(PAGE_HEADER_BYTES, 0);
        PageWriter { table, bytes, row_count: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.row_count) == self.table.rows_per_page()
    }

    /// Keys come in order.
    pub(crate) fn push(&mut self, row: Located) {
        assert!(!self.is_full(), "a page has room for so many rows");
        row.key.encode_into(self.table, &mut self.bytes);
        self.bytes.extend_from_slice(&row.place.offset.to_be_bytes());
        self.bytes.extend_from_slice(&row.place.length.to_be_bytes());
        self.row_count += 1;
    }

    pub(crate) fn finish(mut self, id: PageId) -> Vec<u8> {
        self.bytes.resize(PAGE_BYTES, 0);
        self.bytes[4..6].copy_from_slice(&self.row_count.to_be_bytes());
        let checksum = checksum(id, &self.bytes);
        self.bytes[..4].copy_from_slice(&checksum.to_be_bytes());
        self.bytes
    }
}

fn checksum(id: PageId, page: &[u8]) -> u32 {
    let place = [id.segment.0.to_be_bytes(), id.number.to_be_bytes()].concat();
    crc32c::crc32c_append(crc32c::crc32c(&place), page.get(4..).unwrap_or_default())
}

/// A verified page.
pub(crate) struct Page {
    segment: SegmentNumber,
    bytes: Vec<u8>,
}

impl Page {
    /// `None`: it is damaged.
    pub(crate) fn verify(id: PageId, bytes: Vec<u8>) -> Option<Page> {
        let (stored, _) = bytes.split_first_chunk::<4>()?;
        let is_whole = bytes.len() == PAGE_BYTES && u32::from_be_bytes(*stored) == checksum(id, &bytes);
        is_whole.then_some(Page { segment: id.segment, bytes })
    }

    pub(crate) fn row_count(&self) -> usize {
        usize::from(u16::from_be_bytes([self.bytes[4], self.bytes[5]]))
    }

    /// `None` behind the last row.
    pub(crate) fn row(&self, table: Table, index: usize) -> Option<Located> {
        if index >= self.row_count() {
            return None;
        }
        let start = PAGE_HEADER_BYTES + index * table.row_bytes();
        let (key, place) = self.bytes.get(start..start + table.row_bytes())?.split_at(table.key_bytes());
        let (offset, length) = place.split_first_chunk::<4>()?;
        let place = Place {
            segment: self.segment,
            offset: u32::from_be_bytes(*offset),
            length: u32::from_be_bytes(length.try_into().ok()?),
        };
        Some(Located { key: Key::from_bytes(key), place })
    }

    /// The first row whose key is at least this one.
    pub(crate) fn lower_bound(&self, table: Table, key: &Key) -> usize {
        let (mut low, mut high) = (0, self.row_count());
        while low < high {
            let middle = (low + high) / 2;
            match self.row(table, middle) {
                Some(row) if row.key < *key => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}
