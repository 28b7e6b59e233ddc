//! Opening a log: one streaming scan, as a state machine, that yields every record once and in order.
//!
//! It decides what the end of the log is. Batches form a chain: each names the end of the one before it, which was
//! durable when it was written. So what cannot be read, but has a later batch that proves it, is **corruption**: refused
//! with its place. What cannot be read and has nothing behind it is a **torn tail**: cut.
//!
//! What a killed process left in the page cache was never durable, and what a failed sync left there never will be. So
//! the last batch, which nothing proves, is written anew and synced before the log is open, and a segment
//! behind it is thrown away: a segment gets its first batch only from the process that made its name durable.
//!
//! With a `needs_check` mark nothing is changed, and nothing is shown that was never acked. If the mark does not say how
//! far that is, what is on the medium is shown: a check will find the same.

mod found;
mod reads_ahead;
mod survey;

use crate::batch::{BATCH_HEADER_BYTES, BatchHeader, Inspected, inspect};
use crate::chain::{Chain, OperationIds, Progress};
use crate::commit::Head;
use crate::disk::{Completion, FileName, Operation, OperationId, Outcome};
use crate::error::{Corruption, Damage, Newer, NewerFeature, OpenError};
use crate::identity::{LogIdentity, StoreIncarnation};
use crate::limits::{SCAN_READS_AHEAD, SEGMENT_HEADER_BYTES};
use crate::log::{Log, Recovered};
use crate::mark::{MARK_BYTES, Mark};
use crate::monotonic::Monotonic;
use crate::options::Options;
use crate::position::{Place, Position, SegmentNumber};
use crate::record::{BadRecord, Verified, verify};
use crate::scan::{Scanner, Sight};
use crate::segment::{BadHeader, SegmentHeader};
use crate::supply::{Segment, creation_of};
pub use found::{Purpose, RecoveredRecord, RecoverySummary};
use reads_ahead::ReadsAhead;
use survey::Survey;

enum Phase {
    Listing,
    ReadingMark,
    /// Bringing what was written to the medium, and reading past the page cache from then on.
    Flushing(Chain),
    ReadingHeader,
    Scanning(Scanner),
    /// Reading the last batch once more, to write it anew.
    ReadingTail(BatchHeader),
    /// Making durable what is kept and throwing away what is not.
    Settling(Chain),
    Done,
}

impl Phase {
    fn chain(&mut self) -> Option<&mut Chain> {
        match self {
            Self::Flushing(chain) | Self::Settling(chain) => Some(chain),
            _ => None,
        }
    }

    fn doing(&self) -> &'static str {
        match self {
            Self::Listing => "list the data folder",
            Self::ReadingMark => "read the needs_check mark",
            Self::Flushing(_) => "read past the page cache",
            Self::ReadingHeader | Self::Scanning(_) | Self::ReadingTail(_) => "read a segment",
            Self::Settling(_) => "prepare the data folder",
            Self::Done => "do anything more",
        }
    }
}

/// The records of a batch that have not been yielded yet.
struct Unread {
    at: u32,
    end: u32,
    record_count: u32,
}

/// A log that is being opened. After an error drop it.
pub struct Recovery {
    options: Options,
    purpose: Purpose,
    phase: Phase,
    ids: OperationIds,
    awaited: Option<OperationId>,
    reads: ReadsAhead,
    survey: Survey,
    /// None, or one that says that all is well, is as good as no mark.
    mark: Option<Mark>,
    identity: Option<LogIdentity>,
    /// Which segment of the survey is being scanned.
    segment_index: usize,
    unread: Option<Unread>,
    last_batch: Option<BatchHeader>,
    /// The first sector behind the last batch that is neither a batch nor blank.
    debris_at: Option<Position>,
    summary: RecoverySummary,
    /// What lies before has been proved otherwise.
    first: SegmentNumber,
    renewed: Option<StoreIncarnation>,
}

