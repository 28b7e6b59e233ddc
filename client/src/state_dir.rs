//! One device on disk: its id, its cursor and its outbox, in a folder that one process at a time may use.
//!
//! `lock` is held as long as the process lives, whatever kills it, and holds its process id. `journal` is the state: see
//! the journal's own file. The folder is for its owner alone, since the outbox holds what people wrote.

mod journal;
mod record;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use protocol::client::{Change, ClientState};
use protocol::ids::ClientMsgId;

use crate::clock::Clock;
use crate::seed;
use journal::Journal;

/// See the file's head.
pub struct StateDir {
    journal: Box<Journal>,
    /// Let go of when it is dropped, or when the process ends in whatever way.
    _lock: File,
}

/// Why a folder cannot be used, or no longer.
#[derive(Debug)]
pub enum StateError {
    /// Another process uses it. Again when that one has ended.
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who, where it could be read.
        pid: Option<u32>,
    },
    /// The operating system said no. What was called written before is written.
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// The journal is not as it was written. Nothing of it is used.
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the first bad byte may be.
        offset: u64,
    },
    /// Written by a later version.
    TooNew {
        /// The journal.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
}

impl StateDir {
    /// Takes the folder, which is made where there is none: then it holds a device that is yet to be registered.
    pub fn open(path: &Path) -> Result<StateDir, StateError> {
        create_folder(path).map_err(|error| StateError::io("create", path, error))?;
        let lock = take_lock(path)?;
        let install_id = ClientMsgId::new(Clock::default().now().wall, seed::draw_u128());
        let journal = Journal::open(path, &ClientState::new(install_id))?;
        Ok(StateDir { journal: Box::new(journal), _lock: lock })
    }

    /// As the last session left it.
    pub fn state(&self) -> &ClientState {
        self.journal.state()
    }

    /// Writes changes, all or none. They are on disk when it returns. After an error nothing more can be written.
    pub(crate) fn write(&mut self, changes: &[Change]) -> Result<(), StateError> {
        self.journal.append(changes)
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn take_lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join("lock");
    let io_error = |error| StateError::io("lock", &path, error);
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StateError::InUse { path: folder.into(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(io_error(error)),
    }
    file.set_len(0).map_err(io_error)?;
    writeln!(file, "{}", std::process::id()).map_err(io_error)?;
    Ok(file)
}

impl StateError {
    fn io(what: &'static str, path: &Path, error: io::Error) -> StateError {
        StateError::Io { what, path: path.into(), error }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::InUse { path, pid: Some(pid) } => {
                write!(f, "the state folder {} is in use by process {pid}", path.display())
            }
            StateError::InUse { path, pid: None } => {
                write!(f, "the state folder {} is in use by another process", path.display())
            }
            StateError::Io { what, path, error } => write!(f, "cannot {what} {}: {error}", path.display()),
            StateError::Damaged { path, offset } => write!(
                f,
                "{} is damaged at byte {offset}; move it away to begin as a new device, without what was not sent",
                path.display()
            ),
            StateError::TooNew { path, version } => {
                write!(f, "{} has format {version}, which a later version wrote; update this one", path.display())
            }
        }
    }
}

impl std::error::Error for StateError {}

#[cfg(test)]
mod tests;
