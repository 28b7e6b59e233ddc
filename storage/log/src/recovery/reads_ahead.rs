//! The reads of a segment, in order of place and some ahead of the scan: so the disk reads while records are looked at.

use std::collections::{BTreeSet, VecDeque};

use crate::chain::OperationIds;
use crate::disk::{DiskError, FileName, Operation, OperationId, Outcome};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::scan::SCAN_READ_BYTES;
use crate::supply::Segment;

pub(super) struct ReadsAhead {
    /// How many may be under way or wait for the scan.
    count_max: usize,
    segment: Option<Segment>,
    next_offset: u32,
    /// Oldest first; `None` until it comes.
    reads: VecDeque<(OperationId, Option<Vec<u8>>)>,
    /// Nobody wants them any more.
    strays: BTreeSet<OperationId>,
}

impl ReadsAhead {
    pub(super) fn new(count_max: usize) -> Self {
        Self { count_max, segment: None, next_offset: 0, reads: VecDeque::new(), strays: BTreeSet::new() }
    }

    /// From the first batch of this segment on.
    pub(super) fn begin(&mut self, segment: Segment) {
        self.end();
        (self.segment, self.next_offset) = (Some(segment), SEGMENT_HEADER_BYTES);
    }

    /// Nothing more is wanted.
    pub(super) fn end(&mut self) {
        self.segment = None;
        let reads = self.reads.drain(..);
        self.strays.extend(reads.filter(|(_, bytes)| bytes.is_none()).map(|(id, _)| id));
    }

    pub(super) fn poll_operation(&mut self, ids: &mut OperationIds) -> Option<(OperationId, Operation)> {
        let Segment { number, bytes } = self.segment?;
        if self.reads.len() == self.count_max || self.next_offset >= bytes {
            return None;
        }
        let (id, offset) = (ids.next(), self.next_offset);
        let length = SCAN_READ_BYTES.min(bytes - offset);
        self.next_offset += length;
        self.reads.push_back((id, None));
        Some((id, Operation::Read { file: FileName::Segment(number), offset, length }))
    }

    pub(super) fn awaits(&self, id: OperationId) -> bool {
        self.strays.contains(&id) || self.reads.iter().any(|(read, _)| *read == id)
    }

    pub(super) fn handle(&mut self, id: OperationId, result: Result<Outcome, DiskError>) -> Result<(), DiskError> {
        if self.strays.remove(&id) {
            return Ok(());
        }
        let bytes = match result? {
            Outcome::Read(bytes) => bytes,
            other => panic!("a read was answered with {other:?}"),
        };
        let read = self.reads.iter_mut().find(|(read, _)| *read == id);
        read.expect("the caller asked whether it is awaited").1 = Some(bytes);
        Ok(())
    }

    /// What follows what was taken last, if it is here.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.reads.pop_front_if(|(_, bytes)| bytes.is_some())?.1
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.strays.is_empty() && self.reads.iter().all(|(_, bytes)| bytes.is_some())
    }
}
