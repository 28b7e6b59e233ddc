//! `cargo xtask sim`: builds the simulator of `tests/sim`, optimised and with every assertion on, and runs it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{Outcome, process, repo};

/// The verb. All arguments are the simulator's own; so is the meaning of the exit code.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo::root()).args(["run", "--quiet", "--profile", "sim", "--package", "sim", "--"]);
    match process::exit_code_of(cargo.args(arguments))? {
        0 => Ok(Outcome::Clean),
        1 => Ok(Outcome::Broken),
        code => bail!("the simulator ended with exit code {code}, which says nothing about the promises"),
    }
}
