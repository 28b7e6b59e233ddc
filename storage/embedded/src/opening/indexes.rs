//! Reading what stays in memory of every index: its header, and then its directory; before them the header of a remnant.

use std::collections::VecDeque;

use storage_log::{Completion, FileName, LogId, Operation, OperationId, Outcome, Place, SegmentNumber};

use crate::error::{IndexFault, OpenError};
use crate::limits::PAGE_BYTES;
use crate::remnant::RemnantHeader;
use crate::sealed_segment::{BadIndex, Home, IndexHeader};
use crate::segments::Segment;
use crate::side_files::SideFiles;
use crate::side_ids::SideIds;

/// What is read next of the index in front.
enum Step {
    Remnant,
    Header,
    Directory(IndexHeader),
}

pub(super) struct IndexReader {
    rest: VecDeque<(SegmentNumber, Home)>,
    step: Step,
    awaited: Option<OperationId>,
    log_id: Option<LogId>,
    /// Records that end snapshots, as indexes name them.
    snapshots: Vec<Place>,
}

impl IndexReader {
    pub(super) fn new(homes: Vec<(SegmentNumber, Home)>) -> IndexReader {
        let mut reader =
            IndexReader { rest: homes.into(), step: Step::Header, awaited: None, log_id: None, snapshots: Vec::new() };
        reader.begin();
        reader
    }

    fn begin(&mut self) {
        let is_remnant = self.rest.front().is_some_and(|(_, home)| matches!(home.records, FileName::Remnant(..)));
        self.step = if is_remnant { Step::Remnant } else { Step::Header };
    }

    pub(super) fn poll_operation(&mut self, ids: &mut SideIds) -> Option<(OperationId, Operation)> {
        if self.awaited.is_some() {
            return None;
        }
        let (_, home) = self.rest.front()?;
        let base = home.first_page * PAGE_BYTES as u32;
        let (offset, length) = match &self.step {
            Step::Remnant => (0, PAGE_BYTES as u32),
            Step::Header => (base, PAGE_BYTES as u32),
            Step::Directory(header) => (base + header.directory_offset(), header.directory_bytes),
        };
        let id = ids.next();
        self.awaited = Some(id);
        Some((id, Operation::Read { file: home.index, offset, length }))
    }

    /// A side file that is damaged counts as missing; a remnant that is damaged is a loss.
    pub(super) fn handle(&mut self, completion: Completion, side: &mut SideFiles) -> Result<(), OpenError> {
        assert_eq!(self.awaited.take(), Some(completion.id), "somebody waits for every completion");
        let bytes = match completion.result {
            Ok(Outcome::Read(bytes)) => bytes,
            Ok(other) => panic!("a read was answered with {other:?}"),
            Err(error) => return Err(storage_log::OpenError::Disk { doing: "read an index", error }.into()),
        };
        let (segment, home) = *self.rest.front().expect("one was being read");
        let read = match std::mem::replace(&mut self.step, Step::Header) {
            Step::Remnant => {
                let header = RemnantHeader::decode(segment, home.generation(), &bytes);
                header.map(|header| {
                    self.rest[0].1.first_page = header.index_page;
                    Step::Header
                })
            }
            Step::Header => match IndexHeader::decode(segment, &bytes) {
                Ok((log_id, _)) if *self.log_id.get_or_insert(log_id) != log_id => {
                    return Err(OpenError::Index { file: home.index, fault: IndexFault::ForeignLog });
                }
                Ok((_, header)) => Ok(Step::Directory(header)),
                Err(bad) => Err(bad),
            },
            Step::Directory(header) => {
                let snapshot = header.snapshot;
                match header.open(home, &bytes) {
                    Some(sealed) => {
                        self.snapshots.extend(snapshot);
                        side.segments.put(Segment::Sealed(sealed));
                        self.next();
                        return Ok(());
                    }
                    None => Err(BadIndex::Damaged),
                }
            }
        };
        match read {
            Ok(step) => {
                self.step = step;
                Ok(())
            }
            Err(BadIndex::Newer(version)) => {
                Err(OpenError::Index { file: home.index, fault: IndexFault::NewerFormat(version) })
            }
            Err(BadIndex::Damaged) if matches!(home.index, FileName::Remnant(..)) => {
                Err(OpenError::Index { file: home.index, fault: IndexFault::Damaged })
            }
            Err(BadIndex::Damaged) => {
                self.next();
                Ok(())
            }
        }
    }

    fn next(&mut self) {
        self.rest.pop_front();
        self.begin();
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The log that all of them belong to.
    pub(super) fn log_id(&self) -> Option<LogId> {
        self.log_id
    }

    /// As often as they are named, newest last.
    pub(super) fn take_snapshots(&mut self) -> Vec<Place> {
        self.snapshots.sort_unstable();
        std::mem::take(&mut self.snapshots)
    }
}