impl Recovery {
    /// Begins. Drive it as a [`Log`], and take every record that [`Recovery::poll_record`] has after each completion,
    /// until [`Recovery::is_done`].
    ///
    /// # Panics
    /// If an option is out of its range.
    #[must_use]
    pub fn new(options: Options, purpose: Purpose) -> Self {
        options.assert_valid();
        // A walk goes on beside the work of others.
        let reads_max = if purpose == Purpose::Walk { 1 } else { SCAN_READS_AHEAD };
        Self {
            options,
            purpose,
            phase: Phase::Listing,
            ids: OperationIds::default(),
            awaited: None,
            reads: ReadsAhead::new(reads_max),
            survey: Survey::default(),
            mark: None,
            identity: None,
            segment_index: 0,
            unread: None,
            last_batch: None,
            debris_at: None,
            summary: RecoverySummary::default(),
            first: SegmentNumber::FIRST,
            renewed: None,
        }
    }

    /// Begins at this segment: its embedder knows what stands before. Nothing before it is read or verified.
    #[must_use]
    pub fn starting_at(self, first: SegmentNumber) -> Self {
        Self { first, ..self }
    }

    /// Gives the log another incarnation: it goes on in a new segment, whose header names it.
    #[must_use]
    pub fn renewed(self, incarnation: StoreIncarnation) -> Self {
        Self { renewed: Some(incarnation), ..self }
    }

