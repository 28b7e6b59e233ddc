//! Reading what stays in memory of every side file: its header, and then its directory.

use std::collections::VecDeque;

use storage_log::{Completion, FileName, LogId, Operation, OperationId, Outcome, Place, SegmentNumber};

use crate::error::{IndexFault, OpenError};
use crate::limits::PAGE_BYTES;
use crate::sealed_segment::{BadIndex, IndexHeader};
use crate::segments::Segment;
use crate::side_files::SideFiles;
use crate::side_ids::SideIds;

pub(super) struct IndexReader {
    rest: VecDeque<SegmentNumber>,
    /// Of the first in `rest`, when it has been read.
    header: Option<IndexHeader>,
    awaited: Option<OperationId>,
    log_id: Option<LogId>,
    /// Records that end snapshots, as side files name them.
    snapshots: Vec<Place>,
}

impl IndexReader {
    pub(super) fn new(indexes: Vec<SegmentNumber>) -> IndexReader {
        IndexReader { rest: indexes.into(), header: None, awaited: None, log_id: None, snapshots: Vec::new() }
    }

    pub(super) fn poll_operation(&mut self, ids: &mut SideIds) -> Option<(OperationId, Operation)> {
        if self.awaited.is_some() {
            return None;
        }
        let file = FileName::Index(*self.rest.front()?);
        let (offset, length) = match &self.header {
            None => (0, PAGE_BYTES as u32),
            Some(header) => (header.directory_offset(), header.directory_bytes),
        };
        let id = ids.next();
        self.awaited = Some(id);
        Some((id, Operation::Read { file, offset, length }))
    }

    /// One that is damaged counts as missing.
    pub(super) fn handle(&mut self, completion: Completion, side: &mut SideFiles) -> Result<(), OpenError> {
        assert_eq!(self.awaited.take(), Some(completion.id), "somebody waits for every completion");
        let bytes = match completion.result {
            Ok(Outcome::Read(bytes)) => bytes,
            Ok(other) => panic!("a read was answered with {other:?}"),
            Err(error) => return Err(storage_log::OpenError::Disk { doing: "read an index", error }.into()),
        };
        let segment = *self.rest.front().expect("one was being read");
        if let Some(header) = self.header.take() {
            let snapshot = header.snapshot;
            if let Some(sealed) = header.open(&bytes) {
                self.snapshots.extend(snapshot);
                side.segments.put(Segment::Sealed(sealed));
            }
            self.rest.pop_front();
            return Ok(());
        }
        match IndexHeader::decode(segment, &bytes) {
            Ok((log_id, _)) if *self.log_id.get_or_insert(log_id) != log_id => {
                Err(OpenError::Index { segment, fault: IndexFault::ForeignLog })
            }
            Ok((_, header)) => {
                self.header = Some(header);
                Ok(())
            }
            Err(BadIndex::Newer(version)) => Err(OpenError::Index { segment, fault: IndexFault::NewerFormat(version) }),
            Err(BadIndex::Damaged) => {
                self.rest.pop_front();
                Ok(())
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The log that all of them belong to.
    pub(super) fn log_id(&self) -> Option<LogId> {
        self.log_id
    }

    /// Newest last.
    pub(super) fn take_snapshots(&mut self) -> Vec<Place> {
        self.snapshots.sort_unstable_by_key(|place| (place.segment, place.offset));
        self.snapshots.dedup();
        std::mem::take(&mut self.snapshots)
    }
}
