//! `cargo xtask fuzz`: runs one fuzz target of `tests/fuzz` for a while, with the stable compiler.
//!
//! The committed corpus is read and not written: what is found besides is collected in the build folder, and `--merge`
//! takes of it into the corpus what reaches code that the corpus does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{Outcome, process, repo};

/// The version that was seen to work with the stable compiler.
const CARGO_FUZZ_VERSION: &str = "0.13.2";
const USAGE: &str = "usage: cargo xtask fuzz TARGET (--seconds S | --merge)";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (target, limit) = match words[..] {
        [target, "--seconds", seconds] => (target, Some(seconds)),
        [target, "--merge"] => (target, None),
        _ => bail!("{USAGE}; targets: {}", targets()?.join(", ")),
    };
    if !targets()?.iter().any(|known| known == target) {
        bail!("no fuzz target `{target}`; there are: {}", targets()?.join(", "));
    }
    let corpus = folder().join("corpus").join(target);
    let found = repo::target().join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let mut fuzz = Command::new(cargo_fuzz()?);
    // Sanitizers are unstable flags; the variable lets the stable compiler take them.
    fuzz.env("RUSTC_BOOTSTRAP", "1").current_dir(folder()).args(["run", "--fuzz-dir", ".", target]);
    match limit {
        Some(seconds) => {
            let seconds: u32 = seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
            let limits = [format!("-max_total_time={seconds}"), "-timeout=10".to_owned()];
            fuzz.args([&found, &corpus]).arg("--").args(limits).arg("-print_final_stats=1");
        }
        None => {
            // How often code is reached does not count, or the corpus would be thousands of files.
            fuzz.args([&corpus, &found]).args(["--", "-merge=1", "-use_counters=0"]);
        }
    }
    match process::exit_code_of(&mut fuzz)? {
        0 => {
            println!("fuzz: {target} is well; what reaches new code is in {}", found.display());
            Ok(Outcome::Clean)
        }
        code => {
            let artifacts = folder().join("artifacts").join(target);
            eprintln!("fuzz: {target} ended with exit code {code}; what did it is in {}", artifacts.display());
            eprintln!("fuzz: `cargo run --package hostile -- replay {target} FILE` does it again");
            Ok(Outcome::Broken)
        }
    }
}

fn folder() -> PathBuf {
    repo::root().join("tests/fuzz")
}

/// The names of all targets, sorted.
fn targets() -> Result<Vec<String>> {
    let binaries = folder().join("fuzz_targets");
    let entries = fs::read_dir(&binaries).with_context(|| format!("cannot read {}", binaries.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
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