    /// What to submit to the disk next: one operation at a time, and some reads where a scan goes on.
    pub fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        if let Some(chain) = self.phase.chain() {
            return chain.poll_operation(&mut self.ids);
        }
        if self.awaited.is_some() {
            return None;
        }
        let (file, offset, length) = match &self.phase {
            Phase::Listing => return Some((self.await_one(), Operation::List)),
            Phase::ReadingMark => (FileName::NeedsCheck, 0, MARK_BYTES),
            Phase::ReadingHeader => (FileName::Segment(self.segment_number()), 0, SEGMENT_HEADER_BYTES),
            Phase::Scanning(_) => return self.reads.poll_operation(&mut self.ids),
            Phase::ReadingTail(BatchHeader { position, length, .. }) => {
                (FileName::Segment(position.segment), position.offset, *length)
            }
            _ => return None,
        };
        Some((self.await_one(), Operation::Read { file, offset, length }))
    }

    /// An operation has ended.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn handle_completion(&mut self, completion: Completion) -> Result<(), OpenError> {
        let Completion { id, result } = completion;
        let doing = self.phase.doing();
        if self.reads.awaits(id) {
            self.reads.handle(id, result).map_err(|error| OpenError::Disk { doing, error })?;
            let goes_on = matches!(self.phase, Phase::Scanning(_)) && self.unread.is_none();
            return if goes_on { self.scan() } else { Ok(()) };
        }
        let Some(chain) = self.phase.chain() else {
            assert_eq!(self.awaited.take(), Some(id), "somebody waits for every completion");
            return self.handle_answer(result.map_err(|error| OpenError::Disk { doing, error })?);
        };
        assert!(chain.awaits(id), "somebody waits for every completion");
        match chain.handle(result) {
            Progress::Going => Ok(()),
            Progress::Finished => {
                self.finish_chain();
                Ok(())
            }
            Progress::Failed(error) => Err(OpenError::Disk { doing, error }),
        }
    }

    /// The next record, if its bytes are here.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn poll_record(&mut self) -> Result<Option<RecoveredRecord<'_>>, OpenError> {
        loop {
            match &self.unread {
                None => return Ok(None),
                Some(unread) if unread.record_count > 0 => break,
                Some(unread) if unread.at != unread.end => return Err(self.damaged(unread.at, Damage::Record)),
                Some(_) => {
                    self.unread = None;
                    self.scan()?;
                }
            }
        }
        let (place, verified) = self.verify_next_record()?;
        self.summary.record_count += 1;
        let Phase::Scanning(scanner) = &self.phase else { unreachable!("records come from a scan") };
        let bytes = scanner.bytes(place.offset..place.offset + place.length);
        Ok(Some(RecoveredRecord { place, record: verified.view(bytes) }))
    }

    /// The log is open, or the check has passed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done) && self.reads.is_idle()
    }

    /// What has been seen so far.
    #[must_use]
    pub fn summary(&self) -> RecoverySummary {
        self.summary
    }

    /// The end of the last batch that was read.
    #[must_use]
    pub fn read_through(&self) -> Position {
        self.end()
    }

    /// Who the log is, once a segment has been read.
    #[must_use]
    pub fn identity(&self) -> Option<LogIdentity> {
        self.identity
    }

    /// The open log.
    ///
    /// # Panics
    /// Before [`Recovery::is_done`], and after a walk.
    #[must_use]
    pub fn finish(self, now: Monotonic) -> Log {
        assert!(self.is_done() && self.purpose != Purpose::Walk, "a recovery is finished when it is done");
        let end = self.end();
        let sealed_through = match self.last_batch {
            Some(batch) if batch.record_count > 0 => batch.synced_through,
            _ => end,
        };
        let segment_bytes = self.survey.size_of(end.segment).expect("the log ends in a segment");
        let is_read_only = self.is_read_only();
        let recovered = Recovered {
            options: self.options,
            identity: self.identity.expect("a log has a first segment"),
            renewed: self.renewed,
            head: Head { open: Segment { number: end.segment, bytes: segment_bytes }, end, sealed_through },
            is_read_only,
            ballast_bytes: self.survey.ballast_bytes,
            ids: self.ids,
        };
        Log::new(recovered, now)
    }

    fn await_one(&mut self) -> OperationId {
        let id = self.ids.next();
        self.awaited = Some(id);
        id
    }

    fn is_read_only(&self) -> bool {
        self.mark.is_some() && self.purpose == Purpose::Open
    }

    fn acked_through(&self) -> Option<Position> {
        match self.mark {
            Some(Mark::Failed(acked_through)) => Some(acked_through),
            _ => None,
        }
    }

    fn segment_number(&self) -> SegmentNumber {
        self.survey.segments[self.segment_index].0
    }

    /// The end of the last batch.
    fn end(&self) -> Position {
        self.last_batch.map_or(Position::first_of(self.first), |batch| batch.end())
    }

    fn damaged(&self, offset: u32, damage: Damage) -> OpenError {
        Corruption { file: FileName::Segment(self.segment_number()), offset, damage }.into()
    }

    fn handle_answer(&mut self, outcome: Outcome) -> Result<(), OpenError> {
        match (std::mem::replace(&mut self.phase, Phase::Done), outcome) {
            (Phase::Listing, Outcome::Listed(files)) => {
                // Behind a walk there may be segments that the embedder has replaced.
                let last = if self.purpose == Purpose::Walk { self.first.next() } else { SegmentNumber(u32::MAX) };
                self.survey = Survey::of(&files, self.first..=last)?;
                self.summary.segment_count = self.survey.segments.len() as u32;
                if self.survey.has_mark && self.purpose != Purpose::Walk {
                    self.phase = Phase::ReadingMark;
                    return Ok(());
                }
                self.begin_scan()
            }
            (Phase::ReadingMark, Outcome::Read(bytes)) => {
                self.mark = Some(Mark::decode(&bytes)).filter(|mark| *mark != Mark::AllIsWell);
                self.summary.was_marked = self.mark.is_some();
                self.begin_scan()
            }
            (Phase::ReadingHeader, Outcome::Read(block)) => self.enter_segment(&block),
            (Phase::ReadingTail(batch), Outcome::Read(bytes)) => self.rewrite_tail(batch, bytes),
            (_, outcome) => panic!("an operation was answered with {outcome:?}"),
        }
    }

    fn begin_scan(&mut self) -> Result<(), OpenError> {
        let is_check = self.purpose == Purpose::Check;
        let reads_medium = is_check || self.mark == Some(Mark::Blank);
        let first = self.survey.segments.iter().position(|(number, _)| *number == self.first);
        self.segment_index = first.unwrap_or_default();
        self.phase = match first {
            // Only an opening makes a log, and only where there was none.
            None if self.mark.is_some() || self.first != SegmentNumber::FIRST || self.purpose == Purpose::Walk => {
                return Err(Survey::missing(self.first).into());
            }
            None if is_check => return Err(OpenError::NoLog),
            None => self.anew(self.options.new_log),
            Some(_) if reads_medium => Phase::Flushing(self.survey.flush()),
            Some(_) => Phase::ReadingHeader,
        };
        Ok(())
    }

    /// The way to a log with one blank segment.
    fn anew(&mut self, identity: LogIdentity) -> Phase {
        let first = Segment { number: SegmentNumber::FIRST, bytes: self.options.segment_bytes };
        let creation = self.survey.cleaning().then(creation_of(first, identity));
        self.identity = Some(identity);
        self.survey.segments.push((first.number, first.bytes.into()));
        Phase::Settling(creation)
    }

    fn finish_chain(&mut self) {
        self.phase = match self.phase {
            Phase::Flushing(_) => Phase::ReadingHeader,
            _ => Phase::Done,
        };
    }

    fn enter_segment(&mut self, block: &[u8]) -> Result<(), OpenError> {
        let (number, found) = self.survey.segments[self.segment_index];
        let header = SegmentHeader::decode(block).map_err(|bad| match bad {
            BadHeader::Damaged => self.damaged(0, Damage::SegmentHeader),
            BadHeader::Newer(version) => {
                let feature = NewerFeature::SegmentFormat(version);
                OpenError::Newer(Newer { file: FileName::Segment(number), offset: 0, feature })
            }
        })?;
        if self.identity.is_some_and(|identity| identity.log_id != header.identity.log_id) {
            return Err(self.damaged(0, Damage::ForeignLog));
        }
        if header.number != number {
            return Err(self.damaged(0, Damage::WrongSegmentNumber));
        }
        let expected = u64::from(header.segment_bytes);
        if expected != found {
            return Err(self.damaged(0, Damage::Length { expected, found }));
        }
        self.identity = Some(header.identity);
        let segment = Segment { number, bytes: header.segment_bytes };
        self.reads.begin(segment);
        self.phase = Phase::Scanning(Scanner::new(header.identity.log_id, segment));
        Ok(())
    }

    /// Goes on until there is a batch, or bytes are needed, or the log ends.
    fn scan(&mut self) -> Result<(), OpenError> {
        loop {
            let Phase::Scanning(scanner) = &mut self.phase else { unreachable!("only a scan goes on") };
            match scanner.look() {
                Sight::Wants => match self.reads.take() {
                    Some(bytes) if scanner.extend(&bytes) => {}
                    Some(_) => return Err(self.damaged(0, Damage::Shrunk)),
                    None => return Ok(()),
                },
                Sight::Batch(header) => return self.accept(header),
                Sight::NoBatch { is_blank } => {
                    if !is_blank {
                        self.debris_at.get_or_insert(scanner.position());
                    }
                    scanner.next_sector();
                }
                Sight::EndOfSegment if self.segment_index + 1 < self.survey.segments.len() => {
                    self.segment_index += 1;
                    self.phase = Phase::ReadingHeader;
                    return Ok(());
                }
                Sight::EndOfSegment => return self.end_log(),
            }
        }
    }

    /// Takes a whole batch, if it is the one that follows.
    fn accept(&mut self, batch: BatchHeader) -> Result<(), OpenError> {
        let mut end = self.end();
        if self.last_batch.is_none() && batch.position == end && batch.synced_through.segment < self.first {
            // Where the scan begins, the chain is taken up as it is.
            end = batch.synced_through;
        }
        let begins = Position::first_of(end.segment.next());
        let stands_next = batch.position == end || batch.position == begins;
        if batch.synced_through > end {
            // A batch that ended at `synced_through` is not readable, and it began in the same segment.
            let bad = end.max(Position::first_of(batch.synced_through.segment));
            let damage = Damage::SyncedBatch { proved_by: batch.position };
            return Err(Corruption { file: FileName::Segment(bad.segment), offset: bad.offset, damage }.into());
        }
        if batch.synced_through < end || !stands_next {
            return Err(self.damaged(batch.position.offset, Damage::BrokenChain));
        }
        if self.is_read_only() && self.acked_through().is_some_and(|through| batch.position >= through) {
            return self.end_log();
        }
        if self.purpose == Purpose::Walk && batch.position.segment != self.first {
            // It proves that the segment was read to its end.
            self.reads.end();
            self.phase = Phase::Done;
            return Ok(());
        }
        let Phase::Scanning(scanner) = &mut self.phase else { unreachable!("batches come from a scan") };
        scanner.move_to(batch.end().offset);
        self.summary.batch_count += 1;
        self.debris_at = None;
        self.last_batch = Some(batch);
        let start = batch.position.offset;
        let (at, end) = (start + BATCH_HEADER_BYTES, start + batch.length);
        self.unread = Some(Unread { at, end, record_count: batch.record_count });
        Ok(())
    }

    fn verify_next_record(&mut self) -> Result<(Place, Verified), OpenError> {
        let (Phase::Scanning(scanner), Some(unread)) = (&self.phase, &mut self.unread) else {
            unreachable!("the caller has seen a record")
        };
        let segment = scanner.segment().number;
        let offset = unread.at;
        match verify(scanner.bytes(unread.at..unread.end)) {
            Ok(verified) => {
                let length = verified.stored_bytes as u32;
                unread.at += length;
                unread.record_count -= 1;
                Ok((Place { segment, offset, length }, verified))
            }
            Err(BadRecord::UnknownClass(number)) => {
                let feature = NewerFeature::RecordClass(number);
                Err(OpenError::Newer(Newer { file: FileName::Segment(segment), offset, feature }))
            }
            // The batch matched its checksum, so this was written wrong.
            Err(BadRecord::Short | BadRecord::Checksum) => Err(self.damaged(offset, Damage::Record)),
        }
    }

    fn end_log(&mut self) -> Result<(), OpenError> {
        self.reads.end();
        let end = self.end();
        self.summary.torn_at = self.debris_at;
        if let Some(acked_through) = self.acked_through().filter(|through| end < *through) {
            let damage = Damage::AckedTailMissing { acked_through };
            return Err(Corruption { file: FileName::Segment(end.segment), offset: end.offset, damage }.into());
        }
        self.phase = match self.last_batch {
            _ if self.is_read_only() || self.purpose == Purpose::Walk => Phase::Done,
            Some(batch) => Phase::ReadingTail(batch),
            None => {
                // Not even the first segment has a batch: it is thrown away, and the log begins again as itself.
                self.survey.discard_from(SegmentNumber::FIRST);
                self.anew(self.identity.expect("a segment was read"))
            }
        };
        Ok(())
    }

    fn rewrite_tail(&mut self, batch: BatchHeader, bytes: Vec<u8>) -> Result<(), OpenError> {
        let log_id = self.identity.expect("a batch was found in a log").log_id;
        let (file, offset) = (FileName::Segment(batch.position.segment), batch.position.offset);
        if inspect(log_id, batch.position, &bytes) != Inspected::Batch(batch) {
            // It was whole when the scan passed it.
            return Err(Corruption { file, offset, damage: Damage::Unsteady }.into());
        }
        self.survey.discard_from(batch.position.segment.next());
        let rewrite = Chain::new([Operation::Write { file, offset, bytes }, Operation::Sync { file }]);
        self.phase = Phase::Settling(rewrite.then(self.survey.cleaning()));
        Ok(())
    }
}
