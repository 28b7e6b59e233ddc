//! Folders for one run, removed with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cleanup::{Guard, Undo, made};

/// Memory that looks like a file system.
const MEMORY: &str = "/dev/shm";

/// A folder of one's own.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _guard: Guard,
}

impl Scratch {
    /// On disk, where temporary files go.
    pub fn on_disk(name: &str) -> Result<Scratch> {
        Scratch::within(&std::env::temp_dir(), name)
    }

    /// In memory: what is there survives whatever happens to a disk.
    pub fn in_memory(name: &str) -> Result<Scratch> {
        Scratch::within(Path::new(MEMORY), name)
    }

    fn within(parent: &Path, name: &str) -> Result<Scratch> {
        let moment = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let path = parent.join(format!("ringpost-e2e-{name}-{}-{moment}", std::process::id()));
        let folder = made(|| fs::create_dir(&path), |()| Undo::Remove(path.clone()));
        let ((), guard) = folder.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Scratch { path, _guard: guard })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it, made if need be.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// An error where what happens to the file system of one could happen to the other.
pub fn ensure_apart(one: &Path, other: &Path) -> Result<()> {
    let device = |path: &Path| {
        fs::metadata(path).map(|metadata| metadata.dev()).with_context(|| format!("cannot look at {}", path.display()))
    };
    ensure!(device(one)? != device(other)?, "{} and {} are on one file system", one.display(), other.display());
    Ok(())
}
