//! `sim`: runs seeds of the simulated system. Exit codes: 0 every promise was kept, 1 one was broken and named, 2
//! anything else.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is the only reader of this program")]

use std::process::ExitCode;

use sim::campaign::Campaign;
use sim::outcome::{Ending, Outcome};
use sim::rings::{self, RingSabotage, Tally};
use sim::store::Sabotage;

const USAGE: &str = "\
usage: sim [--rings] --seeds N [--first S] [--break PART]
       sim [--rings] --seed S [--trace] [--break PART]

Each seed is run twice and must give the same history. --trace prints every step.
A seed that is not green is printed with the command that replays it.
PART is what is switched off, and which promise must be found broken:
  dedup       no retry is recognised: P2
  membership  everybody is a member everywhere: P6
  fsync       the disk says of every commit that it is synced: P1
With --rings it is the gateway's sockets on a simulated io_uring. Their PARTs, which imply --rings, and what must break:
  ring-rearm        a receive without a buffer is not begun again: ring-progress
  ring-short-write  a short send is taken for whole: ring-bytes
  ring-early-free   a slot is free while something is under way on it: ring-slots
Exit codes: 0 green, 1 a promise was broken, 2 anything else.";

/// So many seeds let every row of the table show something, or the simulator does not do what it says.
const SEEDS_WITH_FULL_TABLE: u64 = 500;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| matches!(argument.as_str(), "help" | "--help" | "-h")) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(&arguments) {
        Ok((campaign, None)) => run(&campaign),
        Ok((campaign, Some(sabotage))) => run_rings(&campaign, sabotage),
        Err(complaint) => {
            eprintln!("sim: {complaint}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// With what of the rings is broken, if it is about them.
type Wish = (Campaign, Option<Option<RingSabotage>>);

fn parse(arguments: &[String]) -> Result<Wish, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut campaign = Campaign { first: 0, count: 0, sabotage: None, prints_trace: false, threads };
    let mut rings = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
        let number = |text: &String| text.parse().map_err(|_| format!("`{text}` is not a number"));
        match argument.as_str() {
            "--seeds" => campaign.count = number(value()?)?,
            "--first" => campaign.first = number(value()?)?,
            "--seed" => (campaign.first, campaign.count, campaign.threads) = (number(value()?)?, 1, 1),
            "--trace" => campaign.prints_trace = true,
            "--rings" => rings = rings.or(Some(None)),
            "--break" => match value()? {
                name if name.starts_with("ring-") => rings = Some(Some(named(RingSabotage::ALL, name)?)),
                name => campaign.sabotage = Some(named(Sabotage::ALL, name)?),
            },
            other => return Err(format!("`{other}` means nothing here")),
        }
    }
    match campaign.count {
        0 => Err("say how many seeds (--seeds N) or which one (--seed S)".into()),
        count if count > 1 && campaign.prints_trace => Err("--trace is for one seed (--seed S)".into()),
        _ if campaign.prints_trace && rings.is_some() => Err("--trace is not for --rings".into()),
        _ if campaign.sabotage.is_some() && rings.is_some() => Err("of two worlds break one".into()),
        _ => Ok((campaign, rings)),
    }
}

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> Result<T, String> {
    let known = all.iter().find(|(known, _)| *known == name);
    known.map(|(_, thing)| *thing).ok_or(format!("`{name}` is nothing that can be broken"))
}

/// What a run of this many seeds has shown, or it proves nothing.
const RING_FACTS: [&str; 12] = [
    "accepts without a descriptor",
    "connections reset",
    "receives without a buffer",
    "sends cancelled",
    "short receives",
    "short sends",
    "sockets that could not come in",
    "sockets that could not leave",
    "sockets that left",
    "turns that did not take everything",
    "watches that ended",
    "watches that saw the peer gone",
];
const RING_SEEDS_WITH_ALL_FACTS: u64 = 50;

fn run_rings(campaign: &Campaign, sabotage: Option<RingSabotage>) -> ExitCode {
    let mut sum = Tally::new();
    for seed in campaign.first..campaign.first + campaign.count {
        let replay = Replay { seed, sabotage };
        let outcome = rings::run(seed, sabotage);
        if let Some(broken) = outcome.broken {
            println!("{broken}");
            return ExitCode::from(1);
        }
        assert_eq!(outcome, rings::run(seed, sabotage), "two runs of this seed differ");
        outcome.tally.into_iter().for_each(|(what, count)| *sum.entry(what).or_default() += count);
        std::mem::forget(replay);
    }
    println!("{:>9} seeds of the rings, each twice", campaign.count);
    sum.iter().for_each(|(what, count)| println!("{count:>9} {what}"));
    let unseen: Vec<_> = RING_FACTS.into_iter().filter(|fact| !sum.contains_key(fact)).collect();
    if campaign.count >= RING_SEEDS_WITH_ALL_FACTS && !unseen.is_empty() {
        println!("never seen, so this run proves nothing about it: {}", unseen.join("; "));
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

/// Says how to repeat a seed that has not ended well, also when it has panicked.
struct Replay {
    seed: u64,
    sabotage: Option<RingSabotage>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        let known = RingSabotage::ALL.iter().find(|(_, sabotage)| Some(*sabotage) == self.sabotage);
        let sabotage = known.map(|(name, _)| format!(" --break {name}")).unwrap_or_default();
        println!("cargo xtask sim --rings{sabotage} --seed {}", self.seed);
    }
}

fn run(campaign: &Campaign) -> ExitCode {
    let (report, failure) = campaign.run();
    if let Some(outcome) = failure {
        print_failure(campaign, &outcome);
        return ExitCode::from(if matches!(outcome.ending, Ending::Broken(_)) { 1 } else { 2 });
    }
    print!("{}", report.table());
    let empty_rows = report.empty_rows();
    if campaign.count >= SEEDS_WITH_FULL_TABLE && campaign.sabotage.is_none() && !empty_rows.is_empty() {
        println!("never seen, so this run proves nothing about it: {}", empty_rows.join("; "));
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

fn print_failure(campaign: &Campaign, outcome: &Outcome) {
    println!("{}", outcome.ending);
    let sabotage = Sabotage::ALL.iter().find(|(_, sabotage)| Some(*sabotage) == campaign.sabotage);
    let sabotage = sabotage.map(|(name, _)| format!(" --break {name}")).unwrap_or_default();
    println!("cargo xtask sim{sabotage} --seed {}", outcome.seed);
}
