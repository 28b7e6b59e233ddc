//! Group commit: whatever waits becomes one batch, one write and one sync.
//!
//! One batch is on its way to the disk while the next one gathers. The place of a gathering batch is fixed before its
//! first record comes in, so a record's place is known at once: a batch starts in the open segment only when a whole
//! one fits, and otherwise in the next.

use crate::batch::{BATCH_HEADER_BYTES, BatchBuilder};
use crate::chain::OperationIds;
use crate::disk::{DiskError, FileName, Operation, OperationId, Outcome};
use crate::error::AppendRefusal;
use crate::identity::LogId;
use crate::limits::SEAL_IDLE;
use crate::log::AppendToken;
use crate::monotonic::Monotonic;
use crate::position::{Place, Position};
use crate::record::Record;
use crate::supply::{Segment, Supply};

/// Where a log stands when it has been recovered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) open: Segment,
    /// The end of the last batch.
    pub(crate) end: Position,
    /// The end of the last batch that a later one proves.
    pub(crate) sealed_through: Position,
}

/// A batch on its way to the disk.
struct Flight {
    /// What has not been completed.
    write: Option<OperationId>,
    sync: Option<OperationId>,
    end: Position,
    synced_through: Position,
    is_empty: bool,
}

/// What a completion has led to.
pub(crate) enum CommitChange {
    None,
    /// The batch in flight is durable; its tokens are in [`Commit::flight_tokens`].
    Durable,
    Failed(DiskError),
}

pub(crate) struct Commit {
    log_id: LogId,
    batch_bytes_max: u32,
    open: Segment,
    /// Where the gathering batch will stand, if there is room.
    tail: Position,
    /// The end of the last batch that was given to the disk.
    written_through: Position,
    synced_through: Position,
    sealed_through: Position,
    /// The end of the last batch of the segment before the open one.
    left: Option<Position>,
    gathering: BatchBuilder,
    gathering_tokens: Vec<AppendToken>,
    flight: Option<Flight>,
    flight_tokens: Vec<AppendToken>,
    spare: Vec<u8>,
    /// The last durable batch has records, and nothing proves yet that it was durable.
    is_unsealed: bool,
    seal_due: Option<Monotonic>,
    seal_is_wanted: bool,
}

impl Commit {
    pub(crate) fn new(log_id: LogId, batch_bytes_max: u32, head: Head, now: Monotonic) -> Self {
        let is_unsealed = head.sealed_through != head.end;
        Self {
            log_id,
            batch_bytes_max,
            open: head.open,
            tail: head.end,
            written_through: head.end,
            synced_through: head.end,
            sealed_through: head.sealed_through,
            left: None,
            gathering: BatchBuilder::new(),
            gathering_tokens: Vec::new(),
            flight: None,
            flight_tokens: Vec::new(),
            spare: Vec::new(),
            is_unsealed,
            seal_due: is_unsealed.then(|| now.after(SEAL_IDLE)),
            seal_is_wanted: false,
        }
    }

    /// Bytes of records that fit one batch.
    pub(crate) fn append_bytes_max(&self) -> u32 {
        self.batch_bytes_max - BATCH_HEADER_BYTES
    }

    pub(crate) fn synced_through(&self) -> Position {
        self.synced_through
    }

    pub(crate) fn sealed_through(&self) -> Position {
        self.sealed_through
    }

    /// The open segment has a durable batch, so a next one will be needed.
    pub(crate) fn is_open_in_use(&self) -> bool {
        self.synced_through > Position::first_of(self.open.number)
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.flight.is_none() && self.gathering.is_empty()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_durable() && !self.is_unsealed
    }

    pub(crate) fn has_room(&self) -> bool {
        self.open.bytes.saturating_sub(self.tail.offset) >= self.batch_bytes_max
    }

    /// Where the segment ended that was left last, once nothing will ever be written to it again.
    pub(crate) fn take_left(&mut self) -> Option<Position> {
        self.left.take_if(|end| end.segment < self.synced_through.segment)
    }

    /// What comes next goes into the next segment.
    pub(crate) fn leave_segment(&mut self) {
        assert!(self.gathering.is_empty(), "the place of a record is fixed when it is taken");
        self.tail.offset = self.open.bytes;
    }

    /// Whether the gathering batch has room for so many bytes of records.
    pub(crate) fn admits(&self, stored_bytes: usize) -> Result<(), AppendRefusal> {
        if stored_bytes > self.append_bytes_max() as usize {
            return Err(AppendRefusal::TooLarge);
        }
        if self.gathering.bytes() + stored_bytes > self.batch_bytes_max as usize {
            return Err(AppendRefusal::Full);
        }
        Ok(())
    }

