//! `cargo xtask test`: every check there is, as a table of steps. Says what runs, how long it took and how it ended; runs
//! every step, also after a failed one, so that one run shows all there is to mend.
//!
//! The last line is `N passed, N failed, N skipped`: a test run counts with each of its tests, any other step as one.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{Outcome, process, repo};

/// One check.
struct Step {
    name: &'static str,
    what: &'static str,
    command: &'static [&'static str],
    passes: Passes,
}

/// When a step has passed.
enum Passes {
    /// Exit code 0; 3 is a skip.
    OnSuccess,
    /// Exit code 1 and a line that says that this promise was broken: the step sabotages what keeps it.
    OnBroken(&'static str),
}

use Passes::{OnBroken, OnSuccess};

const STEPS: &[Step] = &[
    Step {
        name: "format",
        what: "rustfmt has nothing to change",
        command: &["cargo", "fmt", "--all", "--check"],
        passes: OnSuccess,
    },
    Step {
        name: "tidy",
        what: "imports, purity, style: what no compiler checks",
        command: &["cargo", "xtask", "tidy"],
        passes: OnSuccess,
    },
    Step {
        name: "codegen",
        what: "generated code is what the schemas give",
        command: &["cargo", "xtask", "codegen", "--check"],
        passes: OnSuccess,
    },
    Step {
        name: "schema",
        what: "the schemas fit every landed version",
        command: &["cargo", "xtask", "schema"],
        passes: OnSuccess,
    },
    Step {
        name: "clippy",
        what: "no warning anywhere",
        command: &["cargo", "clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
        passes: OnSuccess,
    },
    Step {
        name: "no_std",
        what: "the pure crates link without std",
        command: &["cargo", "build", "--quiet", "--locked", "--manifest-path", "tests/no_std/Cargo.toml"],
        passes: OnSuccess,
    },
    Step {
        name: "tests",
        what: "unit and integration tests of every crate",
        command: &["cargo", "test", "--quiet", "--workspace", "--no-fail-fast"],
        passes: OnSuccess,
    },
    Step {
        name: "sim",
        what: "500 seeds of the simulated system keep every promise",
        command: &["cargo", "xtask", "sim", "--seeds", "500"],
        passes: OnSuccess,
    },
    Step {
        name: "sim dedup",
        what: "with dedup sabotaged the simulator finds P2 broken",
        command: &["cargo", "xtask", "sim", "--seeds", "200", "--break", "dedup"],
        passes: OnBroken("P2"),
    },
    Step {
        name: "sim fsync",
        what: "with a disk that lies about syncs the simulator finds P1 broken",
        command: &["cargo", "xtask", "sim", "--seeds", "200", "--break", "fsync"],
        passes: OnBroken("P1"),
    },
    Step {
        name: "sim membership",
        what: "with the membership check sabotaged the simulator finds P6 broken",
        command: &["cargo", "xtask", "sim", "--seeds", "200", "--break", "membership"],
        passes: OnBroken("P6"),
    },
    Step {
        name: "sim rings",
        what: "500 seeds of the gateway's sockets on a simulated ring lose no byte and leave nothing behind",
        command: &["cargo", "xtask", "sim", "--rings", "--seeds", "500"],
        passes: OnSuccess,
    },
    Step {
        name: "sim ring-rearm",
        what: "a receive that is not begun again is found",
        command: &["cargo", "xtask", "sim", "--seeds", "100", "--break", "ring-rearm"],
        passes: OnBroken("ring-progress"),
    },
    Step {
        name: "sim ring-short-write",
        what: "a short send that is taken for whole is found",
        command: &["cargo", "xtask", "sim", "--seeds", "100", "--break", "ring-short-write"],
        passes: OnBroken("ring-bytes"),
    },
    Step {
        name: "sim ring-early-free",
        what: "a slot that is freed under what is under way on it is found",
        command: &["cargo", "xtask", "sim", "--seeds", "100", "--break", "ring-early-free"],
        passes: OnBroken("ring-slots"),
    },
    Step {
        name: "e2e kill",
        what: "kill -9 under load: the binary loses nothing that it acked",
        command: &["cargo", "xtask", "e2e", "kill"],
        passes: OnSuccess,
    },
    Step {
        name: "e2e split",
        what: "router and gateways as processes that die, and links that break: nothing acked is lost or doubled",
        command: &["cargo", "xtask", "e2e", "split"],
        passes: OnSuccess,
    },
    Step {
        name: "e2e power-cut",
        what: "power cuts under load: nothing acked is lost, and without fdatasync something is",
        command: &["cargo", "xtask", "e2e", "power-cut"],
        passes: OnSuccess,
    },
    Step {
        name: "e2e disk-full",
        what: "a full disk refuses new messages, loses none, and goes on when it has room",
        command: &["cargo", "xtask", "e2e", "disk-full"],
        passes: OnSuccess,
    },
    Step {
        name: "e2e frozen",
        what: "a message reaches a group of 1,024; one who stops reading costs the others nothing and misses nothing",
        command: &["cargo", "xtask", "e2e", "frozen"],
        passes: OnSuccess,
    },
    Step {
        name: "e2e hostile",
        what: "slow, silent, flooding and lying peers: who chats beside them loses nothing, and of the peers nothing stays",
        command: &["cargo", "xtask", "e2e", "hostile"],
        passes: OnSuccess,
    },
    Step {
        name: "e2e soak",
        what: "two thousand clients and every fault at once: nothing is lost, doubled or out of order, no receipt is missed",
        command: &["cargo", "xtask", "e2e", "soak-short"],
        passes: OnSuccess,
    },
    Step {
        name: "bench hold",
        what: "20,000 connections at a time, each sends and gets a message, and none is lost",
        command: &[
            "cargo",
            "xtask",
            "bench",
            "hold",
            "--connections",
            "20000",
            "--seconds",
            "2",
            "--rate",
            "5000",
            "--scratch",
            "target",
            "--slo",
            "connections_held>=20000,connections_lost<=0,lost<=0,duplicated<=0,reordered<=0",
        ],
        passes: OnSuccess,
    },
    Step {
        name: "bench channels",
        what: "everybody who follows a channel gets each message once and in order, on both drivers",
        command: &[
            "cargo",
            "xtask",
            "bench",
            "fanout",
            "--channels",
            "--groups",
            "4",
            "--members",
            "100",
            "--rate",
            "100",
            "--seconds",
            "2",
            "--driver",
            "both",
            "--scratch",
            "target",
            "--slo",
            "lost<=0,duplicated<=0,reordered<=0",
        ],
        passes: OnSuccess,
    },
];

/// How many checks ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// From the closing line of a test binary.
    fn of_test_binary(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            let part = counts.split("; ").find_map(|part| part.strip_suffix(word));
            part.and_then(|number| number.trim().parse().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
    }

    fn word(self) -> &'static str {
        match self {
            Self { failed: 1.., .. } => "FAILED",
            Self { passed: 0, .. } => "skipped",
            _ => "passed",
        }
    }
}

/// What a step did.
#[derive(Default)]
struct Ended {
    exit_code: i32,
    /// Of all test binaries it ran; `None` if it ran none.
    tests: Option<Tally>,
    lines_of_broken_promises: Vec<String>,
}

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask test");
    }
    let mut rows = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        println!("[{}/{}] {}: {}", index + 1, STEPS.len(), step.name, step.what);
        let began = Instant::now();
        let tally = judge(&step.passes, &execute(step.command)?);
        let took = began.elapsed();
        println!("[{}/{}] {} {} after {:.1} s\n", index + 1, STEPS.len(), step.name, tally.word(), took.as_secs_f64());
        rows.push((step, tally, took));
    }
    print_table(&rows);
    let total = rows.iter().fold(Tally::default(), |total, (_, tally, _)| total.and(*tally));
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(if total.failed == 0 { Outcome::Clean } else { Outcome::Broken })
}

