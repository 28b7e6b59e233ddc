//! What the names and sizes in the folder say, before anything is read.

use std::ops::RangeInclusive;

use crate::chain::Chain;
use crate::disk::{FileName, Operation};
use crate::error::{Corruption, Damage};
use crate::mark::Mark;
use crate::position::SegmentNumber;

#[derive(Default)]
pub(super) struct Survey {
    /// Every segment with the size of its file, in order and without a gap.
    pub(super) segments: Vec<(SegmentNumber, u64)>,
    /// What is to be thrown away: segments that were never finished, and later the one behind the last batch.
    waste: Vec<FileName>,
    /// Size of the ballast that is there; 0 for none.
    pub(super) ballast_bytes: u64,
    /// The file of the mark is there, whatever its content says.
    pub(super) has_mark: bool,
}

impl Survey {
    /// Segments outside of the range are the embedder's to know.
    pub(super) fn of(files: &[(FileName, u64)], range: RangeInclusive<SegmentNumber>) -> Result<Self, Corruption> {
        let mut survey = Self::default();
        for (file, bytes) in files {
            match file {
                FileName::Segment(number) if !range.contains(number) => {}
                FileName::Segment(number) => survey.segments.push((*number, *bytes)),
                FileName::Prepared(_) | FileName::PreparedBallast => survey.waste.push(*file),
                FileName::Ballast => survey.ballast_bytes = *bytes,
                FileName::NeedsCheck => survey.has_mark = true,
                // The embedder's.
                FileName::Index(_)
                | FileName::PreparedIndex(_)
                | FileName::Remnant(..)
                | FileName::PreparedRemnant(..) => {}
            }
        }
        survey.segments.sort_unstable();
        survey.waste.sort_unstable();
        let mut expected = *range.start();
        for (number, _) in &survey.segments {
            if *number != expected {
                return Err(Self::missing(expected));
            }
            expected = expected.next();
        }
        Ok(survey)
    }

    pub(super) fn missing(segment: SegmentNumber) -> Corruption {
        Corruption { file: FileName::Segment(segment), offset: 0, damage: Damage::MissingSegment }
    }

    /// The size of a segment, once it has been compared with its header.
    pub(super) fn size_of(&self, segment: SegmentNumber) -> Option<u32> {
        let (_, bytes) = self.segments.iter().find(|(number, _)| *number == segment)?;
        u32::try_from(*bytes).ok()
    }

    /// The segments from this one on are waste.
    pub(super) fn discard_from(&mut self, first: SegmentNumber) {
        let kept_count = self.segments.partition_point(|(number, _)| *number < first);
        self.waste.extend(self.segments.drain(kept_count..).map(|(number, _)| FileName::Segment(number)));
    }

    /// Lets reads see what is on the medium and nothing else. What a killed process has written gets there first; what a
    /// failed sync has left in the cache never does.
    pub(super) fn flush(&self) -> Chain {
        let files = self.segments.iter().map(|(number, _)| FileName::Segment(*number));
        Chain::new(files.flat_map(|file| [Operation::Sync { file }, Operation::DropCache { file }]))
    }

    /// Removes the mark and then the waste, each durably.
    pub(super) fn cleaning(&self) -> Chain {
        let file = FileName::NeedsCheck;
        let voiding = [Operation::Write { file, offset: 0, bytes: Mark::AllIsWell.encode() }, Operation::Sync { file }];
        let voiding = voiding.into_iter().filter(|_| self.has_mark);
        let mark = self.has_mark.then_some(file);
        let removals = mark.into_iter().chain(self.waste.iter().copied());
        Chain::new(voiding.chain(removals.flat_map(|file| [Operation::Unlink { file }, Operation::SyncFolder])))
    }
}
