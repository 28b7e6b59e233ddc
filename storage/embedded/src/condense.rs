//! Making a remnant: the records of a segment are read once, in bounded steps, and those that stay are written to a file
//! of their own. One operation is under way at a time.
//!
//! Nothing of the segment is touched: until the remnant has its name, it is not there.

mod source;

use std::collections::BTreeSet;

use protocol::ids::UserId;
use storage_api::{EntryBody, EntryKey};
use storage_log::{
    Class, Completion, DiskError, FileName, LogId, Operation, OperationId, Options, Outcome, Place, Position, Record,
    RecordView, SegmentNumber,
};

use crate::error::OpenError;
use crate::limits::{PAGE_BYTES, SEAL_STEP_BYTES};
use crate::open_segment::OpenSegment;
use crate::record::Row;
use crate::remnant::RemnantHeader;
use crate::sealed_segment::{Home, SealedSegment};
use crate::side_ids::SideIds;
use source::Source;

/// Classes whose records have had their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expired([bool; Class::ALL.len()]);

impl Expired {
    pub(crate) fn of(is_expired: impl Fn(Class) -> bool) -> Expired {
        Expired(Class::ALL.map(is_expired))
    }

    pub(crate) fn has(self, class: Class) -> bool {
        self.0.get(usize::from(class.number()) - 1).copied().unwrap_or(false)
    }
}

/// What a remnant is made without.
pub(crate) struct Goes {
    pub(crate) expired: Expired,
    pub(crate) erased: BTreeSet<EntryKey>,
    pub(crate) users: BTreeSet<UserId>,
}

impl Goes {
    fn has(&self, row: &Row) -> bool {
        match row {
            Row::Entry(entry) => {
                let is_message_of = |user| self.users.contains(&user) && matches!(entry.body, EntryBody::Message(_));
                self.erased.contains(&entry.key)
                    || entry.identity().is_some_and(|identity| is_message_of(identity.sender))
            }
            Row::UserEvents { user, .. } => self.users.contains(user),
            _ => false,
        }
    }
}

enum Phase {
    Creating,
    Copying,
    Header,
    Clearing,
}

/// A remnant that is being made.
pub(crate) struct Condenser {
    phase: Phase,
    source: Source,
    goes: Goes,
    /// What there will be.
    left: OpenSegment,
    generation: u16,
    log_id: LogId,
    /// Records that are to be written next, and where.
    buffer: Vec<u8>,
    written_through: u32,
    awaited: Option<OperationId>,
}

/// What a completion has led to.
pub(crate) enum CondenseChange {
    None,
    /// The records are written: the index goes behind them.
    Copied(Box<Copied>),
    /// The file that was begun is gone again.
    Cleared,
}

/// Records in a prepared file, and what is known of them.
pub(crate) struct Copied {
    pub(crate) left: OpenSegment,
    pub(crate) home: Home,
    pub(crate) prepared: FileName,
}

/// Why a remnant is not made.
pub(crate) enum CondenseError {
    /// A later try may do better.
    Disk(DiskError),
    /// The source cannot be read: it stays as it is.
    Source(OpenError),
}

impl Condenser {
    pub(crate) fn new(sealed: &SealedSegment, goes: Goes, log: Options, log_id: LogId) -> Condenser {
        Condenser {
            phase: Phase::Creating,
            source: Source::new(sealed, log),
            goes,
            left: OpenSegment::new(sealed.number),
            generation: sealed.home.generation() + 1,
            log_id,
            buffer: Vec::new(),
            written_through: PAGE_BYTES as u32,
            awaited: None,
        }
    }

    pub(crate) fn segment(&self) -> SegmentNumber {
        self.left.number
    }

    fn prepared(&self) -> FileName {
        FileName::PreparedRemnant(self.left.number, self.generation)
    }

