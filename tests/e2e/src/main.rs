//! What no test of a single process can show: `e2e kill`, `e2e split`, `e2e power-cut`, `e2e disk-full`, `e2e frozen`,
//! `e2e hostile`, `e2e soak`, `e2e soak-short`.
//!
//! Exit codes: 0 green, 1 a promise is broken and named, 2 it could not be judged, 3 skipped for a reason that is named.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is the only reader of this program")]

mod disk_full;
mod ending;
mod frozen;
mod hostile;
mod kill;
mod power_cut;
mod soak;
mod split;

use std::process::ExitCode;
use std::time::Duration;

use e2e::binary;
use e2e::cleanup;
use e2e::dice::Dice;
use e2e::verdict::{Verdict, conclude};

/// Nothing here takes longer.
const TIME_MAX: Duration = Duration::from_secs(300);

struct Verb {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Dice) -> Verdict<String>,
}

const VERBS: &[Verb] = &[
    Verb { name: "kill", what: "kill -9 of the server and of devices under load", run: kill::run },
    Verb {
        name: "split",
        what: "kill -9 of router and gateways as processes of their own, and of the links between them, under load",
        run: split::run,
    },
    Verb {
        name: "power-cut",
        what: "power cuts of the server's disk under load, with fdatasync and without",
        run: power_cut::run,
    },
    Verb { name: "disk-full", what: "a disk that fills up under load, and empties again", run: disk_full::run },
    Verb { name: "frozen", what: "a full group, one of whom stops reading and one of whom is away", run: frozen::run },
    Verb {
        name: "hostile",
        what: "people who chat, and beside them every kind of peer that means harm",
        run: hostile::run,
    },
    Verb { name: "soak", what: "two thousand clients, and every fault but a power cut, for a minute", run: soak::run },
    Verb { name: "soak-short", what: "the same for half a minute", run: soak::run_short },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (name, mut dice) = match words[..] {
        [name] => (name, Dice::seeded_by_chance()),
        [name, "--seed", seed] if seed.parse::<u64>().is_ok() => (name, Dice::new(seed.parse().unwrap_or_default())),
        _ => return usage(),
    };
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else { return usage() };
    cleanup::watch();
    // It may take minutes, which are not the verb's.
    if let Err(error) = binary::ringpost() {
        return conclude(name, Err(error.into()));
    }
    cleanup::limit(TIME_MAX);
    println!("{name}: {} (--seed {})", verb.what, dice.seed());
    conclude(name, (verb.run)(&mut dice))
}

fn usage() -> ExitCode {
    eprintln!("usage: e2e VERB [--seed N]\n");
    VERBS.iter().for_each(|verb| eprintln!("  {:<10} {}", verb.name, verb.what));
    ExitCode::from(2)
}
