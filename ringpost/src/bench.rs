//! `bench`: measures a server that it starts itself, on a folder that it makes and removes, or one that runs.

mod arguments;
mod load;
mod scratch;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use arguments::BenchArguments;

use crate::mistake::{Exit, Mistake};
use crate::output::print_line;
use crate::scheduling;
use arguments::BenchScenario;
use scratch::Scratch;

pub(crate) fn run(typed: &BenchScenario) -> Result<(), Mistake> {
    // The load, like the servers and the bare one: who shares cores with them must not be late for longer turns.
    scheduling::take_short_turns();
    if let Some((scenario, heartbeat, load)) = load::scenario(typed) {
        return load::run(&scenario, heartbeat, load);
    }
    match typed {
        BenchScenario::Slice { pairs, window, rate, seconds, scratch, json } => {
            let scratch = Scratch::make(&scratch.parent)?;
            let options = bench_slice::Options {
                binary: binary()?,
                pairs: usize::from(*pairs),
                window: usize::from(*window),
                rate: *rate,
                duration: Duration::from_secs(*seconds),
                scratch: scratch.data(),
            };
            let report = bench_slice::run(&options, say)
                .map_err(|error| Mistake::new(Exit::Software, format!("nothing was measured: {error:#}")))?;
            print_line(report.to_string().trim_end().as_bytes())?;
            json.as_deref().map_or(Ok(()), |file| {
                let text = serde_json::to_string_pretty(&report).expect("numbers and texts are always JSON");
                write(file, &(text + "\n"))
            })
        }
        BenchScenario::Worker => {
            bench_load::work().map_err(|error| Mistake::new(Exit::Software, format!("a worker of the load: {error:#}")))
        }
        _ => serve_baseline(),
    }
}

fn binary() -> Result<PathBuf, Mistake> {
    std::env::current_exe().map_err(|error| Mistake::new(Exit::Io, error.to_string()))
}

fn say(what: &str) {
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "bench: {what}");
}

fn write(file: &Path, text: &str) -> Result<(), Mistake> {
    fs::write(file, text).map_err(|error| Mistake::new(Exit::Io, format!("cannot write {}: {error}", file.display())))
}

fn serve_baseline() -> Result<(), Mistake> {
    let failed = |error: std::io::Error| Mistake::new(Exit::Unavailable, format!("the baseline cannot serve: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    print_line(listener.local_addr().map_err(failed)?.to_string().as_bytes())?;
    bench_baseline::serve(listener).map_err(failed)
}