    /// Takes records into the gathering batch, which must have room.
    pub(crate) fn gather(&mut self, token: AppendToken, records: &[Record<'_>], places: &mut Vec<Place>) {
        assert!(self.has_room(), "the place of a record is fixed when it is taken");
        for record in records {
            let offset = self.tail.offset + self.gathering.push(record);
            places.push(Place { segment: self.tail.segment, offset, length: record.stored_bytes() as u32 });
        }
        self.gathering_tokens.push(token);
    }

    /// Moves on to the next segment if this one has no room and that one is ready.
    pub(crate) fn roll(&mut self, supply: &mut Supply) {
        if self.has_room() {
            return;
        }
        assert!(self.gathering.is_empty(), "nothing gathers where there is no room");
        if let Some(next) = supply.take_ready() {
            assert_eq!(next.number, self.open.number.next(), "segments follow one another");
            self.left = Some(self.written_through);
            self.open = next;
            self.tail = Position::first_of(next.number);
            assert!(self.has_room(), "a new segment holds a whole batch");
        }
    }

    /// Asks for a seal as soon as nothing else is to be written.
    pub(crate) fn seal(&mut self) {
        self.seal_is_wanted |= self.is_unsealed || self.flight.is_some() || !self.gathering.is_empty();
    }

    pub(crate) fn handle_timeout(&mut self, now: Monotonic) {
        if self.seal_due.is_some_and(|due| due <= now) {
            self.seal_due = None;
            self.seal();
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Monotonic> {
        self.seal_due
    }

    /// Sends what has gathered on its way, if nothing else is: the write and its sync.
    pub(crate) fn depart(&mut self, ids: &mut OperationIds) -> Option<[(OperationId, Operation); 2]> {
        let is_empty = self.gathering.is_empty();
        let seals = is_empty && self.is_unsealed && self.seal_is_wanted;
        if self.flight.is_some() || !self.has_room() || (is_empty && !seals) {
            return None;
        }
        let spare = std::mem::take(&mut self.spare);
        let (bytes, length) = self.gathering.finish(self.log_id, self.tail, self.written_through, spare);
        std::mem::swap(&mut self.gathering_tokens, &mut self.flight_tokens);
        assert!(self.gathering_tokens.is_empty(), "the tokens of the last flight were taken");
        let (write, sync) = (ids.next(), ids.next());
        let end = self.tail.behind(length);
        self.flight =
            Some(Flight { write: Some(write), sync: Some(sync), end, synced_through: self.written_through, is_empty });
        let (file, offset) = (FileName::Segment(self.tail.segment), self.tail.offset);
        self.tail = end;
        self.written_through = end;
        self.seal_due = None;
        // Both at once: the disk keeps their order, and the sync need not wait for us to hear of the write.
        Some([(write, Operation::Write { file, offset, bytes }), (sync, Operation::Sync { file })])
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.flight.as_ref().is_some_and(|flight| [flight.write, flight.sync].contains(&Some(id)))
    }

    pub(crate) fn handle(
        &mut self,
        now: Monotonic,
        id: OperationId,
        result: Result<Outcome, DiskError>,
    ) -> CommitChange {
        let mut flight = self.flight.take().expect("the caller asked whether it is awaited");
        match result {
            Err(error) => return CommitChange::Failed(error),
            Ok(Outcome::Written(buffer)) => {
                assert_eq!(flight.write.take(), Some(id), "only a write answers with its buffer");
                self.spare = buffer;
            }
            Ok(_) => assert_eq!(flight.sync.take(), Some(id), "a write answers with its buffer"),
        }
        if flight.write.is_some() || flight.sync.is_some() {
            self.flight = Some(flight);
            return CommitChange::None;
        }
        self.land(now, &flight);
        CommitChange::Durable
    }

    fn land(&mut self, now: Monotonic, flight: &Flight) {
        self.synced_through = flight.end;
        self.sealed_through = flight.synced_through;
        self.is_unsealed = !flight.is_empty;
        if flight.is_empty {
            self.seal_is_wanted = false;
        } else if self.gathering.is_empty() {
            self.seal_due = Some(now.after(SEAL_IDLE));
        }
    }

    /// The tokens of the batch that has just become durable, in order.
    pub(crate) fn flight_tokens(&mut self) -> std::vec::Drain<'_, AppendToken> {
        self.flight_tokens.drain(..)
    }

    /// Gives up: every token that was taken and not reported, in order.
    pub(crate) fn abandon(&mut self) -> Vec<AppendToken> {
        self.seal_due = None;
        let mut tokens = std::mem::take(&mut self.flight_tokens);
        tokens.append(&mut self.gathering_tokens);
        tokens
    }
}
