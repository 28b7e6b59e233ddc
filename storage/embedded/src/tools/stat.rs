//! `ringpost store stat`: what a store holds. It is opened without changing anything, so it may be running.

use std::path::Path;

use protocol::time::WallTime;
use storage_log::{Class, LogId, LogIdentity, Options, SegmentNumber, StoreIncarnation};

use super::ToolError;
use super::files::Files;
use super::passive_disk::PassiveDisk;
use crate::open_segment::{Summary, Tally};
use crate::opening::Opening;
use crate::options::EmbeddedOptions;
use crate::segments::Segment;

/// Records of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassFigures {
    /// Which.
    pub class: Class,
    /// How many.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that nobody will read again: small state that a newer snapshot holds.
    pub dead_bytes: u64,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Segments as they were written, and what is left of others.
    pub segments: u32,
    /// See above.
    pub remnants: u32,
    /// Bytes of both.
    pub segment_bytes: u64,
    /// Those that have an index.
    pub indexed_segments: u32,
    /// Bytes that the indexes would take in memory: filters and directories.
    pub index_memory_bytes: u64,
    /// By class; those that have records.
    pub classes: Vec<ClassFigures>,
    /// When the newest entry of the oldest and of the newest segment was ordered, in ms since 1970.
    pub oldest_segment_ms: Option<u64>,
    /// See above.
    pub newest_segment_ms: Option<u64>,
    /// Entries of all conversations.
    pub entries: u64,
    /// Events of all users' logs.
    pub user_events: u64,
    /// Conversations.
    pub conversations: u64,
    /// Users.
    pub users: u64,
    /// Devices, also those that are revoked.
    pub devices: u64,
    /// Records that a start reads behind the newest snapshot.
    pub records_behind_snapshot: u64,
    /// A write or a sync has failed; the next start reads only until a check has passed.
    pub needs_check: bool,
}

/// Opens the store as a start would, changes nothing and takes no lock.
///
/// # Errors
/// There is no store, or it cannot be opened.
pub fn stat(folder: &Path) -> Result<Stat, ToolError> {
    let files = Files::of(folder)?;
    let nobody = LogIdentity { log_id: LogId([0; 16]), incarnation: StoreIncarnation(0) };
    let mut opening = Opening::passive(EmbeddedOptions::new(Options::new(nobody)));
    let disk = PassiveDisk::new(folder.to_owned());
    while !opening.is_done() {
        let (id, operation) =
            opening.poll_operation().expect("an opening waits for the disk alone, which answers at once");
        opening.handle_completion(disk.perform(id, operation))?;
    }
    let (records_behind_snapshot, first) = (opening.progress().records_read, opening.scanned_from());
    let found = opening.into_found();
    let summaries: Vec<(SegmentNumber, &Summary)> = found
        .side
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Open(open) => (open.number, &open.summary),
            Segment::Sealed(sealed) => (sealed.number, &sealed.summary),
        })
        .collect();
    let times = summaries.iter().map(|(_, summary)| summary.newest).filter(|time| *time > WallTime(0));
    let state = &found.state;
    Ok(Stat {
        segments: files.segments.len() as u32,
        remnants: files.remnants.len() as u32,
        segment_bytes: files.segments.iter().map(|(_, bytes)| bytes).sum::<u64>()
            + files.remnants.values().map(|(_, bytes)| bytes).sum::<u64>(),
        indexed_segments: found.side.segments.sealed().count() as u32,
        index_memory_bytes: found.side.segments.resident_bytes() as u64,
        classes: classes(&summaries, first),
        oldest_segment_ms: times.clone().min().map(|time| time.0),
        newest_segment_ms: times.max().map(|time| time.0),
        entries: state.counters.entries,
        user_events: state.counters.user_events,
        conversations: state.conversations.len() as u64,
        users: state.users.len() as u64,
        devices: state.users.iter(0..state.users.len()).map(|(_, user)| user.devices.len() as u64).sum(),
        records_behind_snapshot,
        needs_check: files.has_mark,
    })
}

/// `first`: the small state in the segments before it is in a snapshot.
fn classes(summaries: &[(SegmentNumber, &Summary)], first: SegmentNumber) -> Vec<ClassFigures> {
    let figures = Class::ALL.into_iter().map(|class| {
        let mut figures = ClassFigures { class, records: 0, bytes: 0, dead_bytes: 0 };
        for (number, summary) in summaries {
            let index = usize::from(class.number()) - 1;
            let Tally { count, bytes } = summary.tallies.get(index).copied().unwrap_or_default();
            figures.records += u64::from(count);
            figures.bytes += u64::from(bytes);
            if class == Class::State && *number < first {
                figures.dead_bytes += u64::from(bytes);
            }
        }
        figures
    });
    figures.filter(|figures| figures.records > 0).collect()
}
