//! `cargo xtask bench`: builds the binary as it is released and runs one of its benchmarks.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{Outcome, process, repo};

/// The verb. All arguments are the benchmark's own: `cargo xtask bench slice --help`.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    if arguments.is_empty() {
        bail!("usage: cargo xtask bench SCENARIO [FLAGS]; SCENARIO is hold, chat, storm, fanout or slice");
    }
    eprintln!("xtask: building the release binary; the first time takes minutes");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo::root()).args(["run", "--quiet", "--release", "--package", "ringpost", "--", "bench"]);
    match process::exit_code_of(cargo.args(arguments))? {
        0 => Ok(Outcome::Clean),
        code => bail!("the benchmark ended with exit code {code}"),
    }
}
