//! The segments with their side files: which are there, which is being written, and which segment becomes a remnant.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::time::WallTime;
use storage_log::{Completion, FileName, LogId, Monotonic, Operation, OperationId, Options, Place, SegmentNumber};

use crate::condense::{CondenseChange, CondenseError, Condenser, Copied, Expired, Goes};
use crate::erasures::{Erasures, Sweep};
use crate::open_segment::OpenSegment;
use crate::record::Row;
use crate::retention::{self, Rules};
use crate::seal::{SealChange, Sealer};
use crate::segments::{Segment, Segments};
use crate::side_ids::SideIds;

/// How often segments are looked at for records that have had their time.
const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// A snapshot: the record that ends it, and the segment in which it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotPlace {
    pub(crate) end: Place,
    pub(crate) begun_in: SegmentNumber,
}

/// What an operator should hear.
pub(crate) enum Trouble {
    /// The disk has refused something. Nothing is lost by it.
    Disk(String),
    /// A record that was durable cannot be read.
    Damage(String),
}

pub(crate) struct SideFiles {
    pub(crate) segments: Segments,
    pub(crate) ids: SideIds,
    /// The newest: side files name it, so that a start finds it.
    pub(crate) snapshot: Option<SnapshotPlace>,
    /// Two files name it or a newer one: segments before it may lose their small state, whichever of the files is lost.
    anchor: Option<SnapshotPlace>,
    named_once: Option<SnapshotPlace>,
    is_overdue: bool,
    writer: Option<Writer>,
}

/// What writes; there is none while nothing may be written.
struct Writer {
    log: Options,
    log_id: LogId,
    sealer: Sealer,
    condenser: Option<Condenser>,
    /// A remnant whose index is to be written, and one whose index is being written.
    copied: Option<Box<Copied>>,
    left: Option<OpenSegment>,
    /// What is to be said of the segment that is in work when it is condensed.
    outcome: Vec<Row>,
    /// For erased users, as far as it has begun.
    sweep: Option<Sweep>,
    /// The snapshot that the index in work names.
    names: Option<SnapshotPlace>,
    /// Segments that cannot be read.
    given_up: BTreeSet<SegmentNumber>,
    look_due: Option<Monotonic>,
    /// Files that a remnant has replaced, and the one that is being removed.
    waste: Vec<FileName>,
    /// What is true when they are gone.
    gone: Vec<Row>,
    unlinking: Option<OperationId>,
}

impl SideFiles {
    /// Nothing is written before [`Self::begin`].
    pub(crate) fn new() -> SideFiles {
        SideFiles {
            segments: Segments::default(),
            ids: SideIds::default(),
            snapshot: None,
            anchor: None,
            named_once: None,
            is_overdue: false,
            writer: None,
        }
    }

    /// From now on full segments get their side file.
    pub(crate) fn begin(&mut self, log: Options, log_id: LogId) {
        self.writer.get_or_insert_with(|| Writer {
            log,
            log_id,
            sealer: Sealer::new(log_id),
            condenser: None,
            copied: None,
            left: None,
            outcome: Vec::new(),
            sweep: None,
            names: None,
            given_up: BTreeSet::new(),
            look_due: None,
            waste: Vec::new(),
            gone: Vec::new(),
            unlinking: None,
        });
    }

    /// A file that is there names this snapshot.
    pub(crate) fn named(&mut self, snapshot: SnapshotPlace) {
        if self.named_once.is_some_and(|known| known.end <= snapshot.end) {
            self.anchor = self.named_once;
        }
        self.named_once = Some(snapshot);
    }

