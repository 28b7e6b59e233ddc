//! The files of a store, seen from outside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use storage_log::{FileName, SegmentNumber};

use super::ToolError;

/// The files of a store, by kind.
#[derive(Default)]
pub(super) struct Files {
    /// As they were written, in order, with their sizes.
    pub(super) segments: Vec<(SegmentNumber, u64)>,
    /// What is left of others, with generation and size.
    pub(super) remnants: BTreeMap<SegmentNumber, (u16, u64)>,
    /// In order.
    pub(super) indexes: Vec<SegmentNumber>,
    pub(super) has_mark: bool,
}

impl Files {
    pub(super) fn of(folder: &Path) -> Result<Files, ToolError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ToolError::NoStore(folder.to_owned()));
            }
            entries => entries.map_err(ToolError::at(folder))?,
        };
        let mut files = Files::default();
        for entry in entries {
            let entry = entry.map_err(ToolError::at(folder))?;
            match entry.file_name().to_str().and_then(FileName::parse) {
                Some(FileName::Segment(number)) => {
                    // It may have gone in the meantime.
                    let Ok(metadata) = entry.metadata() else { continue };
                    files.segments.push((number, metadata.len()));
                }
                Some(FileName::Remnant(number, generation)) => {
                    let Ok(metadata) = entry.metadata() else { continue };
                    let newest = files.remnants.entry(number).or_default();
                    *newest = (*newest).max((generation, metadata.len()));
                }
                Some(FileName::Index(number)) => files.indexes.push(number),
                Some(FileName::NeedsCheck) => files.has_mark = true,
                _ => {}
            }
        }
        let Files { segments, indexes, remnants, .. } = &mut files;
        segments.retain(|(number, _)| !remnants.contains_key(number));
        indexes.retain(|number| !remnants.contains_key(number));
        files.segments.sort_unstable();
        files.indexes.sort_unstable();
        if files.segments.is_empty() { Err(ToolError::NoStore(folder.to_owned())) } else { Ok(files) }
    }

    /// A segment of which nothing will change: there are two behind it, and at most the last of all has no batch yet.
    pub(super) fn is_full(&self, segment: SegmentNumber) -> bool {
        let newest = self.segments.last().map_or(0, |(newest, _)| newest.0);
        segment.0.saturating_add(2) <= newest
    }
}

/// Makes names and contents durable.
pub(super) fn sync(path: &Path) -> Result<(), ToolError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ToolError::at(path))
}

/// Puts a file at a second place: under a second name if the file system can, as a copy otherwise.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> Result<bool, ToolError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ToolError::at(from)(error)),
        Err(_) => copy(from, to).map(|()| false),
    }
}

/// A copy, durable but for its name.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ToolError> {
    fs::copy(from, to).map_err(ToolError::at(from))?;
    sync(to)
}

/// A new folder for its owner alone, or one that is empty.
pub(super) fn make_empty(folder: &Path) -> Result<(), ToolError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(ToolError::at(folder))?;
    let mut entries = fs::read_dir(folder).map_err(ToolError::at(folder))?;
    if entries.next().is_some() { Err(ToolError::NotEmpty(folder.to_owned())) } else { Ok(()) }
}
