//! Looking things up over all segments: filters and directories in memory say which pages may name it, pages say where
//! it is.
//!
//! On one log the entries of a conversation, and the rows of a user's log, come in order of their numbers: so of two
//! segments the later one has the higher ones, and the segment that holds a number is found by halving.

use storage_api::EntryKey;
use storage_log::{FileName, Place};

use crate::memo::{Lacking, Memo};
use crate::open_segment::OpenSegment;
use crate::pages::PageCache;
use crate::sealed_segment::SealedSegment;
use crate::segments::{Segment, Segments};
use crate::table::{Key, Located, Page, PageId, Table};

/// From which end rows are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// Keys of one table with one prefix, both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) table: Table,
    pub(crate) low: Key,
    pub(crate) high: Key,
}

/// A segment that may have something with a prefix.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Open(&'a OpenSegment),
    Sealed(&'a SealedSegment),
}

/// Where things are looked up.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) segments: &'a Segments,
    pub(crate) cache: &'a PageCache,
}

impl<'a> Search<'a> {
    /// The rows in the range, at most `count_max` from one end; in the order that was asked for.
    pub(crate) fn rows(
        self,
        memo: &mut Memo,
        range: Range,
        order: Order,
        count_max: usize,
    ) -> Result<Vec<Located>, Lacking> {
        let mut found: Vec<Located> = Vec::new();
        match order {
            Order::Ascending => {
                let (sources, start) = self.narrow(memo, range.table, &range.low)?;
                for source in sources.iter().skip(start.saturating_sub(1)) {
                    let room = count_max - found.len();
                    self.rows_of(memo, *source, range, order, room, &mut found)?;
                    if found.len() == count_max {
                        break;
                    }
                }
            }
            Order::Descending => {
                let (sources, end) = self.narrow(memo, range.table, &range.high)?;
                for source in sources.iter().take(end).rev() {
                    let room = count_max - found.len();
                    self.rows_of(memo, *source, range, order, room, &mut found)?;
                    let first = self.first(memo, range.table, *source, &range.low)?;
                    if found.len() == count_max || first.is_some_and(|first| first <= range.low) {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The file that a place is in.
    pub(crate) fn file_of(self, place: Place) -> FileName {
        match self.segments.find(place.segment) {
            Some(Segment::Sealed(sealed)) => sealed.home.records,
            _ => FileName::Segment(place.segment),
        }
    }

    /// Where the entry is; the newest one counts.
    pub(crate) fn entry(self, memo: &mut Memo, key: EntryKey) -> Result<Option<Place>, Lacking> {
        let key = Key::entry(key.conversation, key.seq);
        let range = Range { table: Table::Entries, low: key, high: key };
        Ok(self.rows(memo, range, Order::Descending, 1)?.first().map(|row| row.place))
    }

    /// The segments that have something with the prefix of `key`, oldest first, and how many of them begin at or before
    /// it. Those of which the filter was wrong are left out where that was noticed.
    pub(crate) fn narrow(self, memo: &mut Memo, table: Table, key: &Key) -> Result<(Vec<Source<'a>>, usize), Lacking> {
        let mut sources = self.sources(table, key);
        let (mut low, mut high) = (0, sources.len());
        // Most of what is asked for is new.
        let mut middle = high.saturating_sub(1);
        while low < high {
            match self.first(memo, table, sources[middle], key)? {
                None => {
                    sources.remove(middle);
                    high -= 1;
                }
                Some(first) if first <= *key => low = middle + 1,
                Some(_) => high = middle,
            }
            middle = (low + high) / 2;
        }
        Ok((sources, low))
    }

    /// The segments that may have something with the prefix of this key, oldest first.
    pub(crate) fn sources(self, table: Table, key: &Key) -> Vec<Source<'a>> {
        let hash = key.prefix_hash(table);
        let sources = self.segments.iter().filter_map(|segment| match segment {
            Segment::Open(open) => first_of_open(open, table, key).map(|_| Source::Open(open)),
            Segment::Sealed(sealed) => sealed.table(table).filter.may_have(hash).then_some(Source::Sealed(sealed)),
        });
        sources.collect()
    }

    /// The first key of the segment with the prefix of `key`.
    pub(crate) fn first(
        self,
        memo: &mut Memo,
        table: Table,
        source: Source<'_>,
        key: &Key,
    ) -> Result<Option<Key>, Lacking> {
        let low = key.prefix(table);
        match source {
            Source::Open(open) => Ok(first_of_open(open, table, key)),
            Source::Sealed(sealed) => {
                let mut cursor = Cursor::at(self.cache, memo, sealed, table, &low)?;
                let row = cursor.next(memo)?;
                Ok(row.map(|row| row.key).filter(|first| first.prefix(table) == key.prefix(table)))
            }
        }
    }

    pub(crate) fn rows_of(
        self,
        memo: &mut Memo,
        source: Source<'_>,
        range: Range,
        order: Order,
        count_max: usize,
        found: &mut Vec<Located>,
    ) -> Result<(), Lacking> {
        let Range { table, low, high } = range;
        let end = found.len() + count_max;
        match source {
            Source::Open(open) => {
                let rows = open.table(table).rows(low, high, count_max, order == Order::Descending);
                match order {
                    Order::Ascending => found.extend(rows),
                    Order::Descending => found.extend(rows.into_iter().rev()),
                }
            }
            Source::Sealed(sealed) if order == Order::Ascending => {
                let mut cursor = Cursor::at(self.cache, memo, sealed, table, &low)?;
                while found.len() < end
                    && let Some(row) = cursor.next(memo)?.filter(|row| row.key <= high)
                {
                    found.push(row);
                }
            }
            Source::Sealed(sealed) => {
                let mut cursor = Cursor::behind(self.cache, memo, sealed, table, &high)?;
                while found.len() < end
                    && let Some(row) = cursor.previous(memo)?.filter(|row| row.key >= low)
                {
                    found.push(row);
                }
            }
        }
        Ok(())
    }
}

/// The first key of the segment with the prefix of `key`.
fn first_of_open(open: &OpenSegment, table: Table, key: &Key) -> Option<Key> {
    let first = open.table(table).first_from(key.prefix(table))?.key;
    (first.prefix(table) == key.prefix(table)).then_some(first)
}

/// A place between two rows of a table in a side file.
struct Cursor<'a> {
    cache: &'a PageCache,
    sealed: &'a SealedSegment,
    table: Table,
    /// Counted from the first page of the table.
    page: u32,
    index: usize,
}

impl<'a> Cursor<'a> {
    /// Before the first row whose key is at least this one.
    fn at(
        cache: &'a PageCache,
        memo: &mut Memo,
        sealed: &'a SealedSegment,
        table: Table,
        key: &Key,
    ) -> Result<Self, Lacking> {
        let page = sealed.table(table).page_of(table, key);
        let mut cursor = Cursor { cache, sealed, table, page, index: 0 };
        if let Some(found) = cursor.page(memo)? {
            cursor.index = found.lower_bound(table, key);
        }
        Ok(cursor)
    }

    /// Behind the last row whose key is at most this one.
    fn behind(
        cache: &'a PageCache,
        memo: &mut Memo,
        sealed: &'a SealedSegment,
        table: Table,
        key: &Key,
    ) -> Result<Self, Lacking> {
        let mut cursor = Cursor::at(cache, memo, sealed, table, key)?;
        let at_end = cursor.page(memo)?.is_none_or(|page| cursor.index == page.row_count());
        if at_end {
            // The row may be the first of the next page.
            let next = Cursor { page: cursor.page + 1, index: 0, ..cursor };
            if sealed.table(table).begins_with(table, next.page, key) {
                cursor = next;
            }
        }
        let is_there =
            cursor.page(memo)?.and_then(|page| page.row(table, cursor.index)).is_some_and(|row| row.key == *key);
        cursor.index += usize::from(is_there);
        Ok(cursor)
    }

    fn page(&self, memo: &mut Memo) -> Result<Option<std::sync::Arc<Page>>, Lacking> {
        let directory = self.sealed.table(self.table);
        if self.page >= directory.page_count(self.table) {
            return Ok(None);
        }
        let id = PageId {
            segment: self.sealed.number,
            file: self.sealed.home.index,
            number: directory.first_page + self.page,
        };
        memo.page(self.cache, id).map(Some)
    }

    fn next(&mut self, memo: &mut Memo) -> Result<Option<Located>, Lacking> {
        while let Some(page) = self.page(memo)? {
            if let Some(row) = page.row(self.table, self.index) {
                self.index += 1;
                return Ok(Some(row));
            }
            (self.page, self.index) = (self.page + 1, 0);
        }
        Ok(None)
    }

    fn previous(&mut self, memo: &mut Memo) -> Result<Option<Located>, Lacking> {
        loop {
            if let Some(index) = self.index.checked_sub(1) {
                self.index = index;
                return Ok(self.page(memo)?.and_then(|page| page.row(self.table, index)));
            }
            let Some(page) = self.page.checked_sub(1) else { return Ok(None) };
            self.page = page;
            self.index = self.page(memo)?.map_or(0, |page| page.row_count());
        }
    }
}
