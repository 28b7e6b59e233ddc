//! `cargo xtask tidy`: what the compiler does not check. One rule a file; each names file, line and rule.

mod imports;
mod purity;
mod rust_code;
mod size;
mod text;

use std::fmt;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::{Outcome, repo};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    /// From 1.
    line: usize,
    rule: &'static str,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.message)
    }
}

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask tidy");
    }
    let mut violations = imports::check(&imports::workspace_crates()?);
    let ratchet = size::ratchet();
    for file in repo::files()? {
        let bytes = fs::read(repo::root().join(&file)).with_context(|| format!("cannot read {file}"))?;
        let Ok(content) = String::from_utf8(bytes) else { continue };
        violations.extend(text::check(&file, &content));
        violations.extend(purity::check(&file, &content));
        violations.extend(size::check(&file, &content, &ratchet));
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    Ok(if violations.is_empty() { Outcome::Clean } else { Outcome::Broken })
}
