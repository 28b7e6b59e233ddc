//! How long records are kept, and which segment is to lose some next.
//!
//! A record's time is counted from the newest entry of its segment, so what shares a segment goes together. Small state
//! is dead as soon as a snapshot holds it; it goes with the rest, or when it is half of its segment.

use std::time::Duration;

use protocol::time::WallTime;
use storage_api::DEDUP_DAYS;
use storage_log::{Class, SegmentNumber};

use crate::condense::Expired;
use crate::open_segment::Summary;
use crate::sealed_segment::SealedSegment;
use crate::segments::Segments;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `None`: until it is erased, or a snapshot holds it.
fn kept_for(class: Class) -> Option<Duration> {
    match class {
        Class::Permanent | Class::State => None,
        // Nobody sees them after their time; but a retry must find its message as long as retries may come.
        Class::Ttl1d | Class::Ttl7d => Some((DEDUP_DAYS + 1) * DAY),
        Class::Ttl90d => Some(90 * DAY),
        Class::UserLog30d => Some(30 * DAY),
    }
}

/// What decides.
pub(crate) struct Rules<'a> {
    /// Segments from here on stay as they are.
    pub(crate) end: SegmentNumber,
    pub(crate) now: WallTime,
    pub(crate) is_given_up: &'a dyn Fn(SegmentNumber) -> bool,
    pub(crate) has_erased: &'a dyn Fn(SegmentNumber) -> bool,
}

/// The oldest segment that is to be condensed, and which classes it loses.
pub(crate) fn next_due(segments: &Segments, rules: &Rules<'_>) -> Option<(SegmentNumber, Expired)> {
    // Everything in a segment is older than the entries of the segments behind it.
    let mut newest_behind = None;
    let mut due = None;
    for sealed in segments.sealed().rev() {
        let newest = Some(sealed.summary.newest).filter(|newest| *newest > WallTime(0)).or(newest_behind);
        newest_behind = newest.or(newest_behind);
        let is_free = sealed.number < rules.end && !(rules.is_given_up)(sealed.number);
        // One with neither entries nor any behind it has small state only.
        let has_expired = |time| newest.is_some_and(|newest| newest.plus(time) < rules.now);
        let expired = Expired::of(|class| kept_for(class).is_some_and(has_expired));
        let loses_erased = may_lose_identities(sealed, rules.now) && (rules.has_erased)(sealed.number);
        if is_free && (loses_erased || is_due(&sealed.summary, expired)) {
            due = Some((sealed.number, expired));
        }
    }
    due
}

/// No retry asks for what is in the segment any more.
pub(crate) fn may_lose_identities(sealed: &SealedSegment, now: WallTime) -> bool {
    sealed.summary.newest.plus((DEDUP_DAYS + 1) * DAY) < now
}

fn is_due(summary: &Summary, expired: Expired) -> bool {
    let of_class = |class: Class| summary.tallies.get(usize::from(class.number()) - 1).copied().unwrap_or_default();
    let bytes = |class: Class| u64::from(of_class(class).bytes);
    let all: u64 = Class::ALL.into_iter().map(bytes).sum();
    Class::ALL.into_iter().any(|class| expired.has(class) && of_class(class).count > 0) || 2 * bytes(Class::State) > all
}
