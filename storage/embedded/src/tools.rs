//! What an operator does to a store in a folder, on a real disk, waiting until it is done: check, stat, backup, restore.
//!
//! `stat` and `backup` read a running store too: what they read of it is never changed again, or is copied in an order in
//! which no batch can be there without those before it.

mod backup;
mod check;
mod files;
mod passive_disk;
mod restore;
mod stat;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use storage_log::{CheckError, FolderError};

use crate::error::OpenError;

pub use backup::{Backup, backup};
pub use check::{CheckReport, check};
pub use restore::restore;
pub use stat::{ClassFigures, Stat, stat};

/// Why something was not done.
#[derive(Debug)]
pub enum ToolError {
    /// The folder is in use or cannot be used.
    Folder(FolderError),
    /// The store is damaged, or of a newer version.
    Store(OpenError),
    /// There is no store in the folder.
    NoStore(PathBuf),
    /// There is something in the folder already.
    NotEmpty(PathBuf),
    /// A write or a sync has failed in the store, and no check has passed since.
    NeedsCheck(PathBuf),
    /// The system said no.
    Io {
        /// To what.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl ToolError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> ToolError {
        move |error| ToolError::Io { path: path.to_owned(), error }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolError::Folder(error) => error.fmt(f),
            ToolError::Store(error) => error.fmt(f),
            ToolError::NoStore(path) => write!(f, "there is no store in {}", path.display()),
            ToolError::NotEmpty(path) => write!(f, "{} is not empty; name a folder that is not there", path.display()),
            ToolError::NeedsCheck(path) => write!(
                f,
                "a write or sync has failed in {}; stop the server and run `ringpost store check` first",
                path.display()
            ),
            ToolError::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ToolError {}

impl From<OpenError> for ToolError {
    fn from(error: OpenError) -> ToolError {
        ToolError::Store(error)
    }
}

impl From<CheckError> for ToolError {
    fn from(error: CheckError) -> ToolError {
        match error {
            CheckError::Folder(error) => ToolError::Folder(error),
            CheckError::Log(error) => ToolError::Store(error.into()),
        }
    }
}