    /// A side file is being written.
    pub(crate) fn is_sealing(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.sealer.segment().is_some())
    }

    /// The next step of a side file. `is_read`: whether a read of that file is under way.
    pub(crate) fn poll_operation(&mut self, is_read: impl Fn(FileName) -> bool) -> Option<(OperationId, Operation)> {
        let writer = self.writer.as_mut()?;
        if writer.unlinking.is_none()
            && let Some(index) = writer.waste.iter().position(|file| !is_read(*file))
        {
            let (file, id) = (writer.waste.swap_remove(index), self.ids.next());
            writer.unlinking = Some(id);
            return Some((id, Operation::Unlink { file }));
        }
        if writer.sealer.is_free()
            && let Some(copied) = writer.copied.take()
        {
            writer.names = self.snapshot;
            let snapshot = self.snapshot.map(|snapshot| snapshot.end);
            writer.sealer.begin_at(&copied.left, copied.home, copied.prepared, snapshot);
            writer.left = Some(copied.left);
        } else if writer.sealer.is_free()
            && let Some(segment) = self.segments.unsealed().next()
        {
            writer.names = self.snapshot;
            writer.sealer.begin(segment, self.snapshot.map(|snapshot| snapshot.end));
        }
        if let Some(number) = writer.sealer.segment() {
            let segment = match (&writer.left, self.segments.find(number)) {
                (Some(left), _) if left.number == number => left,
                (_, Some(Segment::Open(segment))) => segment,
                _ => unreachable!("a segment stays in memory until its side file is there"),
            };
            if let Some(operation) = writer.sealer.poll_operation(&mut self.ids, segment) {
                return Some(operation);
            }
        }
        writer.condenser.as_mut()?.poll_operation(&mut self.ids)
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.writer.as_ref().is_some_and(|writer| {
            let condenses = writer.condenser.as_ref().is_some_and(|condenser| condenser.awaits(id));
            writer.sealer.awaits(id) || condenses || writer.unlinking == Some(id)
        })
    }

    /// Answers what is to be recorded of what is no longer on the disk.
    pub(crate) fn handle(&mut self, now: Monotonic, completion: Completion) -> Result<Vec<Row>, Trouble> {
        let writer = self.writer.as_mut().expect("the caller asked whether it is awaited");
        if writer.unlinking == Some(completion.id) {
            writer.unlinking = None;
            // What stays is removed by the next start.
            let removed = completion.result.map_err(|error| Trouble::Disk(format!("cannot remove a file: {error}")));
            return removed
                .map(|_| if writer.waste.is_empty() { std::mem::take(&mut writer.gone) } else { Vec::new() });
        }
        if writer.sealer.awaits(completion.id) {
            return self.sealed(now, completion).map(|()| Vec::new());
        }
        self.condensed(completion).map(|()| Vec::new())
    }

    fn sealed(&mut self, now: Monotonic, completion: Completion) -> Result<(), Trouble> {
        let writer = self.writer.as_mut().expect("the caller asked whether it is awaited");
        let change = writer.sealer.handle(now, completion);
        if writer.sealer.segment().is_none() {
            writer.left = None;
        }
        match change {
            SealChange::None => Ok(()),
            SealChange::Failed(error) => {
                Err(Trouble::Disk(format!("cannot write an index: {error}; it is tried again")))
            }
            SealChange::Sealed(sealed) => {
                if let Some(Segment::Sealed(former)) = self.segments.find(sealed.number) {
                    writer.gone.append(&mut writer.outcome);
                    writer.waste.push(former.home.records);
                    if former.home.index != former.home.records {
                        writer.waste.push(former.home.index);
                    }
                    // The next one may be due too.
                    writer.look_due = None;
                }
                let names = writer.names.take();
                self.segments.put(Segment::Sealed(*sealed));
                names.into_iter().for_each(|snapshot| self.named(snapshot));
                Ok(())
            }
        }
    }

    fn condensed(&mut self, completion: Completion) -> Result<(), Trouble> {
        let writer = self.writer.as_mut().expect("the caller asked whether it is awaited");
        let condenser = writer.condenser.as_mut().expect("the caller asked whether it is awaited");
        let number = condenser.segment();
        match condenser.handle(completion) {
            Ok(CondenseChange::None) => Ok(()),
            Ok(CondenseChange::Cleared) => {
                writer.condenser = None;
                Ok(())
            }
            Ok(CondenseChange::Copied(copied)) => {
                (writer.condenser, writer.copied) = (None, Some(copied));
                Ok(())
            }
            Err(CondenseError::Disk(error)) => {
                Err(Trouble::Disk(format!("cannot condense segment {}: {error}; it is tried again", number.0)))
            }
            Err(CondenseError::Source(error)) => {
                writer.given_up.insert(number);
                Err(Trouble::Damage(format!("segment {} is not condensed: {error}", number.0)))
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Monotonic> {
        let writer = self.writer.as_ref()?;
        [writer.sealer.poll_timeout(), writer.look_due].into_iter().flatten().min()
    }

    /// What goes can only go from a segment before an anchored snapshot, and there will be none soon: a new segment is to
    /// begin, with a snapshot.
    pub(crate) fn is_overdue(&self) -> bool {
        self.is_overdue
    }

    /// It has begun.
    pub(crate) fn segment_begun(&mut self) {
        self.is_overdue = false;
    }

    /// Answers what is to be recorded. `age_max`: of what is in the segment that gets records now.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Monotonic,
        wall: WallTime,
        age_max: Duration,
        erasures: &Erasures,
    ) -> Option<Row> {
        let writer = self.writer.as_mut()?;
        writer.sealer.handle_timeout(now);
        let is_busy = writer.condenser.is_some() || writer.copied.is_some() || !writer.sealer.is_free();
        if is_busy || writer.look_due.is_some_and(|due| due > now) {
            return None;
        }
        writer.look_due = Some(now.after(LOOK_PERIOD));
        let anchored = self.anchor.map_or(SegmentNumber::FIRST, |anchor| anchor.begun_in);
        self.is_overdue = self.segments.is_overdue((wall, age_max), anchored, erasures.through());
        let anchor = self.anchor?;
        let rules = Rules {
            end: anchor.begun_in,
            now: wall,
            is_given_up: &|number| writer.given_up.contains(&number),
            has_erased: &|number| erasures.entries.values().any(|erased| erased.segment == number),
        };
        let due = retention::next_due(&self.segments, &rules);
        let (number, expired) = match due {
            Some(due) => due,
            None => {
                let sweep = writer.sweep.or(erasures.sweep).or_else(|| erasures.due_sweep(wall, anchor.begun_in))?;
                match self.segments.next_to_sweep(sweep, &writer.given_up) {
                    None => {
                        writer.sweep = None;
                        return Some(Row::Swept(Sweep { through: sweep.end, ..sweep }));
                    }
                    Some(number) => {
                        let sweep = Sweep { through: number, ..sweep };
                        writer.sweep = Some(sweep);
                        writer.outcome.push(Row::Swept(sweep));
                        (number, Expired::default())
                    }
                }
            }
        };
        if let Some(Segment::Sealed(sealed)) = self.segments.find(number) {
            // What a retry may still look for goes the next time.
            let may_go = retention::may_lose_identities(sealed, wall);
            let of_segment = erasures.entries.iter().filter(|(_, erased)| may_go && erased.segment == number);
            let erased: BTreeSet<_> = of_segment.map(|(key, _)| *key).collect();
            writer.outcome.extend(erased.iter().map(|key| Row::Gone(*key)));
            let goes = Goes { expired, erased, users: erasures.users_to_lose() };
            writer.condenser = Some(Condenser::new(sealed, goes, writer.log, writer.log_id));
        }
        None
    }
}
