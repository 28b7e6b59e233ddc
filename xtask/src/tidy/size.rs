//! Functions and files that fit a head. The longer ones that exist are listed with their length, which may only fall.

use std::collections::BTreeMap;

use super::Violation;
use super::rust_code::RustCode;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
/// `PLACE LINES` a line; a place is a file, or a file and a function as `FILE:FUNCTION`.
const RATCHET: &str = include_str!("../../tidy-ratchet.txt");

/// The committed list.
pub(super) fn ratchet() -> BTreeMap<&'static str, usize> {
    RATCHET
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(place, lines)| (place, lines.parse().expect("the list holds a number of lines behind each place")))
        .collect()
}

/// The rules for one file.
pub(super) fn check(file: &str, content: &str, ratchet: &BTreeMap<&str, usize>) -> Vec<Violation> {
    if !file.ends_with(".rs") || file.ends_with("generated.rs") {
        return Vec::new();
    }
    let functions = RustCode::new(content).functions;
    let places = functions
        .iter()
        .map(|function| (format!("{file}:{}", function.name), function.line, function.line_count, FUNCTION_LINES_MAX));
    let whole = (file.to_owned(), 1, content.lines().count(), FILE_LINES_MAX);
    let mut violations = Vec::new();
    for (place, line, line_count, lines_max) in places.chain([whole]) {
        let listed = ratchet.get(place.as_str()).copied();
        let message = match listed {
            None if line_count > lines_max => format!("{place} has {line_count} lines, more than {lines_max}"),
            Some(allowed) if line_count > allowed => format!("{place} has grown from {allowed} to {line_count} lines"),
            Some(_) if line_count <= lines_max => {
                format!("{place} has become short: take it off xtask/tidy-ratchet.txt")
            }
            _ => continue,
        };
        violations.push(Violation { file: file.to_owned(), line, rule: "size", message });
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        format!("//! x\nfn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_function_is_named_unless_it_is_listed_and_has_not_grown() {
        assert_eq!(check("a.rs", &function_of(70), &BTreeMap::new()), []);
        assert_eq!(check("a.rs", &function_of(71), &BTreeMap::new()).len(), 1);
        assert_eq!(check("a.rs", &function_of(80), &BTreeMap::from([("a.rs:long", 80)])), []);
        assert_eq!(check("a.rs", &function_of(81), &BTreeMap::from([("a.rs:long", 80)])).len(), 1);
    }

    #[test]
    fn a_listed_function_that_has_become_short_must_leave_the_list() {
        assert_eq!(check("a.rs", &function_of(60), &BTreeMap::from([("a.rs:long", 80)])).len(), 1);
    }
}
