//! What the names and sizes in the folder say, before anything is read.

use crate::chain::Chain;
use crate::disk::{FileName, Operation};
use crate::error::{Corruption, Damage};
use crate::position::SegmentNumber;

#[derive(Default)]
pub(super) struct Survey {
    /// Every segment with the size of its file, in order and without a gap.
    pub(super) segments: Vec<(SegmentNumber, u64)>,
    /// What is to be thrown away: segments that were never finished, and later the one behind the last batch.
    waste: Vec<FileName>,
    pub(super) is_marked: bool,
}

impl Survey {
    pub(super) fn of(files: &[(FileName, u64)]) -> Result<Self, Corruption> {
        let mut survey = Self::default();
        for (file, bytes) in files {
            match file {
                FileName::Segment(number) => survey.segments.push((*number, *bytes)),
                FileName::Prepared(_) => survey.waste.push(*file),
                FileName::NeedsCheck => survey.is_marked = true,
            }
        }
        survey.segments.sort_unstable();
        survey.waste.sort_unstable();
        let mut expected = SegmentNumber::FIRST;
        let missing =
            |number| Corruption { file: FileName::Segment(number), offset: 0, damage: Damage::MissingSegment };
        for (number, _) in &survey.segments {
            if *number != expected {
                return Err(missing(expected));
            }
            expected = expected.next();
        }
        if survey.is_marked && survey.segments.is_empty() {
            return Err(missing(SegmentNumber::FIRST));
        }
        Ok(survey)
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

    pub(super) fn cache_drops(&self) -> Chain {
        Chain::new(self.segments.iter().map(|(number, _)| Operation::DropCache { file: FileName::Segment(*number) }))
    }

    /// The mark goes last, when all is well.
    pub(super) fn removal_of_waste(&self) -> Chain {
        let mark = self.is_marked.then_some(FileName::NeedsCheck);
        let removals = self.waste.iter().copied().chain(mark).map(|file| Operation::Unlink { file });
        Chain::new(removals)
    }
}
