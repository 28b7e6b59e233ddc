//! The one entry for whoever works on Ringpost: `cargo xtask VERB`. Not part of the product; nothing depends on it.
//!
//! Exit codes, the same for every verb: 0 all well, 1 something is wrong and was named, 2 it could not be checked,
//! 3 skipped because this machine lacks what it takes.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is the only reader of this program")]

mod bench;
mod codegen;
mod e2e;
mod flatc;
mod fuzz;
mod process;
mod repo;
mod schema;
mod sim;
mod test;
mod tidy;
mod tlsfuzzer;

use std::process::ExitCode;

use anyhow::Result;

/// How a verb ended when it could do its work; an error means that it could not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All well.
    Clean,
    /// Something is wrong, and standard error names it.
    Broken,
    /// This machine lacks what it takes, and standard error says what.
    Skipped,
}

/// One verb of the command line.
struct Verb {
    name: &'static str,
    usage: &'static str,
    what: &'static str,
    run: fn(&[String]) -> Result<Outcome>,
}

const VERBS: &[Verb] = &[
    Verb { name: "test", usage: "test", what: "every check there is", run: test::run },
    Verb { name: "ci", usage: "ci", what: "what CI runs: `test`", run: test::run },
    Verb {
        name: "tidy",
        usage: "tidy [--ratchet]",
        what: "the rules no compiler checks: imports, purity, style; shrink the list of long files",
        run: tidy::run,
    },
    Verb {
        name: "codegen",
        usage: "codegen [--check | --land VERSION]",
        what: "Rust from protocol/schema/*.fbs; is it fresh; keep a released schema with golden frames",
        run: codegen::run,
    },
    Verb {
        name: "schema",
        usage: "schema",
        what: "do the schemas of today fit every landed version of them",
        run: schema::run,
    },
    Verb {
        name: "sim",
        usage: "sim (--seeds N | --seed S) [--break PART]",
        what: "the whole system in one thread, against random faults; `sim help` says more",
        run: sim::run,
    },
    Verb {
        name: "e2e",
        usage: "e2e VERB [--seed N]",
        what: "the release binary under `kill`, `split`, `power-cut` or `disk-full`",
        run: e2e::run,
    },
    Verb {
        name: "bench",
        usage: "bench SCENARIO [FLAGS]",
        what: "a benchmark of the released binary: hold, chat, storm, fanout or slice",
        run: bench::run,
    },
    Verb {
        name: "fuzz",
        usage: "fuzz TARGET (--seconds S | --merge)",
        what: "one fuzz target of tests/fuzz for a while; take what it found into the corpus",
        run: fuzz::run,
    },
    Verb {
        name: "tlsfuzzer",
        usage: "tlsfuzzer CLONE",
        what: "the scripts of a clone of tlsfuzzer that apply to our TLS",
        run: tlsfuzzer::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        print_help();
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print_help();
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        eprintln!("xtask: no verb `{name}`; `cargo xtask help` lists them");
        return ExitCode::from(2);
    };
    match (verb.run)(rest) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Broken) => ExitCode::from(1),
        Ok(Outcome::Skipped) => ExitCode::from(3),
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn print_help() {
    println!("cargo xtask VERB\n");
    for verb in VERBS {
        println!("  {:<44} {}", verb.usage, verb.what);
    }
}
