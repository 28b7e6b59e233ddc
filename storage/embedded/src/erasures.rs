//! What is to be taken away: entries by name, and users with all that they have said. Nobody is shown it from the moment
//! it is in here; its bytes go when their segments are condensed.
//!
//! An entry has its segment. What users leave behind may be in any segment up to the one in which the erasure was
//! recorded, so all of those are condensed in one sweep, in order, for all users whose day has come. How far a sweep is
//! is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ids::UserId;
use protocol::time::WallTime;
use storage_api::EntryKey;
use storage_log::SegmentNumber;

/// Users who are erased gather for so long: a sweep writes every segment anew.
const GATHERING: Duration = Duration::from_secs(24 * 60 * 60);

/// See the file's head.
#[derive(Default)]
pub(crate) struct Erasures {
    pub(crate) entries: BTreeMap<EntryKey, Erased>,
    pub(crate) users: BTreeMap<UserId, ErasedUser>,
    pub(crate) sweep: Option<Sweep>,
}

/// An entry whose content is to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Erased {
    /// Where it is, in whatever form.
    pub(crate) segment: SegmentNumber,
    /// When that was asked for.
    pub(crate) at: WallTime,
}

/// A user of whom the disk still has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErasedUser {
    /// When that was asked for.
    pub(crate) at: WallTime,
    /// Nothing of the user is behind this segment.
    pub(crate) segment: SegmentNumber,
    /// It has left all conversations.
    pub(crate) is_forgotten: bool,
}

/// A sweep for everybody who was recorded in `end` or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// The last segment.
    pub(crate) end: SegmentNumber,
    /// The last one that is done; 0 for none.
    pub(crate) through: SegmentNumber,
}

impl Erasures {
    /// Who has not left all conversations yet.
    pub(crate) fn leaving(&self) -> Vec<UserId> {
        self.users.iter().filter(|(_, erased)| !erased.is_forgotten).map(|(user, _)| *user).collect()
    }

    /// The last segment of those that have something of an erased user; 0 for none.
    pub(crate) fn through(&self) -> SegmentNumber {
        self.users.values().map(|erased| erased.segment).max().unwrap_or(SegmentNumber(0))
    }

    /// What a segment that is condensed loses.
    pub(crate) fn users_to_lose(&self) -> BTreeSet<UserId> {
        self.users.keys().copied().collect()
    }

    /// A sweep that is to begin. Segments from `anchored` on stay as they are.
    pub(crate) fn due_sweep(&self, now: WallTime, anchored: SegmentNumber) -> Option<Sweep> {
        let is_ready = |erased: &&ErasedUser| erased.is_forgotten && erased.segment < anchored;
        let is_due = self.users.values().filter(is_ready).any(|erased| erased.at.plus(GATHERING) < now);
        let end = self.users.values().filter(is_ready).map(|erased| erased.segment).max()?;
        is_due.then_some(Sweep { end, through: SegmentNumber(0) })
    }

    /// A sweep has come so far.
    pub(crate) fn swept(&mut self, sweep: Sweep) {
        if sweep.through < sweep.end {
            self.sweep = Some(sweep);
            return;
        }
        self.sweep = None;
        self.users.retain(|_, erased| !erased.is_forgotten || erased.segment > sweep.end);
    }
}
