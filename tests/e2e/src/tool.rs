//! Programs of the system that a run takes, and how a Debian gets one that it lacks.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

/// A program and the package of Debian that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

/// The C compiler, which Rust needs to link as well.
pub(crate) const CC: Tool = Tool { program: "cc", package: "gcc" };
/// Makes a file system.
pub(crate) const MKFS: Tool = Tool { program: "mkfs.ext4", package: "e2fsprogs" };
/// Mounts one.
pub(crate) const MOUNT: Tool = Tool { program: "mount", package: "mount" };
/// Unmounts it.
pub(crate) const UMOUNT: Tool = Tool { program: "umount", package: "mount" };

/// One installation at a time.
static INSTALLATION: Mutex<()> = Mutex::new(());

impl Tool {
    /// Runs it to its end. Root installs it first where it is missing.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        if !is_on_path(self.program) {
            self.install()?;
        }
        done(Command::new(self.program).args(arguments))
    }

    fn install(&self) -> Result<()> {
        let Tool { program, package } = self;
        let wish = format!("`{program}` is missing; `apt-get install {package}` brings it");
        let can_install = rustix::process::geteuid().is_root() && is_on_path("apt-get");
        ensure!(can_install, "{wish}");
        let _one = INSTALLATION.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        eprintln!("e2e: no {program} on PATH, installing {package}");
        let apt = |words: &[&str]| done(Command::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive"));
        let installed = apt(&["update"]).and_then(|()| apt(&["install", "--yes", "--no-install-recommends", package]));
        installed.with_context(|| wish)
    }
}

fn is_on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(Path::new(program)).is_file())
}

/// Success, or an error with what was run and what it said.
fn done(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}").replace('"', "");
    let Output { status, stderr, .. } = command.output().with_context(|| format!("cannot start {line}"))?;
    ensure!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(())
}
