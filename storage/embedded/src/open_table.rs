//! A table of a segment that is still written to: rows in the order in which they came, sorted a run at a time.
//!
//! So a row costs an append and its share of two sorts, and touches no memory but its own: a map would miss the cache for
//! every row. A lookup asks every run and every chunk of the next one, and looks through what is not sorted yet, which is
//! short: a page of a log asks a thousand times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use storage_log::{Place, SegmentNumber};

use crate::table::{Key, Located};

/// Rows of a run, made of chunks that are sorted already: about 0.1 ms of work.
const RUN_ROWS: usize = 8192;
/// Rows that are looked through one by one.
const CHUNK_ROWS: usize = 256;

pub(crate) struct OpenTable {
    segment: SegmentNumber,
    /// Sorted each.
    runs: Vec<Vec<Row>>,
    /// Of the next run, sorted each.
    chunks: Vec<Vec<Row>>,
    /// As they came.
    tail: Vec<Row>,
}

/// A key and its place in the segment. Moved several times, so it is as short as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    key: Key,
    offset: u32,
    length: u32,
}

const _: () = assert!(size_of::<Row>() == 32, "half a line of the cache");

impl Row {
    fn located(self, segment: SegmentNumber) -> Located {
        let Row { key, offset, length } = self;
        Located { key, place: Place { segment, offset, length } }
    }
}

impl OpenTable {
    pub(crate) fn new(segment: SegmentNumber) -> OpenTable {
        OpenTable { segment, runs: Vec::new(), chunks: Vec::new(), tail: Vec::new() }
    }

    pub(crate) fn push(&mut self, Located { key, place }: Located) {
        let row = Row { key, offset: place.offset, length: place.length };
        if self.tail.len() == CHUNK_ROWS {
            self.sort_tail();
        }
        if self.tail.capacity() == 0 {
            self.tail.reserve_exact(CHUNK_ROWS);
        }
        self.tail.push(row);
    }

    fn sort_tail(&mut self) {
        let mut chunk = std::mem::take(&mut self.tail);
        chunk.sort_unstable();
        self.chunks.push(chunk);
        if self.chunks.len() == RUN_ROWS / CHUNK_ROWS {
            let mut run = std::mem::take(&mut self.chunks).concat();
            // The stable sort finds the chunks and merges them.
            run.sort();
            self.runs.push(run);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted().map(Vec::len).sum::<usize>() + self.tail.len()
    }

    fn sorted(&self) -> impl Iterator<Item = &Vec<Row>> {
        self.runs.iter().chain(&self.chunks)
    }

    /// The first row from `low` on.
    pub(crate) fn first_from(&self, low: Key) -> Option<Located> {
        let of_sorted = self.sorted().filter_map(|run| run.get(lower_bound(run, low)).copied());
        let first = of_sorted.chain(self.tail.iter().filter(|row| row.key >= low).copied()).min();
        first.map(|row| row.located(self.segment))
    }

    /// The rows with `low <= key <= high`, at most `count_max` from the lower end or the upper one, in order.
    pub(crate) fn rows(&self, low: Key, high: Key, count_max: usize, from_above: bool) -> Vec<Located> {
        let mut found: Vec<Row> = self.tail.iter().filter(|row| (low..=high).contains(&row.key)).copied().collect();
        for run in self.sorted() {
            let (start, end) = (lower_bound(run, low), run.partition_point(|row| row.key <= high));
            let rows = run.get(start..end).unwrap_or_default();
            let skipped = if from_above { rows.len().saturating_sub(count_max) } else { 0 };
            found.extend(rows.iter().skip(skipped).take(count_max));
        }
        found.sort_unstable();
        let skipped = if from_above { found.len().saturating_sub(count_max) } else { 0 };
        found.into_iter().skip(skipped).take(count_max).map(|row| row.located(self.segment)).collect()
    }

    /// A walk over all rows in order. Nothing may be added while it goes on.
    pub(crate) fn begin_walk(&self) -> Walk {
        let mut tail = self.chunks.concat();
        tail.extend(&self.tail);
        tail.sort();
        let runs = (0..).zip(self.runs.iter().chain([&tail]));
        let next = runs.filter_map(|(run, rows)| Some(Reverse((*rows.first()?, run, 0)))).collect();
        Walk { segment: self.segment, next, tail }
    }
}

fn lower_bound(run: &[Row], low: Key) -> usize {
    run.partition_point(|row| row.key < low)
}

/// Where a walk stands: the next row of each run.
pub(crate) struct Walk {
    segment: SegmentNumber,
    /// Row, number of the run, place in it.
    next: BinaryHeap<Reverse<(Row, u32, u32)>>,
    /// The last run: what was in chunks and in the tail, sorted.
    tail: Vec<Row>,
}

impl Walk {
    pub(crate) fn peek(&self) -> Option<Located> {
        self.next.peek().map(|Reverse((row, ..))| row.located(self.segment))
    }

    /// Past the row that was peeked at.
    pub(crate) fn advance(&mut self, table: &OpenTable) {
        let Some(mut next) = self.next.peek_mut() else { return };
        let Reverse((_, run, index)) = *next;
        let rows = table.runs.get(run as usize).unwrap_or(&self.tail);
        // In its place, so that the heap is put in order once.
        match rows.get(index as usize + 1) {
            Some(row) => *next = Reverse((*row, run, index + 1)),
            None => drop(PeekMut::pop(next)),
        }
    }
}
