//! The log as a state machine: appends, reads and timeouts in; disk operations and events out.
//!
//! It starts no thread, waits for nothing and reads no clock. After every batch of `append`, `read` and `handle_…`
//! calls the embedder drains `poll_operation` into its [`crate::Disk`] and `poll_event` into its own work:
//!
//! ```ignore
//! loop {
//!     // Wait for a request, a completion of the disk, or log.poll_timeout().
//!     while let Some(completion) = disk.poll_completion() { log.handle_completion(now, completion); }
//!     log.handle_timeout(now);
//!     // log.append(…), log.read(…)
//!     while let Some((id, operation)) = log.poll_operation() { disk.submit(id, operation); }
//!     while let Some(event) = log.poll_event() { … }
//! }
//! ```
//!
//! Invariants: an append is reported durable only after a sync that covers it has succeeded; reports come in the order
//! of the appends; after a failed write or sync nothing is ever reported durable again.

use std::collections::VecDeque;

use crate::chain::{Chain, OperationIds, Progress};
use crate::commit::{Commit, CommitChange, Head};
use crate::disk::{Completion, DiskError, FileName, Operation, OperationId};
use crate::error::{AppendRefusal, ReadError, ReadRefusal};
use crate::identity::{LogIdentity, StoreIncarnation};
use crate::mark::{MARK_BYTES, Mark};
use crate::monotonic::Monotonic;
use crate::options::{Options, batch_bytes_max};
use crate::position::{Place, Position};
use crate::reads::Reads;
use crate::record::{Record, StoredRecord};
use crate::supply::{Supply, SupplyChange};

/// The embedder's name for an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendToken(pub u64);

/// The embedder's name for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadToken(pub u64);

/// Whether an append may be shed when the disk is nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Work that nobody relies on yet: shed below the low-water mark.
    New,
    /// Work that follows from accepted work: goes on as long as a segment has room.
    Accepted,
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// The records of this append are durable. In the order of the appends.
    Appended {
        /// As given to `append`.
        token: AppendToken,
    },
    /// This append will not be reported durable. Whether it is there after a restart is unknown: all of its records
    /// are, or none.
    AppendFailed {
        /// As given to `append`.
        token: AppendToken,
        /// What the disk said.
        error: DiskError,
    },
    /// A read has ended.
    ReadDone {
        /// As given to `read`.
        token: ReadToken,
        /// The verified record.
        result: Result<StoredRecord, ReadError>,
    },
    /// New work is now shed, or no longer.
    DiskLow {
        /// Now.
        is_low: bool,
        /// What the disk answered, `None` when it was simply full.
        free_bytes: Option<u64>,
    },
    /// The ballast is there; or it was let go of since the disk is full, so that what was accepted finds room, and new
    /// work is shed.
    Ballast {
        /// Now.
        is_there: bool,
    },
    /// A write or a sync has failed. The last event but for reads: end the process with exit code 74.
    Failed {
        /// What the disk said.
        error: DiskError,
        /// Whether the `needs_check` mark is on the disk. Without it the next start does not know of the failure.
        is_marked: bool,
    },
}

enum Health {
    Good,
    /// A mark was found at the start.
    ReadOnly,
    /// The mark is being written.
    Failing(DiskError, Chain),
    Failed,
}

/// What recovery hands over.
pub(crate) struct Recovered {
    pub(crate) options: Options,
    pub(crate) identity: LogIdentity,
    /// The incarnation of the segments that follow, when it is another one.
    pub(crate) renewed: Option<StoreIncarnation>,
    pub(crate) head: Head,
    pub(crate) is_read_only: bool,
    /// Of the ballast that is there; 0 for none.
    pub(crate) ballast_bytes: u64,
    pub(crate) ids: OperationIds,
}

/// An open log. Made by [`crate::Recovery`].
pub struct Log {
    identity: LogIdentity,
    health: Health,
    commit: Commit,
    supply: Supply,
    reads: Reads,
    ids: OperationIds,
    /// The end of a segment that was left is being given back.
    trim: Option<OperationId>,
    /// What is to be submitted: at most one commit, the reads, and what is given back.
    operations: VecDeque<(OperationId, Operation)>,
    /// What is to be reported: bounded by what was accepted and not yet reported.
    events: VecDeque<LogEvent>,
}

