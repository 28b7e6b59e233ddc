//! A table of a segment that is still written to: rows in the order in which they came, sorted a run at a time.
//!
//! So a row costs an append and its share of two sorts, and touches no memory but its own: a map would miss the cache for
//! every row. A lookup asks every run and every chunk of the next one, and looks through what is not sorted yet, which is
//! short: a page of a log asks a thousand times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::table::{Key, Located};

/// Rows of a run, made of chunks that are sorted already: about 0.1 ms of work.
const RUN_ROWS: usize = 8192;
/// Rows that are looked through one by one.
const CHUNK_ROWS: usize = 256;

#[derive(Default)]
pub(crate) struct OpenTable {
    /// Sorted each.
    runs: Vec<Vec<Located>>,
    /// Of the next run, sorted each.
    chunks: Vec<Vec<Located>>,
    /// As they came.
    tail: Vec<Located>,
}

impl OpenTable {
    pub(crate) fn push(&mut self, row: Located) {
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

    fn sorted(&self) -> impl Iterator<Item = &Vec<Located>> {
        self.runs.iter().chain(&self.chunks)
    }

    /// The first row from `low` on.
    pub(crate) fn first_from(&self, low: Key) -> Option<Located> {
        let of_sorted = self.sorted().filter_map(|run| run.get(lower_bound(run, low)).copied());
        of_sorted.chain(self.tail.iter().filter(|row| row.key >= low).copied()).min()
    }

    /// The rows with `low <= key <= high`, at most `count_max` from the lower end or the upper one, in order.
    pub(crate) fn rows(&self, low: Key, high: Key, count_max: usize, from_above: bool) -> Vec<Located> {
        let mut found: Vec<Located> = self.tail.iter().filter(|row| (low..=high).contains(&row.key)).copied().collect();
        for run in self.sorted() {
            let (start, end) = (lower_bound(run, low), run.partition_point(|row| row.key <= high));
            let rows = run.get(start..end).unwrap_or_default();
            let skipped = if from_above { rows.len().saturating_sub(count_max) } else { 0 };
            found.extend(rows.iter().skip(skipped).take(count_max));
        }
        found.sort_unstable();
        let skipped = if from_above { found.len().saturating_sub(count_max) } else { 0 };
        found.drain(..skipped);
        found.truncate(count_max);
        found
    }

    /// A walk over all rows in order. Nothing may be added while it goes on.
    pub(crate) fn begin_walk(&self) -> Walk {
        let mut tail = self.chunks.concat();
        tail.extend(&self.tail);
        tail.sort();
        let mut walk = Walk { next: BinaryHeap::with_capacity(self.runs.len() + 1), tail };
        for run in 0..=self.runs.len() {
            walk.push(self, run, 0);
        }
        walk
    }
}

fn lower_bound(run: &[Located], low: Key) -> usize {
    run.partition_point(|row| row.key < low)
}

/// Where a walk stands: the next row of each run.
#[derive(Default)]
pub(crate) struct Walk {
    /// Row, number of the run, place in it.
    next: BinaryHeap<Reverse<(Located, usize, usize)>>,
    /// The last run: what was in chunks and in the tail, sorted.
    tail: Vec<Located>,
}

impl Walk {
    pub(crate) fn peek(&self) -> Option<Located> {
        self.next.peek().map(|Reverse((row, ..))| *row)
    }

    /// Past the row that was peeked at.
    pub(crate) fn advance(&mut self, table: &OpenTable) {
        if let Some(Reverse((_, run, index))) = self.next.pop() {
            self.push(table, run, index + 1);
        }
    }

    fn push(&mut self, table: &OpenTable, run: usize, index: usize) {
        let rows = table.runs.get(run).unwrap_or(&self.tail);
        self.next.extend(rows.get(index).map(|row| Reverse((*row, run, index))));
    }
}
