//! A lie for the C library: fsync and fdatasync that say "done" and do nothing. Proof that a power cut is one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::c_source;

/// Each call leaves one byte in the file that the variable names, so that it can be checked that they come here.
const SOURCE: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
static int pretend(void) {
    const char *path = getenv("E2E_NO_SYNC_WITNESS");
    int witness = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (witness >= 0) { (void)!write(witness, "x", 1); close(witness); }
    return 0;
}
int fsync(int fd) { (void)fd; return pretend(); }
int fdatasync(int fd) { (void)fd; return pretend(); }
"#;

/// The shared object, and where it counts.
#[derive(Debug)]
pub struct NoSync {
    object: PathBuf,
    witness: PathBuf,
}

impl NoSync {
    /// Compiles it in this folder.
    pub fn compile(folder: &Path) -> Result<NoSync> {
        let object = c_source::compile(folder, "no_sync.so", SOURCE, &["-shared", "-fPIC"])?;
        Ok(NoSync { object, witness: folder.join("no_sync.witness") })
    }

    /// What a process needs in its environment.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD", text(&self.object)), ("E2E_NO_SYNC_WITNESS", text(&self.witness))]
    }

    /// How many calls came here.
    pub fn calls(&self) -> u64 {
        fs::metadata(&self.witness).map(|metadata| metadata.len()).unwrap_or(0)
    }
}
