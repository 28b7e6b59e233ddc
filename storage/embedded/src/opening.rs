//! Opening a store: side files, the newest snapshot, and then the log from where that snapshot began.
//!
//! A segment whose side file is missing or damaged is read once more and gets a new one. What is read is bounded by the
//! snapshots, not by the size of the store; without a snapshot all of the log is read.

mod indexes;
mod listing;
mod snapshot_reader;
mod waste;

use storage_log::{Completion, Log, Monotonic, Operation, OperationId, Outcome, Purpose, Recovery, SegmentNumber};

use crate::error::OpenError;
use crate::limits::{SNAPSHOT_PART_BYTES, UNSEALED_BYTES_MAX};
use crate::options::EmbeddedOptions;
use crate::record::Row;
use crate::segments::Segment;
use crate::side_files::SideFiles;
use crate::snapshots::Snapshots;
use crate::state::State;
use crate::store::EmbeddedStore;
use indexes::IndexReader;
use listing::Listing;
use snapshot_reader::SnapshotReader;
use waste::Clearing;

/// How far an opening is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpeningProgress {
    /// Records read so far.
    pub records_read: u64,
    /// Segments that have been begun, and all there are.
    pub segments_read: u32,
    /// See above.
    pub segments_total: u32,
}

/// What has been found so far.
pub(crate) struct Opened<L = Log> {
    pub(crate) options: EmbeddedOptions,
    pub(crate) log: L,
    pub(crate) state: State,
    pub(crate) side: SideFiles,
    pub(crate) snapshots: Snapshots,
}

enum Phase {
    Listing(Option<OperationId>),
    Clearing(Clearing),
    Indexes(IndexReader),
    Snapshot(SnapshotReader),
    /// Reading a segment for its side file.
    Walking(Recovery),
    Scanning(Recovery),
}

/// A store that is being opened. After an error drop it.
pub struct Opening {
    found: Opened<()>,
    phase: Phase,
    /// Those whose files were listed, in whatever form.
    segments: Vec<SegmentNumber>,
    /// A read-only log gets no new file, and loses none.
    is_read_only: bool,
    /// Where the scan begins.
    first: SegmentNumber,
    progress: OpeningProgress,
}

impl Opening {
    /// Makes a store where there is none.
    pub fn new(options: EmbeddedOptions) -> Opening {
        Opening {
            found: Opened {
                options,
                log: (),
                state: State::default(),
                side: SideFiles::new(),
                snapshots: Snapshots::new(options.snapshot_every_bytes, SNAPSHOT_PART_BYTES),
            },
            phase: Phase::Listing(None),
            segments: Vec::new(),
            is_read_only: false,
            first: SegmentNumber::FIRST,
            progress: OpeningProgress::default(),
        }
    }

    /// Only to look at what is found: nothing beside the log is written or removed.
    pub(crate) fn passive(options: EmbeddedOptions) -> Opening {
        Opening { is_read_only: true, ..Opening::new(options) }
    }

