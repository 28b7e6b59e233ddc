//! `cargo xtask codegen`: Rust from `protocol/schema/*.fbs` into `protocol/wire/src/generated.rs`.
//!
//! All schemas become one file: flatc's Rust for a schema that includes another of a nested namespace does not compile
//! when each has a file of its own. The result is committed, formatted by rustfmt so that it is stable, and CI compares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{Outcome, flatc, process, repo, schema};

const USAGE: &str = "usage: cargo xtask codegen [--check | --land VERSION]";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => generate(),
        ["--check"] => check(),
        ["--land", version] => land(version),
        _ => bail!(USAGE),
    }
}

/// The folder of today's schemas.
fn schema_folder() -> PathBuf {
    repo::root().join("protocol/schema")
}

fn generated_file() -> PathBuf {
    repo::root().join("protocol/wire/src/generated.rs")
}

fn generate() -> Result<Outcome> {
    let Some(fresh) = generated_source()? else { return Ok(Outcome::Skipped) };
    let file = generated_file();
    // An unchanged file keeps its time stamp, so nothing is built again.
    if fs::read_to_string(&file).is_ok_and(|present| present == fresh) {
        println!("codegen: {} is fresh", file.display());
    } else {
        fs::write(&file, fresh).with_context(|| format!("cannot write {}", file.display()))?;
        println!("codegen: wrote {}", file.display());
    }
    Ok(Outcome::Clean)
}

fn check() -> Result<Outcome> {
    let Some(fresh) = generated_source()? else { return Ok(Outcome::Skipped) };
    let file = generated_file();
    let present = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    match first_difference(&present, &fresh) {
        None => Ok(Outcome::Clean),
        Some(line) => {
            eprintln!("{}:{line}: codegen: differs from the schemas; run `cargo xtask codegen`", file.display());
            Ok(Outcome::Broken)
        }
    }
}

/// The number of the first line, from 1, in which the two texts differ.
fn first_difference(left: &str, right: &str) -> Option<usize> {
    if left == right {
        return None;
    }
    let same_lines = left.split('\n').zip(right.split('\n')).take_while(|(left, right)| left == right).count();
    Some(same_lines + 1)
}

/// The Rust of today's schemas, or `None` after saying why flatc cannot be had.
fn generated_source() -> Result<Option<String>> {
    let flatc = match flatc::find() {
        Ok(flatc) => flatc,
        Err(why_not) => {
            eprintln!("codegen: skipped: {why_not}");
            return Ok(None);
        }
    };
    let scratch = repo::target().join("codegen");
    fs::create_dir_all(&scratch)?;
    compile(&flatc, &schema_folder(), &scratch).map(Some)
}

fn compile(flatc: &Path, schemas: &Path, scratch: &Path) -> Result<String> {
    let includes: String = schema::file_names(schemas)?.iter().map(|name| format!("include \"{name}\";\n")).collect();
    let all = scratch.join("all.fbs");
    fs::write(&all, includes)?;

    let mut compiler = Command::new(flatc);
    compiler.args(["--rust", "--gen-all", "-I"]).arg(schemas).arg("-o").arg(scratch).arg(&all);
    process::output_of(&mut compiler)?;

    let generated = scratch.join("all_generated.rs");
    let mut formatter = Command::new("rustfmt");
    formatter.args(["--edition", "2024", "--config-path"]).arg(repo::root()).arg(&generated);
    process::output_of(&mut formatter)?;
    fs::read_to_string(&generated).with_context(|| format!("flatc wrote no {}", generated.display()))
}

/// Keeps a copy of today's schemas, against which every later one is checked, and a frame of each kind, which every later
/// version must read.
fn land(version: &str) -> Result<Outcome> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if version.is_empty() || version.starts_with('.') || !version.bytes().all(plain) {
        bail!("`{version}` is no version: letters, digits, `.`, `-` and `_`, as in `0.1.0`");
    }
    let schemas = schema_folder();
    let landed = schemas.join("landed").join(version);
    if landed.exists() {
        bail!("{} exists, and a landed schema never changes", landed.display());
    }
    if schema::run(&[])? == Outcome::Broken {
        return Ok(Outcome::Broken);
    }
    let names = schema::file_names(&schemas)?;
    fs::create_dir_all(&landed)?;
    for name in &names {
        fs::copy(schemas.join(name), landed.join(name))?;
    }
    // Half a landing would be taken for a whole one.
    write_golden_frames(version).or_else(|error| fs::remove_dir_all(&landed).map_err(Into::into).and(Err(error)))?;
    println!("codegen: landed {} with golden frames in {}", names.join(", "), landed.display());
    Ok(Outcome::Clean)
}

/// The encoders and the samples are those of `protocol`, so its own test binary writes them.
fn write_golden_frames(version: &str) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo::root()).env("RINGPOST_LANDING_VERSION", version);
    cargo.args(["test", "--quiet", "--package", "protocol", "--test", "landed", "--"]);
    process::output_of(cargo.args(["--ignored", "--exact", "write_golden_frames"]))?;
    Ok(())
}
