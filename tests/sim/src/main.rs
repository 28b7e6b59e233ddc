//! `sim`: runs seeds of the simulated system. Exit codes: 0 every promise was kept, 1 one was broken and named, 2
//! anything else.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is the only reader of this program")]

use std::process::ExitCode;

use sim::campaign::Campaign;
use sim::outcome::{Ending, Outcome};
use sim::store::Sabotage;

const USAGE: &str = "\
usage: sim --seeds N [--first S] [--break PART]
       sim --seed S [--trace] [--break PART]

Each seed is run twice and must give the same history. --trace prints every step.
A seed that is not green is printed with the command that replays it.
PART is what is switched off, and which promise must be found broken:
  dedup       no retry is recognised: P2
  membership  everybody is a member everywhere: P6
  fsync       the disk says of every commit that it is synced: P1
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
        Ok(campaign) => run(&campaign),
        Err(complaint) => {
            eprintln!("sim: {complaint}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Campaign, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut campaign = Campaign { first: 0, count: 0, sabotage: None, prints_trace: false, threads };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
        let number = |text: &String| text.parse().map_err(|_| format!("`{text}` is not a number"));
        match argument.as_str() {
            "--seeds" => campaign.count = number(value()?)?,
            "--first" => campaign.first = number(value()?)?,
            "--seed" => (campaign.first, campaign.count, campaign.threads) = (number(value()?)?, 1, 1),
            "--trace" => campaign.prints_trace = true,
            "--break" => campaign.sabotage = Some(sabotage(value()?)?),
            other => return Err(format!("`{other}` means nothing here")),
        }
    }
    match campaign.count {
        0 => Err("say how many seeds (--seeds N) or which one (--seed S)".into()),
        count if count > 1 && campaign.prints_trace => Err("--trace is for one seed (--seed S)".into()),
        _ => Ok(campaign),
    }
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    let known = Sabotage::ALL.iter().find(|(known, _)| *known == name);
    known.map(|(_, sabotage)| *sabotage).ok_or(format!("`{name}` is nothing that can be broken"))
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