    /// What to submit to the disk next.
    pub fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        let side = &mut self.found.side;
        if let Some(operation) = side.poll_operation(|_| false) {
            return Some(operation);
        }
        match &mut self.phase {
            Phase::Listing(Some(_)) => None,
            Phase::Listing(awaited) => {
                let id = side.ids.next();
                *awaited = Some(id);
                Some((id, Operation::List))
            }
            Phase::Clearing(clearing) => clearing.poll_operation(&mut side.ids),
            Phase::Indexes(indexes) => indexes.poll_operation(&mut side.ids),
            Phase::Snapshot(snapshot) => snapshot.poll_operation(&mut side.ids),
            // What is in memory of the segments before gets its side file first.
            Phase::Walking(_) | Phase::Scanning(_)
                if !self.is_read_only && side.segments.unsealed_bytes() > UNSEALED_BYTES_MAX =>
            {
                None
            }
            Phase::Walking(recovery) | Phase::Scanning(recovery) => recovery.poll_operation(),
        }
    }

    /// An operation has ended.
    ///
    /// # Errors
    /// The store cannot be opened; nothing was changed.
    pub fn handle_completion(&mut self, completion: Completion) -> Result<(), OpenError> {
        if self.found.side.awaits(completion.id) {
            // The store tries again when it is open.
            let _will_be_tried_again = self.found.side.handle(Monotonic::default(), completion);
            return self.go_on();
        }
        match &mut self.phase {
            Phase::Listing(_) => self.listed(completion)?,
            Phase::Clearing(clearing) => clearing.handle(completion)?,
            Phase::Indexes(indexes) => indexes.handle(completion, &mut self.found.side)?,
            Phase::Snapshot(snapshot) => snapshot.handle(completion, &mut self.found)?,
            Phase::Walking(recovery) => {
                recovery.handle_completion(completion)?;
                walk(recovery, &mut self.found)?;
            }
            Phase::Scanning(recovery) => {
                recovery.handle_completion(completion)?;
                self.progress.segments_read = scan(recovery, &mut self.found, self.is_read_only)?;
                let summary = recovery.summary();
                self.progress.records_read = summary.record_count;
                self.progress.segments_total = self.first.0 - 1 + summary.segment_count;
            }
        }
        self.go_on()
    }

    /// Whether [`Self::finish`] may be called.
    pub fn is_done(&self) -> bool {
        matches!(&self.phase, Phase::Scanning(recovery) if recovery.is_done())
    }

    /// How far it is.
    pub fn progress(&self) -> OpeningProgress {
        self.progress
    }

    /// The open store.
    ///
    /// # Panics
    /// Before [`Self::is_done`].
    pub fn finish(self, now: Monotonic) -> EmbeddedStore {
        let Phase::Scanning(recovery) = self.phase else { panic!("an opening is finished when it is done") };
        let Opened { options, log: (), state, side, snapshots } = self.found;
        EmbeddedStore::new(Opened { options, log: recovery.finish(now), state, side, snapshots })
    }

    /// The segment in which the newest snapshot began.
    pub(crate) fn scanned_from(&self) -> SegmentNumber {
        self.first
    }

    /// What was found, without the log.
    pub(crate) fn into_found(self) -> Opened<()> {
        self.found
    }

    fn listed(&mut self, completion: Completion) -> Result<(), OpenError> {
        let files = match completion.result {
            Ok(Outcome::Listed(files)) => files,
            Ok(other) => panic!("a list was answered with {other:?}"),
            Err(error) => return Err(storage_log::OpenError::Disk { doing: "list the data folder", error }.into()),
        };
        let Listing { segments, homes, waste, is_marked } = Listing::of(&files)?;
        self.is_read_only |= is_marked;
        let waste = if self.is_read_only { Vec::new() } else { waste };
        self.segments = segments;
        self.phase = Phase::Clearing(Clearing::new(waste, homes));
        Ok(())
    }

    /// Moves on when a phase is over.
    fn go_on(&mut self) -> Result<(), OpenError> {
        loop {
            match &mut self.phase {
                Phase::Clearing(clearing) if clearing.is_done() => {
                    self.phase = Phase::Indexes(IndexReader::new(clearing.take_homes()));
                }
                Phase::Indexes(indexes) if indexes.is_done() => {
                    if let Some(log_id) = indexes.log_id().filter(|_| !self.is_read_only) {
                        self.found.side.begin(self.found.options.log, log_id);
                    }
                    self.phase = Phase::Snapshot(SnapshotReader::new(&indexes.take_snapshots()));
                }
                Phase::Snapshot(snapshot) if snapshot.is_done() => {
                    self.first = snapshot.begun_in().unwrap_or(SegmentNumber::FIRST);
                    self.phase = self.next_walk();
                }
                Phase::Walking(recovery) if recovery.is_done() => {
                    self.found.side.segments.end();
                    self.phase = self.next_walk();
                }
                _ => return Ok(()),
            }
        }
    }

    /// The next segment before the scan that has no side file, or the scan.
    fn next_walk(&mut self) -> Phase {
        let log = self.found.options.log;
        let segments = &mut self.found.side.segments;
        let before = self.segments.iter().take_while(|number| **number < self.first);
        match before.copied().find(|number| segments.find(*number).is_none()) {
            Some(number) => {
                segments.begin(number);
                Phase::Walking(Recovery::new(log, Purpose::Walk).starting_at(number))
            }
            None => {
                let recovery = Recovery::new(log, Purpose::Open).starting_at(self.first);
                Phase::Scanning(match self.found.options.renewed {
                    Some(incarnation) => recovery.renewed(incarnation),
                    None => recovery,
                })
            }
        }
    }
}

/// Takes the records of a segment into its index.
fn walk(recovery: &mut Recovery, found: &mut Opened<()>) -> Result<(), OpenError> {
    while let Some(recovered) = recovery.poll_record()? {
        let (place, class) = (recovered.place, recovered.record.class);
        let row = Row::decode(recovered.record).map_err(|fault| OpenError::Record { place, class, fault })?;
        found.side.segments.insert(place, class, &row);
    }
    Ok(())
}

/// Takes the records of the log into state and index. Answers the segment that was reached.
fn scan(recovery: &mut Recovery, found: &mut Opened<()>, is_read_only: bool) -> Result<u32, OpenError> {
    let mut reached = 0;
    while let Some(recovered) = recovery.poll_record()? {
        let (place, class) = (recovered.place, recovered.record.class);
        reached = place.segment.0;
        let is_known = place.end() <= found.snapshots.applied_through();
        if is_known && matches!(found.side.segments.find(place.segment), Some(Segment::Sealed(_))) {
            continue;
        }
        let invalid = |fault| OpenError::Record { place, class, fault };
        let row = Row::decode(recovered.record).map_err(invalid)?;
        found.side.segments.insert(place, class, &row);
        if is_known {
            continue;
        }
        found.state.apply(&row, place.segment).map_err(invalid)?;
        if let Some(snapshot) = found.snapshots.note(place, &row) {
            found.side.snapshot = Some(snapshot);
        }
    }
    match recovery.identity() {
        Some(identity) if !is_read_only => found.side.begin(found.options.log, identity.log_id),
        _ => {}
    }
    Ok(reached)
}
