//! A lie for the C library: fsync and fdatasync that say "done" and do nothing. Proof that a power cut is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

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

/// The library, and where it counts.
#[derive(Debug)]
pub struct NoSync {
    library: PathBuf,
    witness: PathBuf,
}

impl NoSync {
    /// Compiles it in this folder.
    pub fn compile(folder: &Path) -> Result<NoSync> {
        let (source, library) = (folder.join("no_sync.c"), folder.join("no_sync.so"));
        fs::write(&source, SOURCE).context("cannot write the source of the lie")?;
        let output = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).output();
        let output = output.context("cannot start cc, which compiles the fsync that does nothing")?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        Ok(NoSync { library, witness: folder.join("no_sync.witness") })
    }

    /// What a process needs in its environment.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD", text(&self.library)), ("E2E_NO_SYNC_WITNESS", text(&self.witness))]
    }

    /// How many calls came here.
    pub fn calls(&self) -> u64 {
        fs::metadata(&self.witness).map(|metadata| metadata.len()).unwrap_or(0)
    }
}
