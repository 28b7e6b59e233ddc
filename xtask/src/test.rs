//! `cargo xtask test`: every check there is, in a table; says what runs, how long it took, and how it ended.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{Outcome, process, repo};

/// One check.
struct Step {
    name: &'static str,
    what: &'static str,
    command: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step { name: "format", what: "rustfmt has nothing to change", command: &["cargo", "fmt", "--all", "--check"] },
    Step { name: "tidy", what: "imports, purity, text", command: &["cargo", "xtask", "tidy"] },
    Step {
        name: "codegen",
        what: "generated code is what the schemas give",
        command: &["cargo", "xtask", "codegen", "--check"],
    },
    Step {
        name: "clippy",
        what: "no warnings anywhere",
        command: &["cargo", "clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
    },
    Step { name: "tests", what: "unit and integration tests", command: &["cargo", "test", "--quiet", "--workspace"] },
];

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// The verb. Runs every step, also after a failed one, so that one run shows all there is to mend.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask test");
    }
    let mut ended = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        println!("[{}/{}] {}: {}", index + 1, STEPS.len(), step.name, step.what);
        let began = Instant::now();
        let (program, arguments) = step.command.split_first().expect("a step names a program");
        let mut command = Command::new(program);
        command.current_dir(repo::root()).args(arguments);
        let verdict = match process::exit_code_of(&mut command)? {
            0 => Verdict::Passed,
            3 => Verdict::Skipped,
            _ => Verdict::Failed,
        };
        ended.push((step, verdict, began.elapsed()));
    }
    print_table(&ended);
    let failed = ended.iter().any(|(_, verdict, _)| *verdict == Verdict::Failed);
    Ok(if failed { Outcome::Broken } else { Outcome::Clean })
}

fn print_table(ended: &[(&Step, Verdict, Duration)]) {
    println!();
    for (step, verdict, took) in ended {
        let word = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        println!("{:<10} {word:<8} {:>6.1} s  {}", step.name, took.as_secs_f64(), step.command.join(" "));
    }
    let count = |wanted: Verdict| ended.iter().filter(|(_, verdict, _)| *verdict == wanted).count();
    println!(
        "{} passed, {} failed, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Skipped)
    );
}
