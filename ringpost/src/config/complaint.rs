//! What is wrong with a configuration: where it stands, what was found, what would be accepted.

use std::fmt;

use crate::mistake::{Exit, Mistake};

/// One line without a final stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    place: String,
    text: String,
}

impl Complaint {
    /// `place` is what an operator opens to mend it: `FILE:LINE`, a variable, a flag.
    pub(super) fn new(place: impl Into<String>, text: impl Into<String>) -> Complaint {
        Complaint { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Tells all but the last, which is left to whoever ends the process.
pub(crate) fn refuse(complaints: &[Complaint]) -> Mistake {
    let mistake = |complaint: &Complaint| Mistake::new(Exit::Config, complaint.to_string());
    let (last, others) = complaints.split_last().expect("who refuses has complained");
    others.iter().for_each(|complaint| mistake(complaint).tell());
    mistake(last)
}
