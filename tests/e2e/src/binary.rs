//! The binary under test: the release build of this checkout.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use crate::cleanup::{Undo, made};

/// Built on first use; cargo does nothing where it is fresh.
pub fn ringpost() -> Result<&'static Path> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PATH.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!(error.clone()))
}

fn build() -> Result<PathBuf> {
    eprintln!("building the release binary of ringpost; the first time takes minutes");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--package", "ringpost", "--message-format", "json"]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    command.args(["--manifest-path", manifest]).stderr(Stdio::inherit());
    // What cargo says to us of this package would have it build libraries anew, and again when it is called by hand.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let started = made(|| command.spawn(), |child| Undo::KillGroup(Pid::from_child(child)));
    let (child, guard) = started.context("cannot start cargo")?;
    let output = child.wait_with_output().context("cannot wait for cargo")?;
    guard.discharge();
    ensure!(output.status.success(), "`cargo build --release --package ringpost` ended with {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables = messages.filter(|message| message["target"]["name"] == "ringpost");
    let mut paths = executables.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.next().context("cargo did not say where the binary is")
}
