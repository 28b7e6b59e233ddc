//! `store`: check, stat, backup and restore of the store in a data folder.

use std::path::{Path, PathBuf};

use protocol_shell::random;
use serde::Serialize;
use storage_embedded::{Backup, CheckReport, Stat, ToolError, backup, check, restore, stat};
use storage_log::{FolderError, StoreIncarnation};

use crate::command_line::{OneStoreArguments, StoreArguments, StoreVerb};
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};
use crate::output::{print_json, print_line};

pub(crate) fn run(arguments: &StoreArguments) -> Result<(), Mistake> {
    match &arguments.verb {
        StoreVerb::Check(store) => print_check(&check(&folder_of(store)).map_err(mistake)?, store.json),
        StoreVerb::Stat(store) => print_stat(&stat(&folder_of(store)).map_err(mistake)?, store.json),
        StoreVerb::Backup { store, target } => {
            let taken = backup(&folder_of(store), target).map_err(mistake)?;
            print_backup(&taken, target, store.json)
        }
        StoreVerb::Restore { store, backup } => {
            DataDir::new(store.folder.data_dir.clone()).make()?;
            let (folder, incarnation) = (folder_of(store), StoreIncarnation(random::number()));
            restore(backup, &folder, incarnation).map_err(mistake)?;
            print_restored(&folder, incarnation, store.json)
        }
    }
}

fn folder_of(store: &OneStoreArguments) -> PathBuf {
    DataDir::new(store.folder.data_dir.clone()).log()
}

fn mistake(error: ToolError) -> Mistake {
    let exit = match &error {
        ToolError::Folder(FolderError::InUse { .. }) | ToolError::NotEmpty(_) => Exit::CannotCreate,
        ToolError::Folder(FolderError::Io { .. }) | ToolError::Io { .. } => Exit::Io,
        ToolError::NoStore(_) => Exit::Unavailable,
        ToolError::Store(storage_embedded::OpenError::Log(storage_log::OpenError::NoLog)) => Exit::Unavailable,
        ToolError::Store(storage_embedded::OpenError::Log(storage_log::OpenError::Disk { .. })) => Exit::Io,
        ToolError::Store(_) | ToolError::NeedsCheck(_) => Exit::Data,
    };
    Mistake::new(exit, error.to_string())
}

#[derive(Serialize)]
struct CheckObject {
    segments: u32,
    remnants: u32,
    batches: u64,
    records: u64,
    snapshots: u32,
    indexes_whole: u32,
    indexes_removed: Vec<u32>,
    was_read_only: bool,
    torn_at: Option<String>,
}

