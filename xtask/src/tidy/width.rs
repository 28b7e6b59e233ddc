//! Rule `width`: a line of Rust that a reader need not scroll. rustfmt breaks code at 120 columns but leaves long
//! literals and comments alone.

use super::{Tree, Violation};

const COLUMNS_MAX: usize = 140;

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (file, _) in tree.rust_files() {
        for (line, text) in file.lines() {
            let columns = text.chars().count();
            if columns > COLUMNS_MAX {
                let message = format!("{columns} columns, at most {COLUMNS_MAX}");
                found.push(Violation { file: file.path.clone(), line, rule: "width", message });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_found_and_one_that_just_fits_is_not() {
        let text = format!("// {}\n// {}\n", "é".repeat(137), "é".repeat(138));
        let mut found = Vec::new();
        check(&Tree::of_files(&[("a.rs", &text), ("a.md", &text)]), &mut found);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a.rs:2: width: 141 columns, at most 140"]);
    }
}
