//! Rule `opening`: a Rust file opens with `//!`, which says what it is and what it is not.

use super::{Tree, Violation};

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (file, _) in tree.rust_files().filter(|(file, _)| !file.text.starts_with("//! ")) {
        let message = "opens with `//!`: what it is, what it is not, its invariants".to_owned();
        found.push(Violation { file: file.path.clone(), line: 1, rule: "opening", message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_named() {
        let files = [("a.rs", "use std::fs;\n//! Late.\n"), ("b.rs", "//! A file.\n"), ("c.md", "text\n")];
        let mut found = Vec::new();
        check(&Tree::of_files(&files), &mut found);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("a.rs:1: opening: "));
    }
}
