//! Where the records of a remnant come from: the segment, or the remnant that it had before.

use storage_log::{
    Completion, Corruption, Damage, FileName, Operation, OperationId, Options, Outcome, Place, Position, Purpose,
    RecordView, Recovery, SegmentNumber,
};

use super::unread;
use crate::error::OpenError;
use crate::limits::PAGE_BYTES;
use crate::remnant::RemnantHeader;
use crate::sealed_segment::SealedSegment;

/// Bytes of a remnant that one read brings: the largest record fits.
const READ_BYTES: u32 = 2 << 20;

pub(super) enum Source {
    Segment {
        walk: Box<Recovery>,
        /// The walk's name for the operation that is under way.
        under_way: Option<OperationId>,
    },
    Remnant(RemnantSource),
}

pub(super) struct RemnantSource {
    number: SegmentNumber,
    generation: u16,
    header: Option<RemnantHeader>,
    /// Of the file, from `at` on.
    bytes: Vec<u8>,
    consumed: usize,
    at: u32,
}

impl Source {
    pub(super) fn new(sealed: &SealedSegment, log: Options) -> Source {
        match sealed.home.records {
            FileName::Remnant(number, generation) => Source::Remnant(RemnantSource {
                number,
                generation,
                header: None,
                bytes: Vec::new(),
                consumed: 0,
                at: PAGE_BYTES as u32,
            }),
            _ => {
                let walk = Recovery::new(log, Purpose::Walk).starting_at(sealed.number);
                Source::Segment { walk: Box::new(walk), under_way: None }
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Source::Segment { walk, .. } => walk.is_done(),
            Source::Remnant(remnant) => remnant.is_done(),
        }
    }

    /// The next read. There is one as long as it is not done and no record is at hand.
    pub(super) fn next_operation(&mut self) -> Operation {
        match self {
            Source::Segment { walk, under_way } => {
                let (id, operation) = walk.poll_operation().expect("a walk that is not done wants something");
                *under_way = Some(id);
                operation
            }
            Source::Remnant(remnant) => remnant.next_operation(),
        }
    }

    pub(super) fn handle(&mut self, outcome: Outcome) -> Result<(), OpenError> {
        match self {
            Source::Segment { walk, under_way } => {
                let id = under_way.take().expect("only a read is handed on");
                Ok(walk.handle_completion(Completion { id, result: Ok(outcome) })?)
            }
            Source::Remnant(remnant) => remnant.handle(outcome),
        }
    }

    /// Shows the next record. `false`: none is at hand.
    pub(super) fn with_next(
        &mut self,
        take: impl FnOnce(Place, RecordView<'_>) -> Result<(), OpenError>,
    ) -> Result<bool, OpenError> {
        match self {
            Source::Segment { walk, .. } => match walk.poll_record()? {
                Some(recovered) => take(recovered.place, recovered.record).map(|()| true),
                None => Ok(false),
            },
            Source::Remnant(remnant) => remnant.with_next(take),
        }
    }

    /// Where the batches of the segment ended, once it has been read.
    pub(super) fn batches_end(&self) -> Position {
        match self {
            Source::Segment { walk, .. } => walk.read_through(),
            Source::Remnant(remnant) => remnant.header.map_or(unread(remnant.number), |header| header.batches_end),
        }
    }
}

impl RemnantSource {
    fn file(&self) -> FileName {
        FileName::Remnant(self.number, self.generation)
    }

    fn damaged(&self, damage: Damage) -> OpenError {
        storage_log::OpenError::Corrupt(Corruption { file: self.file(), offset: self.at, damage }).into()
    }

    fn read_through(&self) -> u32 {
        self.at + (self.bytes.len() - self.consumed) as u32
    }

    fn is_done(&self) -> bool {
        self.header.is_some_and(|header| self.at == header.records_end)
    }

    fn next_operation(&self) -> Operation {
        let file = self.file();
        match self.header {
            None => Operation::Read { file, offset: 0, length: PAGE_BYTES as u32 },
            Some(header) => {
                let offset = self.read_through();
                Operation::Read { file, offset, length: READ_BYTES.min(header.records_end - offset) }
            }
        }
    }

    fn handle(&mut self, outcome: Outcome) -> Result<(), OpenError> {
        let Outcome::Read(bytes) = outcome else { return Ok(()) };
        if self.header.is_some() {
            if bytes.is_empty() {
                return Err(self.damaged(Damage::Shrunk));
            }
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
            self.bytes.extend_from_slice(&bytes);
            return Ok(());
        }
        let header = RemnantHeader::decode(self.number, self.generation, &bytes);
        self.header = Some(header.map_err(|_| self.damaged(Damage::SegmentHeader))?);
        Ok(())
    }

    fn with_next(
        &mut self,
        take: impl FnOnce(Place, RecordView<'_>) -> Result<(), OpenError>,
    ) -> Result<bool, OpenError> {
        let Some(header) = self.header.filter(|header| self.at < header.records_end) else { return Ok(false) };
        let rest = self.bytes.get(self.consumed..).unwrap_or_default();
        let parsed = RecordView::parse(rest).map_err(|damage| self.damaged(damage))?;
        let Some((view, length)) = parsed else {
            let is_cut = self.read_through() == header.records_end;
            return if is_cut { Err(self.damaged(Damage::Record)) } else { Ok(false) };
        };
        take(Place { segment: self.number, offset: self.at, length: length as u32 }, view)?;
        self.consumed += length;
        self.at += length as u32;
        Ok(true)
    }
}
