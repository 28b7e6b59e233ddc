//! The supply of segments: one is prepared ahead of need, so that a roll costs the commits nothing, and the free space
//! of the disk is watched, so that new work is shed before space runs out. Where it runs out all the same, since others
//! use the disk too, the ballast is let go of, and the segment that could not be made is made in its place.
//!
//! A segment gets its name only when it is wholly durable: created, header written, file and folder synced, renamed,
//! folder synced again. Until then it has a name that recovery throws away.

use crate::chain::{Chain, OperationIds, Progress};
use crate::disk::{DiskError, FileName, Operation, OperationId, Outcome};
use crate::identity::LogIdentity;
use crate::limits::FREE_SPACE_PERIOD;
use crate::monotonic::Monotonic;
use crate::options::Options;
use crate::position::SegmentNumber;
use crate::segment::SegmentHeader;

/// A segment file that batches may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: SegmentNumber,
    pub(crate) bytes: u32,
}

/// The operations that make a segment.
pub(crate) fn creation_of(segment: Segment, identity: LogIdentity) -> Chain {
    let Segment { number, bytes: size_bytes } = segment;
    let (file, name) = (FileName::Prepared(number), FileName::Segment(number));
    let header = SegmentHeader { identity, number, segment_bytes: size_bytes }.encode();
    Chain::new([
        Operation::Create { file, size_bytes },
        Operation::Write { file, offset: 0, bytes: header },
        Operation::Sync { file },
        Operation::SyncFolder,
        Operation::Rename { from: file, to: name },
        Operation::SyncFolder,
    ])
}

/// The operations that make the ballast in place of one of another size, or of none.
fn making_of_ballast(present_bytes: u64, size_bytes: u32) -> Chain {
    let (file, name) = (FileName::PreparedBallast, FileName::Ballast);
    let removal = [Operation::Unlink { file: name }, Operation::SyncFolder];
    let making =
        [Operation::Create { file, size_bytes }, Operation::Rename { from: file, to: name }, Operation::SyncFolder];
    let removal = removal.into_iter().filter(|_| present_bytes > 0);
    Chain::new(removal.chain(making.into_iter().filter(|_| size_bytes > 0)))
}

/// What is being done about the next segment, or about the ballast.
enum Work {
    None,
    Creating(Segment, Chain),
    Ballasting(Chain),
    /// The disk ran full half way: the part that exists is thrown away.
    Clearing(Chain),
}

/// What a completion has led to.
pub(crate) enum SupplyChange {
    None,
    /// A segment is ready.
    Ready,
    /// New work is now shed, or no longer. Holds the free bytes, `None` when the disk said "full" without a number.
    Low(bool, Option<u64>),
    /// The ballast is there, or is gone because the disk is full; new work is shed then.
    Ballast(bool),
    /// The disk failed otherwise than by being full.
    Failed(DiskError),
}

pub(crate) struct Supply {
    identity: LogIdentity,
    segment_bytes: u32,
    disk_low_bytes: u64,
    ballast_bytes: u32,
    /// Of the file that is there.
    present_ballast_bytes: u64,
    /// It is not as it should be, and there is room.
    ballast_is_due: bool,
    /// The segment that follows the open one.
    ready: Option<Segment>,
    /// The open segment, or the one that is ready.
    newest: SegmentNumber,
    work: Work,
    is_low: bool,
    /// Creation waits for space. Ends when the disk answers that there is enough.
    is_starved: bool,
    query: Option<OperationId>,
    query_is_wanted: bool,
    query_due: Monotonic,
}

impl Supply {
    pub(crate) fn new(
        options: &Options,
        identity: LogIdentity,
        open: SegmentNumber,
        present_ballast_bytes: u64,
        now: Monotonic,
    ) -> Self {
        Self {
            identity,
            segment_bytes: options.segment_bytes,
            disk_low_bytes: options.disk_low_bytes,
            ballast_bytes: options.ballast_bytes,
            present_ballast_bytes,
            ballast_is_due: false,
            newest: open,
            ready: None,
            work: Work::None,
            is_low: false,
            is_starved: false,
            query: None,
            query_is_wanted: true,
            query_due: now,
        }
    }

    /// From the next time that the disk is asked.
    pub(crate) fn set_disk_low_bytes(&mut self, disk_low_bytes: u64) {
        self.disk_low_bytes = disk_low_bytes;
    }

    pub(crate) fn has_ballast(&self) -> bool {
        self.present_ballast_bytes > 0
    }

    /// New work has to be shed.
    pub(crate) fn is_low(&self) -> bool {
        self.is_low
    }

    /// There is no next segment, and there will be none before space is back.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_starved && self.ready.is_none()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    pub(crate) fn take_ready(&mut self) -> Option<Segment> {
        self.ready.take()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Monotonic> {
        (self.query.is_none() && !self.query_is_wanted).then_some(self.query_due)
    }

    pub(crate) fn handle_timeout(&mut self, now: Monotonic) {
        self.query_is_wanted |= self.query.is_none() && self.query_due <= now;
    }

