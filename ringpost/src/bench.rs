//! `bench`: measures a server that it starts itself, on a folder that it makes and removes.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_slice::Options;

use crate::command_line::BenchScenario;
use crate::mistake::{Exit, Mistake};
use crate::output::print_line;

pub(crate) fn run(scenario: &BenchScenario) -> Result<(), Mistake> {
    match scenario {
        BenchScenario::Baseline => serve_baseline(),
        BenchScenario::Slice { pairs, window, rate, seconds, scratch, json } => {
            let scratch = Scratch::make(scratch)?;
            let options = Options {
                binary: std::env::current_exe().map_err(|error| Mistake::new(Exit::Io, error.to_string()))?,
                pairs: usize::from(*pairs),
                window: usize::from(*window),
                rate: *rate,
                duration: Duration::from_secs(*seconds),
                scratch: scratch.path.join("data"),
            };
            let say = |what: &str| {
                // Nobody is left to be told when standard error is closed.
                let _ = writeln!(std::io::stderr(), "bench: {what}");
            };
            let report = bench_slice::run(&options, say)
                .map_err(|error| Mistake::new(Exit::Software, format!("nothing was measured: {error:#}")))?;
            print_line(report.to_string().trim_end().as_bytes())?;
            json.as_deref().map_or(Ok(()), |file| {
                let text = serde_json::to_string_pretty(&report).expect("numbers and texts are always JSON");
                fs::write(file, text + "\n")
                    .map_err(|error| Mistake::new(Exit::Io, format!("cannot write {}: {error}", file.display())))
            })
        }
    }
}

fn serve_baseline() -> Result<(), Mistake> {
    let failed = |error: std::io::Error| Mistake::new(Exit::Unavailable, format!("the baseline cannot serve: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    print_line(listener.local_addr().map_err(failed)?.to_string().as_bytes())?;
    bench_baseline::serve(listener).map_err(failed)
}

/// A folder of its own, removed at the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn make(parent: &Path) -> Result<Scratch, Mistake> {
        let path = parent.join(format!("ringpost-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| {
            let text = format!("cannot make {}: {error}; name another folder with --scratch DIR", path.display());
            Mistake::new(Exit::CannotCreate, text)
        })?;
        Ok(Scratch { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            Mistake::new(Exit::Io, format!("cannot remove {}: {error}", self.path.display())).tell();
        }
    }
}
