//! `ringpost store backup`: a store as it was at one moment, while it goes on.
//!
//! Full segments and their indexes get a second name: they never change. What may still be written to is copied, the
//! newest first. A batch is written when everything before it is durable, so a copy that has a batch finds everything
//! before it in the segments that are copied after. Half a batch at the end is a torn tail, which a start cuts.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use storage_log::{FileName, SegmentNumber};

use super::ToolError;
use super::files::{Files, copy, link_or_copy, make_empty, sync};

/// Segments become remnants seldom: that it happens in every try is not to be expected.
const TRIES_MAX: usize = 5;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// Segments as they were written.
    pub segments: u32,
    /// What is left of others.
    pub remnants: u32,
    /// Indexes; those that are missing are made again.
    pub indexes: u32,
    /// Files that are a second name of the store's own, and take no space while that has them.
    pub linked: u32,
    /// Bytes of both.
    pub segment_bytes: u64,
}

/// Puts a backup of the store in `folder` into `target`, which must be empty or not there. The store may be running.
///
/// # Errors
/// The target holds no backup.
pub fn backup(folder: &Path, target: &Path) -> Result<Backup, ToolError> {
    make_empty(target)?;
    for _ in 1..TRIES_MAX {
        match try_backup(folder, target) {
            // A segment has become a remnant in the meantime.
            Err(ToolError::Io { error, .. }) if error.kind() == ErrorKind::NotFound => {
                fs::remove_dir_all(target).map_err(ToolError::at(target))?;
                make_empty(target)?;
            }
            result => return result,
        }
    }
    try_backup(folder, target)
}

fn try_backup(folder: &Path, target: &Path) -> Result<Backup, ToolError> {
    let files = Files::of(folder)?;
    if files.has_mark {
        return Err(ToolError::NeedsCheck(folder.to_owned()));
    }
    let mut backup = Backup::default();
    for (number, bytes) in files.segments.iter().rev() {
        let (from, to) = places(folder, target, FileName::Segment(*number));
        if files.is_full(*number) {
            backup.linked += u32::from(link_or_copy(&from, &to)?);
            put_index(folder, target, *number, &mut backup)?;
        } else {
            copy(&from, &to)?;
        }
        backup.segments += 1;
        backup.segment_bytes += bytes;
    }
    for (number, (generation, bytes)) in &files.remnants {
        let (from, to) = places(folder, target, FileName::Remnant(*number, *generation));
        backup.linked += u32::from(link_or_copy(&from, &to)?);
        backup.remnants += 1;
        backup.segment_bytes += bytes;
    }
    sync(target)?;
    Ok(backup)
}

/// The index is left out where there is none yet.
fn put_index(folder: &Path, target: &Path, number: SegmentNumber, backup: &mut Backup) -> Result<(), ToolError> {
    let (from, to) = places(folder, target, FileName::Index(number));
    match link_or_copy(&from, &to) {
        Ok(is_linked) => {
            backup.indexes += 1;
            backup.linked += u32::from(is_linked);
            Ok(())
        }
        Err(ToolError::Io { error, .. }) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn places(folder: &Path, target: &Path, file: FileName) -> (std::path::PathBuf, std::path::PathBuf) {
    (folder.join(file.to_string()), target.join(file.to_string()))
}
