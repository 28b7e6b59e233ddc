//! `ringpost store restore`: a backup becomes a store again, under another incarnation.
//!
//! What was said after the backup is gone, and places in logs will be given anew: so whoever still has a cursor of the
//! old store must not be believed. The restored store begins a new segment that names the new incarnation; it gets its
//! name in the data folder when that is durable.

use std::fs;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use protocol::time::{Now, WallTime};
use storage_log::limits::{SECTOR_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use storage_log::{Disk, FileName, LogId, LogIdentity, Monotonic, Options, RealDisk, StoreIncarnation};

use super::ToolError;
use super::files::{Files, copy, link_or_copy, make_empty, sync};
use crate::opening::Opening;
use crate::options::EmbeddedOptions;

/// How long one wait for the disk lasts at most, so that timers are looked at.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Puts the backup in `backup` into `folder`, which must be empty or not there, as a store with this incarnation.
///
/// # Errors
/// The folder is as it was.
pub fn restore(backup: &Path, folder: &Path, incarnation: StoreIncarnation) -> Result<(), ToolError> {
    let files = Files::of(backup)?;
    make_empty(folder)?;
    let prepared = folder.with_extension("restoring");
    match fs::remove_dir_all(&prepared) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(ToolError::at(&prepared)(error)),
        _ => make_empty(&prepared)?,
    }
    for (number, _) in &files.segments {
        put(backup, &prepared, FileName::Segment(*number), files.is_full(*number))?;
    }
    for number in &files.indexes {
        put(backup, &prepared, FileName::Index(*number), true)?;
    }
    for (number, (generation, _)) in &files.remnants {
        put(backup, &prepared, FileName::Remnant(*number, *generation), true)?;
    }
    // As large as they were: it is the server that says how large they are to be.
    let segment_bytes = files.segments.last().and_then(|(_, bytes)| u32::try_from(*bytes).ok());
    renew(&prepared, incarnation, segment_bytes)?;
    fs::remove_dir(folder).and_then(|()| fs::rename(&prepared, folder)).map_err(ToolError::at(folder))?;
    sync(folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn put(backup: &Path, folder: &Path, file: FileName, is_final: bool) -> Result<(), ToolError> {
    let (from, to) = (backup.join(file.to_string()), folder.join(file.to_string()));
    if is_final { link_or_copy(&from, &to).map(drop) } else { copy(&from, &to) }
}

/// Opens the store once, so that it begins the segment that names the new incarnation.
fn renew(folder: &Path, incarnation: StoreIncarnation, segment_bytes: Option<u32>) -> Result<(), ToolError> {
    let (wake, woken) = sync_channel(1);
    let notify = move || {
        // A full channel has a wake-up in it already.
        let _is_awake = wake.try_send(());
    };
    let mut disk = RealDisk::open(folder, notify).map_err(ToolError::Folder)?;
    // There is a log, so nobody will read who a new one would have been.
    let nobody = LogIdentity { log_id: LogId([0; 16]), incarnation };
    let usual = Options::new(nobody);
    let is_valid =
        |bytes: &u32| (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(bytes) && bytes.is_multiple_of(SECTOR_BYTES);
    let segment_bytes = segment_bytes.filter(is_valid).unwrap_or(usual.segment_bytes);
    let log = Options { segment_bytes, disk_low_bytes: 0, ballast_bytes: 0, ..usual };
    let options = EmbeddedOptions { renewed: Some(incarnation), ..EmbeddedOptions::new(log) };
    let started = Instant::now();
    let mut opening = Opening::new(options);
    while !opening.is_done() {
        while let Some((id, operation)) = opening.poll_operation() {
            disk.submit(id, operation);
        }
        match disk.poll_completion() {
            Some(completion) => opening.handle_completion(completion)?,
            None => woken.recv().expect("the disk holds the other end as long as it lives"),
        }
    }
    let mut store = opening.finish(Monotonic(started.elapsed()));
    if store.is_read_only() {
        return Err(ToolError::NeedsCheck(folder.to_owned()));
    }
    store.seal();
    while !store.is_settled() {
        while let Some((id, operation)) = store.poll_operation() {
            disk.submit(id, operation);
        }
        let _is_woken = woken.recv_timeout(WAIT_MAX);
        let elapsed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let now = Now { monotonic: protocol::time::Instant(elapsed), wall: WallTime(0) };
        while let Some(completion) = disk.poll_completion() {
            store.handle_completion(now, completion);
        }
        store.handle_timeout(now);
        while let Some(event) = store.poll_event() {
            if let crate::store::StoreEvent::Failed { error, .. } = event {
                let error = std::io::Error::from(error.kind);
                return Err(ToolError::Io { path: folder.to_owned(), error });
            }
        }
    }
    Ok(())
}
