//! `cargo xtask e2e`: builds the release binary and `tests/e2e`, and lets the one show what the other does to it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{Outcome, process, repo};

/// The verb. All arguments are those of `tests/e2e`, which builds the binary that it tests; so is the meaning of the exit
/// code.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo::root()).args(["run", "--quiet", "--release", "--package", "e2e", "--"]);
    match process::exit_code_of(cargo.args(arguments))? {
        0 => Ok(Outcome::Clean),
        1 => Ok(Outcome::Broken),
        3 => Ok(Outcome::Skipped),
        code => bail!("tests/e2e ended with exit code {code}, which says nothing about the promises"),
    }
}