impl Log {
    pub(crate) fn new(recovered: Recovered, now: Monotonic) -> Self {
        let Recovered { options, mut identity, renewed, head, is_read_only, ballast_bytes, ids } = recovered;
        // An older, smaller segment still has to be filled before a larger one can be.
        let batch_bytes_max = batch_bytes_max(options.segment_bytes.min(head.open.bytes));
        let mut commit = Commit::new(identity.log_id, batch_bytes_max, head, now);
        if let Some(incarnation) = renewed {
            identity.incarnation = incarnation;
            commit.leave_segment();
        }
        let supply = Supply::new(&options, identity, head.open.number, ballast_bytes, now);
        Self {
            identity,
            health: if is_read_only { Health::ReadOnly } else { Health::Good },
            commit,
            supply,
            reads: Reads::default(),
            ids,
            trim: None,
            operations: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes records which become durable together or not at all, and pushes the place of each to `places`. The places
    /// may be read when the append has been reported. Copies each payload once.
    ///
    /// # Errors
    /// Nothing was taken; the refusal says whether and when to try again.
    ///
    /// # Panics
    /// Without records, or with a key over [`crate::limits::KEY_BYTES_MAX`].
    pub fn append(
        &mut self,
        token: AppendToken,
        admission: Admission,
        records: &[Record<'_>],
        places: &mut Vec<Place>,
    ) -> Result<(), AppendRefusal> {
        assert!(!records.is_empty(), "an append has records");
        self.admits(admission, records.iter().map(Record::stored_bytes).sum())?;
        self.commit.gather(token, records, places);
        Ok(())
    }

    /// Whether an append of so many bytes, as the sum of [`Record::stored_bytes`], is taken now: who has to wait need not
    /// make its records to hear that.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn admits(&self, admission: Admission, stored_bytes: usize) -> Result<(), AppendRefusal> {
        match self.health {
            Health::Good => {}
            Health::ReadOnly => return Err(AppendRefusal::NeedsCheck),
            Health::Failing(..) | Health::Failed => return Err(AppendRefusal::Failed),
        }
        if self.supply.is_low() && admission == Admission::New {
            return Err(AppendRefusal::DiskLow);
        }
        if !self.commit.has_room() {
            return Err(if self.supply.is_exhausted() { AppendRefusal::DiskLow } else { AppendRefusal::Full });
        }
        self.commit.admits(stored_bytes)
    }

    /// The largest append, as the sum of [`Record::stored_bytes`].
    #[must_use]
    pub fn append_bytes_max(&self) -> usize {
        self.commit.append_bytes_max() as usize
    }

    /// Reads the record at a place, which must have been reported durable. It is served only if it matches its
    /// checksum and its key begins with `key_prefix`.
    ///
    /// # Errors
    /// The read did not begin.
    pub fn read(&mut self, token: ReadToken, place: Place, key_prefix: &[u8]) -> Result<(), ReadRefusal> {
        if place.end() > self.commit.synced_through() {
            return Err(ReadRefusal::NotDurable);
        }
        if self.reads.is_full() {
            return Err(ReadRefusal::Busy);
        }
        self.operations.push_back(self.reads.begin(
            &mut self.ids,
            token,
            FileName::Segment(place.segment),
            place,
            key_prefix,
        ));
        Ok(())
    }

    /// As [`Log::read`], of a record that the embedder has put into a file of its own.
    ///
    /// # Errors
    /// The read did not begin.
    pub fn read_from(
        &mut self,
        token: ReadToken,
        file: FileName,
        place: Place,
        key_prefix: &[u8],
    ) -> Result<(), ReadRefusal> {
        if matches!(file, FileName::Segment(_)) {
            return self.read(token, place, key_prefix);
        }
        if self.reads.is_full() {
            return Err(ReadRefusal::Busy);
        }
        self.operations.push_back(self.reads.begin(&mut self.ids, token, file, place, key_prefix));
        Ok(())
    }

    /// Asks for the seal of the last batch at once instead of after [`crate::limits::SEAL_IDLE`]: for an orderly end.
    pub fn seal(&mut self) {
        self.commit.seal();
    }

    /// Has what comes next go into a new segment. `false`, and nothing has changed: something is under way, the next
    /// segment is not ready, or the open one is empty.
    pub fn leave_segment(&mut self) -> bool {
        let is_good = matches!(self.health, Health::Good);
        let may_leave = is_good && self.commit.is_durable() && self.commit.is_open_in_use() && self.supply.is_ready();
        if may_leave {
            self.commit.leave_segment();
            self.commit.roll(&mut self.supply);
        }
        may_leave
    }

    /// Everything accepted is durable and sealed: ending now leaves nothing to doubt. On a full disk there may be no room
    /// for the seal, and what is durable has to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let has_no_room = !self.commit.has_room() && self.supply.is_exhausted();
        self.commit.is_settled() || (has_no_room && self.commit.is_durable())
    }

    /// An operation has ended.
    pub fn handle_completion(&mut self, now: Monotonic, completion: Completion) {
        let Completion { id, result } = completion;
        if self.reads.awaits(id) {
            let (token, result) = self.reads.handle(id, result);
            self.events.push_back(LogEvent::ReadDone { token, result });
            return;
        }
        if self.trim.take_if(|trim| *trim == id).is_some() {
            // It was a hint.
            return;
        }
        match &mut self.health {
            Health::Good if self.commit.awaits(id) => match self.commit.handle(now, id, result) {
                CommitChange::None => {}
                CommitChange::Durable => {
                    let appended = self.commit.flight_tokens().map(|token| LogEvent::Appended { token });
                    self.events.extend(appended);
                    self.trim_segment();
                }
                CommitChange::Failed(error) => self.fail(error),
            },
            Health::Good if self.supply.awaits(id) => match self.supply.handle(now, id, result) {
                SupplyChange::None => {}
                SupplyChange::Ready => self.commit.roll(&mut self.supply),
                SupplyChange::Low(is_low, free_bytes) => {
                    self.events.push_back(LogEvent::DiskLow { is_low, free_bytes });
                }
                SupplyChange::Ballast(is_there) => self.events.push_back(LogEvent::Ballast { is_there }),
                SupplyChange::Failed(error) => self.fail(error),
            },
            Health::Good | Health::ReadOnly => panic!("nobody waits for the completion of {id:?}"),
            Health::Failing(error, chain) if chain.awaits(id) => {
                let is_marked = match chain.handle(result) {
                    Progress::Going => return,
                    Progress::Finished => true,
                    Progress::Failed(_) => false,
                };
                self.events.push_back(LogEvent::Failed { error: *error, is_marked });
                self.health = Health::Failed;
            }
            // What was under way when the failure came.
            Health::Failing(..) | Health::Failed => {}
        }
    }

    /// Time has come to [`Log::poll_timeout`], or past it. Calling early or often is harmless.
    pub fn handle_timeout(&mut self, now: Monotonic) {
        if matches!(self.health, Health::Good) {
            self.commit.handle_timeout(now);
            self.supply.handle_timeout(now);
        }
    }

    /// When [`Log::handle_timeout`] is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        if !matches!(self.health, Health::Good) {
            return None;
        }
        [self.commit.poll_timeout(), self.supply.poll_timeout()].into_iter().flatten().min()
    }

    /// What to submit to the disk next. Everything that was appended since the last commit departs here as one batch,
    /// so call it when nothing more is at hand.
    pub fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        if matches!(self.health, Health::Good)
            && let Some(commit) = self.commit.depart(&mut self.ids)
        {
            self.operations.extend(commit);
            self.commit.roll(&mut self.supply);
        }
        if let Some(operation) = self.operations.pop_front() {
            return Some(operation);
        }
        match &mut self.health {
            Health::Good => self.supply.poll_operation(self.commit.is_open_in_use(), &mut self.ids),
            Health::Failing(_, chain) => chain.poll_operation(&mut self.ids),
            Health::ReadOnly | Health::Failed => None,
        }
    }

    /// What has happened, oldest first.
    pub fn poll_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }

    /// Another [`Options::disk_low_bytes`] from the next time on that the disk is asked for its space.
    pub fn set_disk_low_bytes(&mut self, disk_low_bytes: u64) {
        self.supply.set_disk_low_bytes(disk_low_bytes);
    }

    /// Who this log is.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    /// The ballast is in the folder.
    #[must_use]
    pub fn has_ballast(&self) -> bool {
        self.supply.has_ballast()
    }

    /// Nothing can be appended until a check has passed.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self.health, Health::ReadOnly)
    }

    /// New work is shed.
    #[must_use]
    pub fn is_disk_low(&self) -> bool {
        self.supply.is_low()
    }

    /// Everything before this is durable.
    #[must_use]
    pub fn synced_through(&self) -> Position {
        self.commit.synced_through()
    }

    /// Everything before this is proved durable by a batch behind it: damage there is reported as corruption and never
    /// taken for a torn tail.
    #[must_use]
    pub fn sealed_through(&self) -> Position {
        self.commit.sealed_through()
    }

    /// A segment that was left has its space up to the last batch, and no more: it may have been left early.
    fn trim_segment(&mut self) {
        if self.trim.is_none()
            && let Some(end) = self.commit.take_left()
        {
            let id = self.ids.next();
            self.trim = Some(id);
            self.operations
                .push_back((id, Operation::Trim { file: FileName::Segment(end.segment), offset: end.offset }));
        }
    }

    fn fail(&mut self, error: DiskError) {
        let acked_through = self.commit.synced_through();
        self.operations.retain(|(id, _)| self.reads.awaits(*id));
        let failed = self.commit.abandon().into_iter().map(|token| LogEvent::AppendFailed { token, error });
        self.events.extend(failed);
        let file = FileName::NeedsCheck;
        let marking = Chain::new([
            Operation::Create { file, size_bytes: MARK_BYTES },
            Operation::Write { file, offset: 0, bytes: Mark::Failed(acked_through).encode() },
            Operation::Sync { file },
            Operation::SyncFolder,
        ]);
        self.health = Health::Failing(error, marking);
    }
}
