//! When snapshots are written, and at which pace: often enough that a start has little to read, and so fast that little
//! comes while one is written.
//!
//! One part follows another, so a quiet store ends what it has begun; under load parts take as many bytes of the log as
//! all else does.

use protocol::time::WallTime;
use storage_log::{Place, Position, SegmentNumber};

use crate::record::{Row, SnapshotEnd};
use crate::side_files::SnapshotPlace;
use crate::snapshot::SnapshotWriter;
use crate::state::State;

pub(crate) struct Snapshots {
    writer: Option<SnapshotWriter>,
    every_bytes: u64,
    part_bytes_max: usize,
    /// The highest number of any.
    number: u64,
    /// Of the newest whole one.
    newest_bytes: u64,
    /// Bytes of records since the newest whole one began, and since the one in work did.
    bytes_since: u64,
    bytes_since_begin: u64,
    /// What is durable may be more: it is taken into the state piece by piece.
    applied_through: Position,
    /// However little has come.
    is_wanted: bool,
}

impl Snapshots {
    pub(crate) fn new(every_bytes: u64, part_bytes_max: usize) -> Snapshots {
        Snapshots {
            writer: None,
            every_bytes,
            part_bytes_max,
            number: 0,
            newest_bytes: 0,
            bytes_since: 0,
            bytes_since_begin: 0,
            applied_through: Position::first_of(SegmentNumber::FIRST),
            is_wanted: false,
        }
    }

    /// From the next record on.
    pub(crate) fn set_every_bytes(&mut self, every_bytes: u64) {
        self.every_bytes = every_bytes;
    }

    /// A record has been found by a scan, or has become durable; it is in the state. `Some`: it ends a snapshot.
    pub(crate) fn note(&mut self, place: Place, row: &Row) -> Option<SnapshotPlace> {
        self.applied_through = place.end();
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

    /// A whole snapshot is in the state; the records behind its beginning follow.
    pub(crate) fn restored(&mut self, end: &SnapshotEnd) {
        self.found(end);
        self.applied_through = end.begun_at;
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writer.is_some()
    }

    /// Nothing has come in this segment yet, and everything before it is in the state: it begins with a snapshot.
    pub(crate) fn begin_in(&mut self, segment: SegmentNumber) {
        assert!(!self.is_writing(), "one snapshot is written at a time");
        self.applied_through = Position::first_of(segment);
        self.is_wanted = true;
    }

    /// Everything before this is in the state.
    pub(crate) fn applied_through(&self) -> Position {
        self.applied_through
    }

    fn found(&mut self, end: &SnapshotEnd) {
        self.number = self.number.max(end.number);
        self.newest_bytes = end.parts.iter().map(|place| u64::from(place.length)).sum();
        // What was written meanwhile is read again by a start, and its own parts with it.
        self.bytes_since = self.bytes_since_begin;
        self.writer = None;
    }

    /// The next records to write, if it is time; ask until there are none.
    pub(crate) fn poll_rows(&mut self, now: WallTime, append_bytes_max: usize, state: &State) -> Option<Vec<Row>> {
        let is_due = self.bytes_since >= self.every_bytes.max(2 * self.newest_bytes);
        if self.writer.is_none() && (is_due || std::mem::take(&mut self.is_wanted)) {
            let part_bytes = self.part_bytes_max.min(append_bytes_max / 4);
            self.number += 1;
            self.bytes_since_begin = 0;
            self.writer = Some(SnapshotWriter::new(self.number, self.applied_through, part_bytes, state));
        }
        self.writer.as_mut()?.poll_rows(now, state, self.bytes_since_begin)
    }
}

#[cfg(test)]
mod tests {
    use protocol::ids::{Epoch, Realm, UserId};
    use storage_api::UserRow;

    use super::*;

    const APPEND_BYTES_MAX: usize = 1 << 20;
    const PART_BYTES: usize = 1 << 10;
    const ROUND_BYTES: u32 = 20 << 10;
    const SEGMENT: SegmentNumber = SegmentNumber(7);

    /// What the log takes, one record behind another.
    struct Log {
        snapshots: Snapshots,
        state: State,
        end: u32,
        ended: Option<SnapshotEnd>,
    }

    impl Log {
        fn new(users: u64) -> Log {
            let mut log =
                Log { snapshots: Snapshots::new(1 << 10, PART_BYTES), state: State::default(), end: 4096, ended: None };
            (1..=users).for_each(|number| log.make_user(number));
            log
        }

        fn make_user(&mut self, number: u64) {
            let row = UserRow { id: UserId::new(Realm(1), number), handle: format!("user-{number}") };
            self.state.apply(&Row::User(row), SEGMENT).expect("a user needs nothing before it");
        }

        fn take(&mut self, row: &Row, length: u32) {
            let place = Place { segment: SEGMENT, offset: self.end, length };
            self.end += length;
            let ended = self.snapshots.note(place, row);
            assert_eq!(ended.is_some(), matches!(row, Row::Snapshot(_)));
            if let Row::Snapshot(end) = row {
                self.ended = Some(end.clone());
            }
        }

        fn take_some(&mut self, bytes: u32) {
            self.take(&Row::Started(Epoch(1)), bytes);
        }

        /// All that is due now, before any of it is durable.
        fn due(&mut self) -> Vec<Row> {
            std::iter::from_fn(|| self.snapshots.poll_rows(WallTime(1), APPEND_BYTES_MAX, &self.state))
                .flatten()
                .collect()
        }

        fn take_due(&mut self) -> u32 {
            let before = self.end;
            for row in self.due() {
                let length = if let Row::SnapshotPart { bytes, .. } = &row { bytes.len() as u32 } else { 50 };
                self.take(&row, length);
            }
            self.end - before
        }
    }

    #[test]
    fn under_load_a_snapshot_takes_as_many_bytes_as_the_rest() {
        let mut log = Log::new(4000);
        log.take_some(2 << 10);
        let (mut of_snapshot, mut of_rest) = (0, 0);
        while log.ended.is_none() {
            of_snapshot += log.take_due();
            log.take_some(ROUND_BYTES);
            of_rest += ROUND_BYTES;
        }
        // The first part begins it, and the end waits for the last one.
        assert!(of_snapshot > 5 * ROUND_BYTES && of_rest < of_snapshot + 3 * ROUND_BYTES, "{of_snapshot}, {of_rest}");
    }

    #[test]
    fn in_a_quiet_store_one_part_follows_another() {
        let mut log = Log::new(4000);
        log.take_some(2 << 10);
        let mut part_count = 0;
        while log.ended.is_none() {
            assert!(log.take_due() <= 2 * PART_BYTES as u32, "nothing else has come");
            part_count += 1;
        }
        assert!(part_count > 100, "{part_count}");
    }

    #[test]
    fn a_snapshot_begins_behind_what_is_in_the_state_and_ends_while_users_come() {
        let mut log = Log::new(40);
        log.take_some(2 << 10);
        let begun_at = Position { segment: SEGMENT, offset: log.end };
        for number in 41..100 {
            log.take_due();
            log.make_user(number);
        }
        let ended = log.ended.expect("what comes after its beginning is no concern of it");
        assert_eq!((ended.begun_at, ended.parts.len()), (begun_at, 2));
    }
}
