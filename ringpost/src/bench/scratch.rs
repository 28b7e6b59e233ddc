//! A folder for a server that is measured, removed at the end.

use std::fs;
use std::path::{Path, PathBuf};

use crate::mistake::{Exit, Mistake};

pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(super) fn make(parent: &Path) -> Result<Scratch, Mistake> {
        let path = parent.join(format!("ringpost-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| {
            let text = format!("cannot make {}: {error}; name another folder with --scratch DIR", path.display());
            Mistake::new(Exit::CannotCreate, text)
        })?;
        Ok(Scratch { path })
    }

    /// The data folder of the server in it.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            Mistake::new(Exit::Io, format!("cannot remove {}: {error}", self.path.display())).tell();
        }
    }
}
