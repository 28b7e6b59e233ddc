//! Reading the newest snapshot: the record that ends it, then its parts, some ahead. Before that, where the one began that
//! counts if the file is lost that names the newest.

use std::collections::VecDeque;

use storage_log::{
    Completion, FileName, Operation, OperationId, Outcome, Place, ReadError, SegmentNumber, StoredRecord,
};

use super::Opened;
use crate::error::{OpenError, RecordFault};
use crate::limits::SNAPSHOT_READS_MAX;
use crate::record::{Row, SnapshotEnd, snapshot_part_prefix, snapshot_prefix};
use crate::side_files::SnapshotPlace;
use crate::side_ids::SideIds;
use crate::snapshot;

pub(super) struct SnapshotReader {
    /// The record that ends it, until it has been read; before it the one of the snapshot that the next index names,
    /// which may be the same.
    wanted: VecDeque<Place>,
    end: Option<SnapshotEnd>,
    /// Parts that have not been asked for.
    asked_count: usize,
    /// In the order in which parts were asked for; `None` until they come.
    under_way: VecDeque<(OperationId, Option<Vec<u8>>)>,
}

impl SnapshotReader {
    /// The newest of these; they are in order.
    pub(super) fn new(snapshots: &[Place]) -> SnapshotReader {
        let wanted = snapshots.iter().skip(snapshots.len().saturating_sub(2)).copied().collect();
        SnapshotReader { wanted, end: None, asked_count: 0, under_way: VecDeque::new() }
    }

    pub(super) fn poll_operation(&mut self, ids: &mut SideIds) -> Option<(OperationId, Operation)> {
        if self.under_way.len() >= SNAPSHOT_READS_MAX {
            return None;
        }
        let place = match (&self.end, self.wanted.front()) {
            (Some(end), _) => {
                let place = *end.parts.get(self.asked_count)?;
                self.asked_count += 1;
                place
            }
            (None, Some(place)) if self.under_way.is_empty() => *place,
            (None, _) => return None,
        };
        let id = ids.next();
        self.under_way.push_back((id, None));
        let Place { segment, offset, length } = place;
        Some((id, Operation::Read { file: FileName::Segment(segment), offset, length }))
    }

    pub(super) fn handle(&mut self, completion: Completion, found: &mut Opened<()>) -> Result<(), OpenError> {
        if self.wanted.len() > 1 {
            self.take_former(completion, found);
            return Ok(());
        }
        let bytes = match completion.result {
            Ok(Outcome::Read(bytes)) => bytes,
            Ok(other) => panic!("a read was answered with {other:?}"),
            Err(error) => return Err(storage_log::OpenError::Disk { doing: "read a snapshot", error }.into()),
        };
        let slot = self.under_way.iter_mut().find(|(id, _)| *id == completion.id);
        slot.expect("somebody waits for every completion").1 = Some(bytes);
        while let Some((_, Some(_))) = self.under_way.front() {
            let (_, bytes) = self.under_way.pop_front().expect("it was just looked at");
            let bytes = bytes.expect("it has come");
            match &self.end {
                None => self.take_end(bytes, found)?,
                Some(end) => {
                    let part = self.asked_count - self.under_way.len() - 1;
                    take_part(end, part, bytes, found)?;
                }
            }
        }
        Ok(())
    }

    /// One that cannot be read any more frees nothing, and does no harm.
    fn take_former(&mut self, completion: Completion, found: &mut Opened<()>) {
        self.under_way.clear();
        let place = self.wanted.pop_front().expect("it was being read");
        let Ok(Outcome::Read(bytes)) = completion.result else { return };
        if let Ok(Row::Snapshot(end)) = read_back(place, &snapshot_prefix(), bytes) {
            found.side.named(SnapshotPlace { end: place, begun_in: end.begun_at.segment });
        }
    }

    fn take_end(&mut self, bytes: Vec<u8>, found: &mut Opened<()>) -> Result<(), OpenError> {
        let place = self.wanted.pop_front().expect("it was being read");
        match read_back(place, &snapshot_prefix(), bytes)? {
            Row::Snapshot(end) => {
                found.snapshots.restored(&end);
                let snapshot = SnapshotPlace { end: place, begun_in: end.begun_at.segment };
                found.side.snapshot = Some(snapshot);
                found.side.named(snapshot);
                self.end = Some(end);
                Ok(())
            }
            _ => Err(invalid(place)),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        let part_count = self.end.as_ref().map_or(0, |end| end.parts.len());
        self.wanted.is_empty() && self.under_way.is_empty() && self.asked_count == part_count
    }

    /// Every record in the segments before this is in the snapshot.
    pub(super) fn begun_in(&self) -> Option<SegmentNumber> {
        self.end.as_ref().map(|end| end.begun_at.segment)
    }
}

fn take_part(end: &SnapshotEnd, part: usize, bytes: Vec<u8>, found: &mut Opened<()>) -> Result<(), OpenError> {
    let place = *end.parts.get(part).expect("it was asked for");
    match read_back(place, &snapshot_part_prefix(end.number, part as u32), bytes)? {
        Row::SnapshotPart { bytes, .. } => snapshot::restore(&mut found.state, &bytes).ok_or(invalid(place)),
        _ => Err(invalid(place)),
    }
}

fn read_back(place: Place, key_prefix: &[u8], bytes: Vec<u8>) -> Result<Row, OpenError> {
    let record = StoredRecord::read_back(FileName::Segment(place.segment), place, key_prefix, bytes).map_err(
        |error| match error {
            ReadError::Corrupt(corruption) => storage_log::OpenError::Corrupt(corruption),
            ReadError::Newer(newer) => storage_log::OpenError::Newer(newer),
            ReadError::Disk(error) => storage_log::OpenError::Disk { doing: "read a snapshot", error },
        },
    )?;
    let class = record.view().class;
    Row::decode(record.view()).map_err(|fault| OpenError::Record { place, class, fault })
}

fn invalid(place: Place) -> OpenError {
    OpenError::Record { place, class: storage_log::Class::State, fault: RecordFault::Invalid }
}
