//! `cargo xtask tidy`: the rules of this house that no compiler checks. One file per rule; each looks at the whole
//! [`Tree`] and adds a [`Violation`] for every breach it finds.

mod dependencies;
mod imports;
mod leaks;
mod lints;
mod opening;
mod placeholders;
mod purity;
mod rust_code;
mod size;
mod tree;
mod unsafe_code;
mod unwraps;
mod whitespace;
mod width;
mod workspace;

use std::fmt;

use anyhow::{Result, bail};

use crate::Outcome;
use tree::Tree;

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Relative to the root of the checkout.
    file: String,
    /// From 1.
    line: usize,
    rule: &'static str,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}: {}", self.file, self.line, self.rule, self.message)
    }
}

/// A rule adds what it finds.
type Rule = fn(&Tree, &mut Vec<Violation>);

const RULES: &[Rule] = &[
    imports::check,
    dependencies::check,
    lints::check,
    unsafe_code::check,
    purity::check,
    opening::check,
    unwraps::check,
    placeholders::check,
    width::check,
    size::check,
    leaks::check,
    whitespace::check,
];

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    let tree = Tree::read()?;
    match arguments {
        [] => Ok(report(&violations(&tree))),
        [flag] if flag == "--ratchet" => size::tighten(&tree),
        _ => bail!("usage: cargo xtask tidy [--ratchet]"),
    }
}

fn violations(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for rule in RULES {
        rule(tree, &mut found);
    }
    found.sort();
    found
}

fn report(violations: &[Violation]) -> Outcome {
    for violation in violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        return Outcome::Clean;
    }
    println!("tidy: violations found: {}", violations.len());
    Outcome::Broken
}
