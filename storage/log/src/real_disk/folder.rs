//! The data folder: making it durable and holding its lock.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "LOCK";

/// Why a folder cannot be used.
#[derive(Debug)]
pub enum FolderError {
    /// Another process, or another part of this one, works in it.
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process that holds it, if it said so.
        pid: Option<u32>,
    },
    /// It cannot be made or opened.
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { folder, pid: Some(pid) } => {
                write!(formatter, "{} is in use by process {pid}; stop that one first", folder.display())
            }
            Self::InUse { folder, pid: None } => write!(formatter, "{} is in use by another process", folder.display()),
            Self::Io { path, error } => write!(formatter, "cannot use {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } => None,
            Self::Io { error, .. } => Some(error),
        }
    }
}

/// Makes the folder if it is missing, durably, with whatever is missing above it.
pub(super) fn make(folder: &Path) -> Result<(), FolderError> {
    if folder.is_dir() {
        return Ok(());
    }
    let at_folder = |error| FolderError::Io { path: folder.to_owned(), error };
    let absolute = std::path::absolute(folder).map_err(at_folder)?;
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    make(parent)?;
    match fs::create_dir(&absolute) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at_folder(error)),
        _ => {}
    }
    sync(parent).map_err(at_folder)
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Takes the lock, which lasts as long as the file is open, also if the process is killed.
pub(super) fn lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join(LOCK_FILE);
    let at_lock = |error| FolderError::Io { path: path.clone(), error };
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options.map_err(at_lock)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let pid = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
            return Err(FolderError::InUse { folder: folder.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(at_lock(error)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(at_lock)?;
    Ok(file)
}