    /// What to do about space, and about the next segment if the open one is in use. Not sooner: so there is never
    /// more than one segment without a batch, and recovery can throw it away without leaving a gap.
    pub(crate) fn poll_operation(
        &mut self,
        is_open_in_use: bool,
        ids: &mut OperationIds,
    ) -> Option<(OperationId, Operation)> {
        if self.query.is_none() && std::mem::take(&mut self.query_is_wanted) {
            let id = ids.next();
            self.query = Some(id);
            return Some((id, Operation::FreeSpace));
        }
        if is_open_in_use && matches!(self.work, Work::None) && self.ready.is_none() && !self.is_starved {
            let segment = Segment { number: self.newest.next(), bytes: self.segment_bytes };
            self.work = Work::Creating(segment, creation_of(segment, self.identity));
        }
        if matches!(self.work, Work::None) && std::mem::take(&mut self.ballast_is_due) {
            self.work = Work::Ballasting(making_of_ballast(self.present_ballast_bytes, self.ballast_bytes));
        }
        match &mut self.work {
            Work::None => None,
            Work::Creating(_, chain) | Work::Ballasting(chain) | Work::Clearing(chain) => chain.poll_operation(ids),
        }
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        let chain_awaits = match &self.work {
            Work::None => false,
            Work::Creating(_, chain) | Work::Ballasting(chain) | Work::Clearing(chain) => chain.awaits(id),
        };
        chain_awaits || self.query == Some(id)
    }

    pub(crate) fn handle(
        &mut self,
        now: Monotonic,
        id: OperationId,
        result: Result<Outcome, DiskError>,
    ) -> SupplyChange {
        if self.query == Some(id) {
            self.query = None;
            self.query_due = now.after(FREE_SPACE_PERIOD);
            return self.handle_free_space(result);
        }
        match std::mem::replace(&mut self.work, Work::None) {
            Work::None => panic!("a completion of work that was never begun"),
            Work::Creating(segment, mut chain) => match chain.handle(result) {
                Progress::Going => self.go_on(Work::Creating(segment, chain)),
                Progress::Finished => {
                    self.newest = segment.number;
                    self.ready = Some(segment);
                    SupplyChange::Ready
                }
                Progress::Failed(error) if error.is_no_space() => self.starve(segment),
                Progress::Failed(error) => SupplyChange::Failed(error),
            },
            Work::Ballasting(mut chain) => match chain.handle(result) {
                Progress::Going => self.go_on(Work::Ballasting(chain)),
                Progress::Finished => {
                    self.present_ballast_bytes = self.ballast_bytes.into();
                    SupplyChange::Ballast(self.ballast_bytes > 0)
                }
                // The log does without, and tries again when it next hears of room.
                Progress::Failed(_) => {
                    self.present_ballast_bytes = 0;
                    let clearing = [Operation::Unlink { file: FileName::PreparedBallast }];
                    self.go_on(Work::Clearing(Chain::new(clearing)))
                }
            },
            Work::Clearing(mut chain) => match chain.handle(result) {
                Progress::Going => self.go_on(Work::Clearing(chain)),
                Progress::Failed(error) if error.kind != std::io::ErrorKind::NotFound => SupplyChange::Failed(error),
                Progress::Finished | Progress::Failed(_) => {
                    self.query_is_wanted = true;
                    SupplyChange::None
                }
            },
        }
    }

    fn go_on(&mut self, work: Work) -> SupplyChange {
        self.work = work;
        SupplyChange::None
    }

    fn starve(&mut self, segment: Segment) -> SupplyChange {
        let prepared = Operation::Unlink { file: FileName::Prepared(segment.number) };
        if std::mem::take(&mut self.present_ballast_bytes) > 0 {
            let ballast = Operation::Unlink { file: FileName::Ballast };
            self.work = Work::Clearing(Chain::new([prepared, ballast, Operation::SyncFolder]));
            self.is_low = true;
            return SupplyChange::Ballast(false);
        }
        self.work = Work::Clearing(Chain::new([prepared]));
        self.is_starved = true;
        self.become_low(true, None)
    }

    fn handle_free_space(&mut self, result: Result<Outcome, DiskError>) -> SupplyChange {
        // A file system that cannot tell is tried again, and says so when it is full.
        let free_bytes = match result {
            Ok(Outcome::FreeSpace(free_bytes)) => free_bytes,
            _ => u64::MAX,
        };
        let is_clearing = matches!(self.work, Work::Clearing(_));
        if !is_clearing && free_bytes >= self.disk_low_bytes.saturating_add(u64::from(self.segment_bytes)) {
            self.is_starved = false;
        }
        let enough_bytes = self.disk_low_bytes.saturating_add((self.segment_bytes + self.ballast_bytes).into());
        let is_as_wished = self.present_ballast_bytes == u64::from(self.ballast_bytes);
        self.ballast_is_due = !is_as_wished && (self.ballast_bytes == 0 || free_bytes >= enough_bytes);
        self.become_low(self.is_starved || free_bytes < self.disk_low_bytes, Some(free_bytes))
    }

    fn become_low(&mut self, is_low: bool, free_bytes: Option<u64>) -> SupplyChange {
        if std::mem::replace(&mut self.is_low, is_low) == is_low {
            return SupplyChange::None;
        }
        SupplyChange::Low(is_low, free_bytes)
    }
}
