//! When snapshots are written: often enough that a start has little to read, and never more than one part at a time.

use storage_log::{Log, Place};

use crate::record::{Row, SnapshotEnd};
use crate::side_files::SnapshotPlace;
use crate::snapshot::SnapshotWriter;
use crate::state::State;

pub(crate) struct Snapshots {
    writer: Option<SnapshotWriter>,
    is_part_under_way: bool,
    every_bytes: u64,
    part_bytes_max: usize,
    /// The highest number of any.
    number: u64,
    /// Of the newest whole one.
    newest_bytes: u64,
    /// Bytes of records since the newest whole one began, and since the one in work did.
    bytes_since: u64,
    bytes_since_begin: u64,
}

impl Snapshots {
    pub(crate) fn new(every_bytes: u64, part_bytes_max: usize) -> Snapshots {
        Snapshots {
            writer: None,
            is_part_under_way: false,
            every_bytes,
            part_bytes_max,
            number: 0,
            newest_bytes: 0,
            bytes_since: 0,
            bytes_since_begin: 0,
        }
    }

    /// From the next record on.
    pub(crate) fn set_every_bytes(&mut self, every_bytes: u64) {
        self.every_bytes = every_bytes;
    }

    /// A record has been found by a scan, or has become durable. `Some`: it ends a snapshot.
    pub(crate) fn note(&mut self, place: Place, row: &Row) -> Option<SnapshotPlace> {
        self.bytes_since += u64::from(place.length);
        self.bytes_since_begin += u64::from(place.length);
        match row {
            Row::SnapshotPart { number, .. } => {
                self.number = self.number.max(*number);
                if let Some(writer) = &mut self.writer {
                    writer.part_written(place);
                }
                None
            }
            Row::Snapshot(end) => {
                self.found(end);
                Some(SnapshotPlace { end: place, begun_in: end.begun_at.segment })
            }
            _ => None,
        }
    }

    /// A whole snapshot.
    pub(crate) fn found(&mut self, end: &SnapshotEnd) {
        self.number = self.number.max(end.number);
        self.newest_bytes = end.parts.iter().map(|place| u64::from(place.length)).sum();
        // What was written meanwhile is read again by a start, and its own parts with it.
        self.bytes_since = self.bytes_since_begin;
        self.writer = None;
    }

    /// What was given to the log is durable.
    pub(crate) fn advance(&mut self) {
        self.is_part_under_way = false;
    }

    /// The next records to write, if it is time.
    pub(crate) fn poll_rows(&mut self, log: &Log, state: &State) -> Option<Vec<Row>> {
        if self.is_part_under_way {
            return None;
        }
        if self.writer.is_none() && self.bytes_since >= self.every_bytes.max(2 * self.newest_bytes) {
            let part_bytes = self.part_bytes_max.min(log.append_bytes_max() / 4);
            self.number += 1;
            self.bytes_since_begin = 0;
            self.writer = Some(SnapshotWriter::new(self.number, log.synced_through(), part_bytes));
        }
        let rows = self.writer.as_mut()?.next_rows(state);
        self.is_part_under_way = true;
        Some(rows)
    }
}