/// Runs the command to its end, shows what it writes, and keeps what the verdict needs.
fn execute(words: &[&str]) -> Result<Ended> {
    let (program, arguments) = words.split_first().expect("a step names a program");
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let mut command = Command::new(program);
    command.current_dir(repo::root()).args(arguments).stdout(writer.try_clone()?).stderr(writer);
    let mut child = process::without_our_package(&mut command)
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
    // It holds the writing end: the output would never end.
    drop(command);
    let mut ended = Ended::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        if let Some(tally) = Tally::of_test_binary(&line) {
            ended.tests = Some(ended.tests.unwrap_or_default().and(tally));
        }
        if line.contains(" broken: ") {
            ended.lines_of_broken_promises.push(line);
        }
    }
    ended.exit_code = child.wait()?.code().unwrap_or(2);
    Ok(ended)
}

fn judge(passes: &Passes, ended: &Ended) -> Tally {
    match (passes, ended.exit_code) {
        (OnSuccess, 0) => ended.tests.unwrap_or(Tally::PASSED),
        (OnSuccess, 3) => Tally::SKIPPED,
        // A test run that failed without a failed test did not compile, or a test binary died.
        (OnSuccess, _) => ended.tests.filter(|tests| tests.failed > 0).unwrap_or(Tally::FAILED),
        (OnBroken(promise), 1) if ended.lines_of_broken_promises.iter().any(|line| line.starts_with(promise)) => {
            Tally::PASSED
        }
        (OnBroken(_), _) => Tally::FAILED,
    }
}

