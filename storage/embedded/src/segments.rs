//! Every segment of the log in order: with what is in memory of those that are open, and of those that have a side file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::time::WallTime;
use storage_log::{Class, Place, SegmentNumber};

use crate::erasures::Sweep;
use crate::open_segment::{OpenSegment, Summary};
use crate::record::Row;
use crate::sealed_segment::SealedSegment;
use crate::table::Table;

pub(crate) enum Segment {
    /// Without a side file: the one that is written to, and those that wait for theirs.
    Open(OpenSegment),
    Sealed(SealedSegment),
}

impl Segment {
    pub(crate) fn number(&self) -> SegmentNumber {
        match self {
            Segment::Open(open) => open.number,
            Segment::Sealed(sealed) => sealed.number,
        }
    }

    fn summary(&self) -> &Summary {
        match self {
            Segment::Open(open) => &open.summary,
            Segment::Sealed(sealed) => &sealed.summary,
        }
    }
}

#[derive(Default)]
pub(crate) struct Segments {
    by_number: BTreeMap<SegmentNumber, Segment>,
    open: BTreeSet<SegmentNumber>,
    /// The one that gets records now.
    filling: Option<SegmentNumber>,
    remnant_count: u32,
}

impl Segments {
    /// A record has been found, or has become durable. Records come in the order of the log.
    pub(crate) fn insert(&mut self, place: Place, class: Class, row: &Row) {
        let newest = self.by_number.last_key_value().map(|(number, _)| *number);
        let first = newest.map_or(place.segment, |newest| newest.next().min(place.segment));
        // One that was left without a record has a side file too.
        for number in first.0..=place.segment.0 {
            let number = SegmentNumber(number);
            if !self.by_number.contains_key(&number) {
                self.put(Segment::Open(OpenSegment::new(number)));
            }
        }
        self.filling = Some(place.segment);
        if let Some(Segment::Open(open)) = self.by_number.get_mut(&place.segment) {
            open.insert(place, class, row);
        }
    }

    /// The records of this segment follow, and of no other.
    pub(crate) fn begin(&mut self, number: SegmentNumber) {
        self.put(Segment::Open(OpenSegment::new(number)));
        self.filling = Some(number);
    }

    /// All of its records have come.
    pub(crate) fn end(&mut self) {
        self.filling = None;
    }

    /// A side file has been read or written.
    pub(crate) fn put(&mut self, segment: Segment) {
        let number = segment.number();
        match &segment {
            Segment::Open(_) => {
                self.open.insert(number);
            }
            Segment::Sealed(sealed) => {
                self.open.remove(&sealed.number);
                // The first generation comes once; later ones take its place.
                let former = match self.by_number.get(&sealed.number) {
                    Some(Segment::Sealed(former)) => former.home.generation(),
                    _ => 0,
                };
                self.remnant_count += u32::from(former == 0 && sealed.home.generation() > 0);
            }
        }
        self.by_number.insert(number, segment);
    }

    pub(crate) fn find(&self, number: SegmentNumber) -> Option<&Segment> {
        self.by_number.get(&number)
    }

    /// Something that was written may be gone.
    pub(crate) fn has_remnants(&self) -> bool {
        self.remnant_count > 0
    }

    /// The next segment of a sweep. All of them have a side file: a sweep ends before a snapshot that side files name.
    pub(crate) fn next_to_sweep(&self, sweep: Sweep, given_up: &BTreeSet<SegmentNumber>) -> Option<SegmentNumber> {
        let rest = self.by_number.range(sweep.through.next()..=sweep.end.max(sweep.through.next()));
        rest.map(|(number, _)| *number).find(|number| *number <= sweep.end && !given_up.contains(number))
    }

    /// Whether the segment that gets records now has some that are older than `age_max`, and snapshots from `anchored` on
    /// do not free all that may have to go yet: content, and what is in `through` or before.
    pub(crate) fn is_overdue(
        &mut self,
        (now, age_max): (WallTime, Duration),
        anchored: SegmentNumber,
        through: SegmentNumber,
    ) -> bool {
        let filling = self.filling.and_then(|number| self.by_number.get_mut(&number));
        let Some(Segment::Open(open)) = filling else { return false };
        // Records that do not say when they were written are at least as old as the first look at them.
        let is_old = open.oldest.get_or_insert(now).plus(age_max) < now;
        let last_content = self.iter().rev().find(|segment| segment.summary().has_content()).map(Segment::number);
        is_old && last_content.unwrap_or(SegmentNumber(0)).max(through) >= anchored
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.by_number.values()
    }

    pub(crate) fn sealed(&self) -> impl DoubleEndedIterator<Item = &SealedSegment> {
        self.iter().filter_map(|segment| match segment {
            Segment::Sealed(sealed) => Some(sealed),
            Segment::Open(_) => None,
        })
    }

    /// Those that have all their records and no side file yet. Oldest first.
    pub(crate) fn unsealed(&self) -> impl Iterator<Item = &OpenSegment> {
        let waiting = self.open.iter().filter(|number| Some(**number) != self.filling);
        waiting.filter_map(|number| match self.by_number.get(number) {
            Some(Segment::Open(open)) => Some(open),
            _ => None,
        })
    }

    /// Bytes of the segments that wait for their side file.
    pub(crate) fn unsealed_bytes(&self) -> u64 {
        self.unsealed().map(OpenSegment::bytes).sum()
    }

    /// Bytes in memory for segments that have a side file.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.sealed().map(SealedSegment::resident_bytes).sum()
    }

    /// Identities that are in memory or may be found on the disk.
    pub(crate) fn identity_count(&self) -> u64 {
        let counts = self.iter().map(|segment| match segment {
            Segment::Open(open) => open.table(Table::Identities).len() as u64,
            Segment::Sealed(sealed) => sealed.table(Table::Identities).row_count.into(),
        });
        counts.sum()
    }

    /// Nobody will ask for ids that were minted before this.
    pub(crate) fn forget_identities_before(&mut self, oldest: WallTime) {
        for segment in self.by_number.values_mut() {
            if let Segment::Sealed(sealed) = segment
                && sealed.summary.minted.1 < oldest
            {
                sealed.forget_identities();
            }
        }
    }
}
