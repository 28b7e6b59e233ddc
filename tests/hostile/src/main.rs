//! The inputs of the fuzz targets, for a person: writes those to begin with, and replays what a fuzzer has found.
//!
//! `hostile seeds FOLDER` writes `FOLDER/TARGET/NAME`. `hostile replay TARGET FILE…` runs the files one by one, under
//! whatever profile it was built with, and names the slowest.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is the only reader of this program")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hostile::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["seeds", folder] => write_seeds(Path::new(folder)),
        ["replay", target, ref files @ ..] => return replay(target, files),
        _ => {
            eprintln!("usage: hostile seeds FOLDER | hostile replay TARGET FILE...");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn write_seeds(folder: &Path) {
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder).expect("the folder can be made");
        for seed in (target.seeds)() {
            fs::write(folder.join(seed.name), seed.bytes).expect("the folder can be written");
        }
    }
}

fn replay(name: &str, files: &[&str]) -> ExitCode {
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("no target `{name}`");
        return ExitCode::from(2);
    };
    let mut slowest = (Duration::ZERO, "");
    for file in files {
        let bytes = fs::read(file).expect("the file can be read");
        let began = Instant::now();
        (target.run)(&bytes);
        slowest = slowest.max((began.elapsed(), file));
    }
    println!("{} of {name} replayed, the slowest in {:?}: {}", files.len(), slowest.0, slowest.1);
    ExitCode::SUCCESS
}