    pub(crate) fn poll_operation(&mut self, ids: &mut SideIds) -> Option<(OperationId, Operation)> {
        if self.awaited.is_some() {
            return None;
        }
        let file = self.prepared();
        let operation = match self.phase {
            Phase::Creating => Operation::Create { file, size_bytes: 0 },
            Phase::Copying if self.buffer.len() < SEAL_STEP_BYTES && !self.source.is_done() => {
                self.source.next_operation()
            }
            Phase::Copying => self.write(),
            Phase::Header => Operation::Write { file, offset: 0, bytes: self.header().encode() },
            Phase::Clearing => Operation::Unlink { file },
        };
        let id = ids.next();
        self.awaited = Some(id);
        Some((id, operation))
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.awaited == Some(id)
    }

    /// After an error what was begun is cleared away: go on until [`CondenseChange::Cleared`].
    pub(crate) fn handle(&mut self, completion: Completion) -> Result<CondenseChange, CondenseError> {
        self.awaited = None;
        if matches!(self.phase, Phase::Clearing) {
            return Ok(CondenseChange::Cleared);
        }
        let handled = self.try_handle(completion);
        if handled.is_err() {
            self.phase = Phase::Clearing;
        }
        handled
    }

    fn try_handle(&mut self, completion: Completion) -> Result<CondenseChange, CondenseError> {
        let outcome = completion.result.map_err(CondenseError::Disk)?;
        match self.phase {
            Phase::Creating => self.phase = Phase::Copying,
            Phase::Copying => {
                if !matches!(outcome, Outcome::Written(_)) {
                    self.source.handle(outcome).map_err(CondenseError::Source)?;
                }
                self.fill().map_err(CondenseError::Source)?;
                if self.source.is_done() && self.buffer.is_empty() {
                    self.phase = Phase::Header;
                }
            }
            Phase::Header => return Ok(CondenseChange::Copied(Box::new(self.copied()))),
            Phase::Clearing => unreachable!("it was looked at before"),
        }
        Ok(CondenseChange::None)
    }

    /// Takes what stays of the records at hand, until there is enough to write.
    fn fill(&mut self) -> Result<(), OpenError> {
        let Condenser { source, buffer, left, goes, written_through, .. } = self;
        while buffer.len() < SEAL_STEP_BYTES {
            let is_there = source.with_next(|place, view| keep(view, place, goes, left, buffer, *written_through))?;
            if !is_there {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Operation {
        let bytes = std::mem::take(&mut self.buffer);
        let offset = self.written_through;
        self.written_through += bytes.len() as u32;
        Operation::Write { file: self.prepared(), offset, bytes }
    }

    fn header(&self) -> RemnantHeader {
        RemnantHeader {
            log_id: self.log_id,
            segment: self.left.number,
            generation: self.generation,
            index_page: self.written_through.div_ceil(PAGE_BYTES as u32),
            records_end: self.written_through,
            batches_end: self.source.batches_end(),
        }
    }

    fn copied(&mut self) -> Copied {
        let number = self.left.number;
        let home = Home::of_remnant(number, self.generation, self.header().index_page);
        let left = std::mem::replace(&mut self.left, OpenSegment::new(number));
        Copied { left, home, prepared: self.prepared() }
    }
}

/// Puts a record behind those that stay, unless it has had its time. Small state is in a snapshot.
fn keep(
    view: RecordView<'_>,
    place: Place,
    goes: &Goes,
    left: &mut OpenSegment,
    buffer: &mut Vec<u8>,
    written_through: u32,
) -> Result<(), OpenError> {
    let RecordView { class, format_version, key, payload } = view;
    if class == Class::State || goes.expired.has(class) {
        return Ok(());
    }
    let row = Row::decode(view).map_err(|fault| OpenError::Record { place, class, fault })?;
    if goes.has(&row) {
        return Ok(());
    }
    let offset = written_through + buffer.len() as u32;
    let record = Record { class, format_version, key, payload: &[payload] };
    record.encode_into(buffer);
    let place = Place { segment: place.segment, offset, length: record.stored_bytes() as u32 };
    left.insert(place, class, &row);
    Ok(())
}

/// Where the batches of a segment ended, when nothing of it has been read.
pub(crate) fn unread(number: SegmentNumber) -> Position {
    Position::first_of(number)
}