fn print_table(rows: &[(&Step, Tally, Duration)]) {
    for (step, tally, took) in rows {
        let Tally { passed, failed, skipped } = tally;
        let counts = if passed + failed + skipped > 1 {
            format!("  ({passed} passed, {failed} failed, {skipped} skipped)")
        } else {
            String::new()
        };
        let command = step.command.join(" ");
        println!("{:<14} {:<8} {:>6.1} s  {command}{counts}", step.name, tally.word(), took.as_secs_f64());
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit_code: i32, lines: &[&str]) -> Ended {
        Ended {
            exit_code,
            tests: None,
            lines_of_broken_promises: lines.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    #[test]
    fn a_test_run_counts_with_each_of_its_tests() {
        let line = "test result: FAILED. 41 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.13s";
        let tally = Tally { passed: 41, failed: 2, skipped: 1 };
        assert_eq!(Tally::of_test_binary(line), Some(tally));
        assert_eq!(judge(&OnSuccess, &Ended { tests: Some(tally), ..ended(101, &[]) }), tally);
        assert_eq!(Tally::of_test_binary("running 3 tests"), None);
    }

    #[test]
    fn a_test_run_that_died_has_failed_whatever_it_counted() {
        let tests = Some(Tally { passed: 41, failed: 0, skipped: 0 });
        assert_eq!(judge(&OnSuccess, &Ended { tests, ..ended(101, &[]) }), Tally::FAILED);
    }

    #[test]
    fn a_skip_is_neither_a_pass_nor_a_failure() {
        assert_eq!(judge(&OnSuccess, &ended(3, &[])).word(), "skipped");
        assert_eq!(judge(&OnSuccess, &ended(0, &[])).word(), "passed");
        assert_eq!(judge(&OnSuccess, &ended(2, &[])).word(), "FAILED");
    }

    #[test]
    fn a_sabotage_passes_only_if_its_own_promise_breaks() {
        let p2 = ["P2 broken: one message at two seqs"];
        assert_eq!(judge(&OnBroken("P2"), &ended(1, &p2)), Tally::PASSED);
        assert_eq!(judge(&OnBroken("P6"), &ended(1, &p2)), Tally::FAILED);
        assert_eq!(judge(&OnBroken("P2"), &ended(0, &[])), Tally::FAILED);
        assert_eq!(judge(&OnBroken("P2"), &ended(2, &p2)), Tally::FAILED);
    }

    #[test]
    fn a_command_shows_its_output_and_its_exit_code() {
        let ended = execute(&["sh", "-c", "echo 'P1 broken: x'; echo 'P2 broken: y' >&2; exit 5"]).expect("sh runs");
        assert_eq!(ended.exit_code, 5);
        assert_eq!(ended.lines_of_broken_promises, ["P1 broken: x", "P2 broken: y"]);
    }
}