fn print_check(report: &CheckReport, json: bool) -> Result<(), Mistake> {
    let object = CheckObject {
        segments: report.log.segment_count,
        remnants: report.remnants,
        batches: report.log.batch_count,
        records: report.log.record_count,
        snapshots: report.snapshots,
        indexes_whole: report.indexes_whole,
        indexes_removed: report.indexes_removed.iter().map(|number| number.0).collect(),
        was_read_only: report.log.was_marked,
        torn_at: report.log.torn_at.map(|position| position.to_string()),
    };
    if json {
        return print_json(&object);
    }
    let CheckObject { segments, remnants, batches, records, snapshots, indexes_whole, .. } = &object;
    print_text(format!(
        "all is well: {segments} segments and remnants of {remnants}, {batches} batches, {records} records, {snapshots} \
         snapshots, {indexes_whole} indexes"
    ))?;
    for number in &object.indexes_removed {
        print_text(format!("index {number:08}.idx was damaged and is removed: the next start makes it again"))?;
    }
    if let Some(position) = &object.torn_at {
        print_text(format!("the end was torn at {position} and is cut: nothing there was ever acked"))?;
    }
    if object.was_read_only {
        print_text("it was read-only after a failed write, and is no longer".to_owned())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ClassObject {
    class: String,
    records: u64,
    bytes: u64,
    dead_bytes: u64,
}

#[derive(Serialize)]
struct StatObject {
    segments: u32,
    remnants: u32,
    segment_bytes: u64,
    indexed_segments: u32,
    index_memory_bytes: u64,
    classes: Vec<ClassObject>,
    oldest_segment_ms: Option<u64>,
    newest_segment_ms: Option<u64>,
    entries: u64,
    user_events: u64,
    conversations: u64,
    users: u64,
    devices: u64,
    records_behind_snapshot: u64,
    needs_check: bool,
}

fn print_stat(stat: &Stat, json: bool) -> Result<(), Mistake> {
    let classes = stat.classes.iter().map(|figures| ClassObject {
        class: format!("{:?}", figures.class).to_lowercase(),
        records: figures.records,
        bytes: figures.bytes,
        dead_bytes: figures.dead_bytes,
    });
    let object = StatObject {
        segments: stat.segments,
        remnants: stat.remnants,
        segment_bytes: stat.segment_bytes,
        indexed_segments: stat.indexed_segments,
        index_memory_bytes: stat.index_memory_bytes,
        classes: classes.collect(),
        oldest_segment_ms: stat.oldest_segment_ms,
        newest_segment_ms: stat.newest_segment_ms,
        entries: stat.entries,
        user_events: stat.user_events,
        conversations: stat.conversations,
        users: stat.users,
        devices: stat.devices,
        records_behind_snapshot: stat.records_behind_snapshot,
        needs_check: stat.needs_check,
    };
    if json {
        return print_json(&object);
    }
    print_text(format!(
        "{} segments and remnants of {}, together {}; {} have an index, which take {} of memory",
        object.segments,
        object.remnants,
        bytes(object.segment_bytes),
        object.indexed_segments,
        bytes(object.index_memory_bytes)
    ))?;
    for ClassObject { class, records, bytes: live, dead_bytes } in &object.classes {
        print_text(format!("  {class}: {records} records, {}, {} of it dead", bytes(*live), bytes(*dead_bytes)))?;
    }
    print_text(format!(
        "{} conversations with {} entries; {} users with {} devices and {} events; a start reads {} records",
        object.conversations,
        object.entries,
        object.users,
        object.devices,
        object.user_events,
        object.records_behind_snapshot
    ))?;
    if let (Some(oldest), Some(newest)) = (object.oldest_segment_ms, object.newest_segment_ms) {
        print_text(format!("segments span {} hours", newest.saturating_sub(oldest) / 3_600_000))?;
    }
    if object.needs_check {
        print_text("a write or sync has failed: run `ringpost store check`".to_owned())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct BackupObject<'a> {
    folder: &'a Path,
    segments: u32,
    remnants: u32,
    indexes: u32,
    linked_files: u32,
    segment_bytes: u64,
}

fn print_backup(taken: &Backup, target: &Path, json: bool) -> Result<(), Mistake> {
    let Backup { segments, remnants, indexes, linked, segment_bytes } = *taken;
    if json {
        return print_json(&BackupObject {
            folder: target,
            segments,
            remnants,
            indexes,
            linked_files: linked,
            segment_bytes,
        });
    }
    print_text(format!(
        "{} holds {segments} segments and remnants of {remnants}, together {}, and {indexes} indexes; {linked} files share \
         their space with the store",
        target.display(),
        bytes(segment_bytes)
    ))
}

#[derive(Serialize)]
struct RestoredObject<'a> {
    folder: &'a Path,
    /// A string, as every u64 that is no count.
    incarnation: String,
}

fn print_restored(folder: &Path, incarnation: StoreIncarnation, json: bool) -> Result<(), Mistake> {
    if json {
        return print_json(&RestoredObject { folder, incarnation: incarnation.0.to_string() });
    }
    print_text(format!("{} is restored, as incarnation {}", folder.display(), incarnation.0))
}

fn print_text(line: String) -> Result<(), Mistake> {
    print_line(line.as_bytes())
}

/// For people.
fn bytes(count: u64) -> String {
    match count {
        0..10_240 => format!("{count} B"),
        10_240..10_485_760 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}
