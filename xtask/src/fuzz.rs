//! `cargo xtask fuzz`: runs one fuzz target of `tests/fuzz` for a while, with the stable compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{Outcome, process, repo};

/// The version that was seen to work with the stable compiler.
const CARGO_FUZZ_VERSION: &str = "0.13.2";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    let [target, flag, seconds] = arguments else { bail!("usage: cargo xtask fuzz TARGET --seconds S") };
    if flag != "--seconds" {
        bail!("`{flag}` means nothing here; usage: cargo xtask fuzz TARGET --seconds S");
    }
    let seconds: u32 = seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
    let folder = repo::root().join("tests/fuzz");
    if !folder.join("Cargo.toml").exists() {
        bail!("there are no fuzz targets: {} does not exist", folder.display());
    }
    let mut fuzz = Command::new(cargo_fuzz()?);
    // Sanitizers are unstable flags; the variable lets the stable compiler take them.
    fuzz.env("RUSTC_BOOTSTRAP", "1").current_dir(&folder).args(["run", "--fuzz-dir", "."]);
    fuzz.args([target.as_str(), "--", &format!("-max_total_time={seconds}")]);
    match process::exit_code_of(&mut fuzz)? {
        0 => Ok(Outcome::Clean),
        code => {
            eprintln!(
                "fuzz: {target} ended with exit code {code}; the input that did it is under {}",
                folder.display()
            );
            Ok(Outcome::Broken)
        }
    }
}

/// The path of cargo-fuzz in the right version: the one on `PATH` if it fits, else our own under the build folder.
fn cargo_fuzz() -> Result<PathBuf> {
    let tools = repo::target().join("tools");
    let installed = tools.join("bin/cargo-fuzz");
    for candidate in [Path::new("cargo-fuzz"), &installed] {
        let version = process::output_of(Command::new(candidate).arg("--version"));
        if version.is_ok_and(|version| version.trim().ends_with(CARGO_FUZZ_VERSION)) {
            return Ok(candidate.to_path_buf());
        }
    }
    eprintln!("xtask: installing cargo-fuzz {CARGO_FUZZ_VERSION} into {}", tools.display());
    let mut install = Command::new("cargo");
    install.args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ_VERSION, "--root"]).arg(&tools);
    process::output_of(&mut install)?;
    Ok(installed)
}
