//! What the names in the folder say, before anything is read.

use std::collections::BTreeMap;

use storage_log::{Corruption, Damage, FileName, SegmentNumber};

use crate::error::OpenError;
use crate::sealed_segment::Home;

pub(super) struct Listing {
    /// In order and without a gap.
    pub(super) segments: Vec<SegmentNumber>,
    /// Where the indexes are, in the order of their segments. Where a remnant's begins its header says.
    pub(super) homes: Vec<(SegmentNumber, Home)>,
    pub(super) waste: Vec<FileName>,
    pub(super) is_marked: bool,
}

impl Listing {
    pub(super) fn of(files: &[(FileName, u64)]) -> Result<Listing, OpenError> {
        let mut listing = Listing { segments: Vec::new(), homes: Vec::new(), waste: Vec::new(), is_marked: false };
        let mut originals = Vec::new();
        let mut indexes = Vec::new();
        let mut remnants = BTreeMap::new();
        for (file, _) in files {
            match *file {
                FileName::Segment(number) => originals.push(number),
                FileName::Index(number) => indexes.push(number),
                FileName::Remnant(number, generation) => {
                    let newest = remnants.entry(number).or_insert(generation);
                    *newest = generation.max(*newest);
                }
                FileName::PreparedIndex(_) | FileName::PreparedRemnant(..) => listing.waste.push(*file),
                FileName::NeedsCheck => listing.is_marked = true,
                FileName::Prepared(_) | FileName::Ballast | FileName::PreparedBallast => {}
            }
        }
        // A remnant has its name when it is whole: whatever was there before has had its time.
        listing.waste.extend(files.iter().map(|(file, _)| *file).filter(|file| match file {
            FileName::Segment(number) | FileName::Index(number) if remnants.contains_key(number) => true,
            FileName::Index(number) => !originals.contains(number),
            FileName::Remnant(number, generation) => remnants.get(number) != Some(generation),
            _ => false,
        }));
        originals.retain(|number| !remnants.contains_key(number));
        indexes.retain(|number| originals.contains(number));
        listing.homes.extend(indexes.into_iter().map(|number| (number, Home::of_segment(number))));
        let of_remnants =
            remnants.iter().map(|(number, generation)| (*number, Home::of_remnant(*number, *generation, 0)));
        listing.homes.extend(of_remnants);
        listing.homes.sort_unstable_by_key(|(number, _)| *number);
        listing.segments = originals.into_iter().chain(remnants.into_keys()).collect();
        listing.segments.sort_unstable();
        listing.find_gap().map_or(Ok(listing), |missing| {
            let file = FileName::Segment(missing);
            Err(storage_log::OpenError::Corrupt(Corruption { file, offset: 0, damage: Damage::MissingSegment }).into())
        })
    }

    fn find_gap(&self) -> Option<SegmentNumber> {
        let mut expected = SegmentNumber::FIRST;
        for number in &self.segments {
            if *number != expected {
                return Some(expected);
            }
            expected = expected.next();
        }
        None
    }
}
