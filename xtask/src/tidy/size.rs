//! Rule `size`: functions of about 70 lines and files of about 500. What was longer when it was judged stands in a list
//! with its length, which may only shrink: growing is a violation, and so is a number that is no longer true.
//!
//! `cargo xtask tidy --ratchet` lowers numbers and drops lines. Adding a line is done by hand, for a reviewer to see.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::tree::TextFile;
use super::{Tree, Violation};
use crate::{Outcome, repo};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
const LIST: &str = "xtask/tidy-ratchet.txt";

/// What has a size, with that size and the line where it begins.
#[derive(Clone, Copy)]
struct Measured {
    line_count: usize,
    line_count_max: usize,
    line: usize,
}

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    let sizes = measure(tree);
    let mut listed = BTreeMap::new();
    for (line, text) in list_file(tree).into_iter().flat_map(TextFile::lines).filter(|(_, text)| is_entry(text)) {
        let mut report = |message| found.push(Violation { file: LIST.to_owned(), line, rule: "size", message });
        let Some((name, line_count)) = parse_entry(text) else {
            report("not `PATH LINES` or `PATH:FUNCTION LINES`".to_owned());
            continue;
        };
        listed.insert(name, line_count);
        match sizes.get(name) {
            Some(size) if size.line_count > size.line_count_max && size.line_count >= line_count => {}
            Some(size) => report(format!("{name} has {} lines now: `cargo xtask tidy --ratchet`", size.line_count)),
            None => report(format!("{name} is gone: `cargo xtask tidy --ratchet`")),
        }
    }
    for (name, size) in &sizes {
        let line_count_max = listed.get(name.as_str()).map_or(size.line_count_max, |line_count| *line_count);
        if size.line_count > line_count_max.max(size.line_count_max) {
            let file = name.split(':').next().unwrap_or(name).to_owned();
            let message = format!("{name} has {} lines, at most {line_count_max}: split it", size.line_count);
            found.push(Violation { file, line: size.line, rule: "size", message });
        }
    }
}

/// Writes the list anew with every number at most what it was: `tidy --ratchet`.
pub(super) fn tighten(tree: &Tree) -> Result<Outcome> {
    let Some(list) = list_file(tree) else { return Ok(Outcome::Clean) };
    fs::write(repo::root().join(LIST), tightened(&list.text, &measure(tree))).context("cannot write the list")?;
    Ok(Outcome::Clean)
}

fn tightened(list: &str, sizes: &BTreeMap<String, Measured>) -> String {
    let tighten_line = |line: &str| {
        let entry = if is_entry(line) { parse_entry(line) } else { None };
        let Some((name, line_count)) = entry else { return Some(line.to_owned()) };
        let size = sizes.get(name).filter(|size| size.line_count > size.line_count_max)?;
        Some(format!("{name} {}", size.line_count.min(line_count)))
    };
    list.lines().filter_map(tighten_line).map(|line| line + "\n").collect()
}

fn list_file(tree: &Tree) -> Option<&TextFile> {
    tree.files.iter().find(|file| file.path == LIST)
}

fn is_entry(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

fn parse_entry(line: &str) -> Option<(&str, usize)> {
    let (name, line_count) = line.rsplit_once(' ')?;
    Some((name, line_count.parse().ok()?))
}

/// The sizes of all files, by path, and of all functions, by `path:function`; among namesakes the longest counts.
fn measure(tree: &Tree) -> BTreeMap<String, Measured> {
    let mut sizes = BTreeMap::new();
    for (file, rust) in tree.rust_files() {
        let line_count = file.text.lines().count();
        sizes.insert(file.path.clone(), Measured { line_count, line_count_max: FILE_LINES_MAX, line: 1 });
        for function in &rust.functions {
            let size =
                Measured { line_count: function.line_count, line_count_max: FUNCTION_LINES_MAX, line: function.line };
            let longest = sizes.entry(format!("{}:{}", file.path, function.name)).or_insert(size);
            if size.line_count > longest.line_count {
                *longest = size;
            }
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(line_count: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    a();\n".repeat(line_count - 2))
    }

    fn found(list: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        check(&Tree::of_files(&[(LIST, list), ("a.rs", text)]), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_long_function_and_a_long_file_are_found() {
        assert_eq!(found("", &function(70)), [""; 0]);
        let long = format!("\n{}", function(71));
        assert_eq!(found("", &long), ["a.rs:2: size: a.rs:long has 71 lines, at most 70: split it"]);
        assert_eq!(found("", &"\n".repeat(501)), ["a.rs:1: size: a.rs has 501 lines, at most 500: split it"]);
    }

    #[test]
    fn a_listed_one_may_stay_but_not_grow() {
        assert_eq!(found("# why\na.rs:long 80\n", &function(80)), [""; 0]);
        let grown = "a.rs:1: size: a.rs:long has 81 lines, at most 80: split it";
        assert_eq!(found("a.rs:long 80\n", &function(81)), [grown]);
    }

    #[test]
    fn a_listed_one_that_shrank_must_be_written_down() {
        let shrunk = "xtask/tidy-ratchet.txt:1: size: a.rs:long has 79 lines now: `cargo xtask tidy --ratchet`";
        assert_eq!(found("a.rs:long 80\n", &function(79)), [shrunk]);
        assert_eq!(found("a.rs:long 80\n", &function(70)).len(), 1);
        assert_eq!(found("b.rs:gone 80\n", &function(70)).len(), 1);
    }

    #[test]
    fn a_number_is_lowered_and_never_raised() {
        let tightened = |list: &str, line_count| {
            let text = function(line_count);
            tightened(list, &measure(&Tree::of_files(&[("a.rs", &text)])))
        };
        assert_eq!(tightened("# why\na.rs:long 80\n", 75), "# why\na.rs:long 75\n");
        assert_eq!(tightened("a.rs:long 80\n", 90), "a.rs:long 80\n");
        assert_eq!(tightened("a.rs:long 80\nb.rs:gone 80\n", 70), "");
    }

    #[test]
    fn a_line_that_says_nothing_is_found() {
        assert_eq!(
            found("a.rs:long\n", ""),
            ["xtask/tidy-ratchet.txt:1: size: not `PATH LINES` or `PATH:FUNCTION LINES`"]
        );
    }
}
