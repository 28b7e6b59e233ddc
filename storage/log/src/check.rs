//! `ringpost store check`: verifies a whole log from the medium and ends its read-only state.

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use crate::disk::Disk;
use crate::error::OpenError;
use crate::identity::{LogId, LogIdentity, StoreIncarnation};
use crate::options::Options;
use crate::position::SegmentNumber;
use crate::real_disk::{FolderError, RealDisk};
use crate::recovery::{Purpose, RecoveredRecord, Recovery, RecoverySummary};

/// Why a check did not pass.
#[derive(Debug)]
pub enum CheckError {
    /// The folder is in use or cannot be used.
    Folder(FolderError),
    /// The log did not pass; its mark, if any, stays.
    Log(OpenError),
}

impl fmt::Display for CheckError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(formatter),
            Self::Log(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for CheckError {}

/// Reads every record of the log in `folder` past the page cache, verifies all checksums and the chain of batches,
/// writes the unproved last batch anew, and only then removes the `needs_check` mark. Waits until it is done.
///
/// # Errors
/// The log did not pass, or there is none. Nothing was repaired.
pub fn check(folder: &Path) -> Result<RecoverySummary, CheckError> {
    check_each(folder, &[], SegmentNumber::FIRST, |_| Ok(()))
}

/// As [`check`] of a log whose embedder has replaced segments before `first`; of those before it that are still there,
/// `before`, each is read too. Shows every record to the embedder, who may have more to say about it: with an error of
/// theirs the mark stays too.
///
/// # Errors
/// As [`check`], and theirs.
pub fn check_each<E: From<CheckError>>(
    folder: &Path,
    before: &[SegmentNumber],
    first: SegmentNumber,
    mut each: impl FnMut(RecoveredRecord<'_>) -> Result<(), E>,
) -> Result<RecoverySummary, E> {
    if !folder.is_dir() {
        return Err(CheckError::Log(OpenError::NoLog).into());
    }
    let (wake, woken) = sync_channel(1);
    let mut disk = RealDisk::open(folder, move || {
        // A full channel has a wake-up in it already.
        let _is_awake = wake.try_send(());
    })
    .map_err(CheckError::Folder)?;
    // A check never makes a log, so nobody will read who it would have been.
    let nobody = LogIdentity { log_id: LogId([0; 16]), incarnation: StoreIncarnation(0) };
    let options = Options::new(nobody);
    let walks = before.iter().map(|number| Recovery::new(options, Purpose::Walk).starting_at(*number));
    let mut summary = RecoverySummary::default();
    for mut recovery in walks.chain([Recovery::new(options, Purpose::Check).starting_at(first)]) {
        run(&mut recovery, &mut disk, &woken, &mut each)?;
        summary = summary.plus(recovery.summary());
    }
    Ok(summary)
}

fn run<E: From<CheckError>>(
    recovery: &mut Recovery,
    disk: &mut RealDisk,
    woken: &Receiver<()>,
    each: &mut impl FnMut(RecoveredRecord<'_>) -> Result<(), E>,
) -> Result<(), E> {
    while !recovery.is_done() {
        while let Some((id, operation)) = recovery.poll_operation() {
            disk.submit(id, operation);
        }
        match disk.poll_completion() {
            Some(completion) => recovery.handle_completion(completion).map_err(CheckError::Log)?,
            None => woken.recv().expect("the disk holds the other end as long as it lives"),
        }
        while let Some(record) = recovery.poll_record().map_err(CheckError::Log)? {
            each(record)?;
        }
    }
    Ok(())
}
