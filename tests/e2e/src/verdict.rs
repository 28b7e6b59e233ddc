//! How a check ends, and its exit code: 0 green, 1 a promise is broken, 2 the harness could not judge, 3 skipped.

use std::process::ExitCode;

/// What a check gives.
pub type Verdict<T = ()> = Result<T, Failure>;

/// Why a check is not green.
#[derive(Debug)]
pub enum Failure {
    /// The product did not keep its word.
    Broken {
        /// Which word: `P1` to `P10`.
        promise: &'static str,
        /// What was seen.
        text: String,
    },
    /// This machine lacks what it takes.
    Skipped(String),
    /// It could not be judged: something stalled, or did not start.
    Harness(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Harness(error)
    }
}

/// A broken promise.
pub fn broken(promise: &'static str, text: impl Into<String>) -> Failure {
    Failure::Broken { promise, text: text.into() }
}

/// Says how it ended and gives the exit code.
pub fn conclude(verb: &str, verdict: Verdict<String>) -> ExitCode {
    match verdict {
        Ok(text) => {
            println!("{verb}: {text}");
            ExitCode::SUCCESS
        }
        Err(Failure::Broken { promise, text }) => {
            println!("{promise} broken: {text}");
            ExitCode::from(1)
        }
        Err(Failure::Harness(error)) => {
            eprintln!("{verb}: could not judge: {error:#}");
            ExitCode::from(2)
        }
        Err(Failure::Skipped(reason)) => {
            println!("{verb}: skipped: {reason}");
            ExitCode::from(3)
        }
    }
}
