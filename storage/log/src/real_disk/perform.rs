//! What each operation is on a real file system. Blocking; called on the disk's own threads.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::folder;
use crate::disk::{DiskError, FileName, Operation, Outcome};

/// Descriptors that one thread keeps open. Segments beyond are opened again when they are read.
const OPEN_FILES_MAX: usize = 64;

/// Zeros are written in steps of this size, each synced, so that a commit queues behind one step at most. Smaller ones
/// would cost a segment more commits of the file system's journal, which every sync of the log may wait for.
const ZERO_STEP_BYTES: usize = 1 << 19;

/// The unit of kernels and of their file systems' blocks.
const PAGE_BYTES: u64 = 4096;

/// After a step the disk is the commits' alone for so many times as long as the step took.
const ZERO_PAUSE_FACTOR: u32 = 4;

/// Performs operations with descriptors of its own.
pub(super) struct Performer {
    folder: PathBuf,
    /// Whether somebody writes into the log, and would wait for a disk that has something else to do.
    has_commits: Arc<AtomicBool>,
    /// The most recently used last.
    open_files: VecDeque<(FileName, File)>,
}

impl Performer {
    pub(super) fn new(folder: PathBuf, has_commits: Arc<AtomicBool>) -> Self {
        Self { folder, has_commits, open_files: VecDeque::new() }
    }

    pub(super) fn perform(&mut self, operation: Operation) -> Result<Outcome, DiskError> {
        self.try_perform(operation).map_err(|error| DiskError::from(&error))
    }

    fn try_perform(&mut self, operation: Operation) -> io::Result<Outcome> {
        match operation {
            Operation::List => return self.list().map(Outcome::Listed),
            Operation::Create { file, size_bytes } => self.create(file, size_bytes)?,
            Operation::Write { file, offset, bytes } => {
                self.open(file)?.write_all_at(&bytes, offset.into())?;
                return Ok(Outcome::Written(bytes));
            }
            Operation::Sync { file } => match file {
                FileName::Segment(_) => self.open(file)?.sync_data()?,
                _ => self.open(file)?.sync_all()?,
            },
            Operation::Read { file, offset, length } => {
                return self.read(file, offset, length).map(Outcome::Read);
            }
            Operation::Rename { from, to } => {
                self.close(from);
                self.close(to);
                fs::rename(self.path(from), self.path(to))?;
            }
            Operation::Trim { file, offset } => trim(self.open(file)?, offset.into())?,
            Operation::Unlink { file } => {
                self.close(file);
                fs::remove_file(self.path(file))?;
            }
            Operation::SyncFolder => folder::sync(&self.folder)?,
            Operation::DropCache { file } => drop_cache(self.open(file)?)?,
            Operation::FreeSpace => {
                let space = rustix::fs::statvfs(&self.folder)?;
                return Ok(Outcome::FreeSpace(space.f_bavail.saturating_mul(space.f_frsize)));
            }
        }
        Ok(Outcome::Done)
    }

    fn path(&self, file: FileName) -> PathBuf {
        self.folder.join(file.to_string())
    }

    fn open(&mut self, file: FileName) -> io::Result<&File> {
        if let Some(index) = self.open_files.iter().position(|(name, _)| *name == file) {
            let entry = self.open_files.remove(index).expect("it was just found");
            self.open_files.push_back(entry);
        } else {
            let opened = OpenOptions::new().read(true).write(true).open(self.path(file))?;
            self.keep_open(file, opened);
        }
        let (_, opened) = self.open_files.back().expect("it was just put there");
        Ok(opened)
    }

    fn keep_open(&mut self, file: FileName, opened: File) {
        if self.open_files.len() == OPEN_FILES_MAX {
            self.open_files.pop_front();
        }
        self.open_files.push_back((file, opened));
    }

    /// Lets go of its descriptor.
    pub(super) fn close(&mut self, file: FileName) {
        self.open_files.retain(|(name, _)| *name != file);
    }

    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let Some(file) = entry.file_name().to_str().and_then(FileName::parse) {
                files.push((file, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn create(&mut self, file: FileName, size_bytes: u32) -> io::Result<()> {
        let created = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(file))?;
        allocate(&created, size_bytes.into())?;
        let zeros = vec![0; ZERO_STEP_BYTES.min(size_bytes as usize)];
        let mut offset = 0;
        while offset < size_bytes as usize {
            let began = Instant::now();
            let step = zeros.len().min(size_bytes as usize - offset);
            created.write_all_at(zeros.get(..step).unwrap_or_default(), offset as u64)?;
            created.sync_data()?;
            offset += step;
            if offset < size_bytes as usize && self.has_commits.load(Ordering::Relaxed) {
                thread::sleep(began.elapsed() * ZERO_PAUSE_FACTOR);
            }
        }
        self.keep_open(file, created);
        Ok(())
    }

    fn read(&mut self, file: FileName, offset: u32, length: u32) -> io::Result<Vec<u8>> {
        let opened = self.open(file)?;
        let mut bytes = vec![0; length as usize];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match opened.read_at(rest, u64::from(offset) + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// Reserves all blocks at once: in few extents, and with "full" as an answer before anything is written.
#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // The zeros that follow allocate as well, only less tidily.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn trim(file: &File, offset: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    // What shares a page with bytes that stay is not worth a write of theirs.
    let offset = offset.next_multiple_of(PAGE_BYTES);
    let rest_bytes = file.metadata()?.len().saturating_sub(offset);
    if rest_bytes == 0 {
        return Ok(());
    }
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, rest_bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn trim(_file: &File, _offset: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn drop_cache(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

#[cfg(not(target_os = "linux"))]
fn drop_cache(_file: &File) -> io::Result<()> {
    Ok(())
}
