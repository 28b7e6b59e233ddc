//! Rule `whitespace`: no white space at the end of a line, one newline at the end of a file, no tab in Rust.

use super::{Tree, Violation};

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for file in &tree.files {
        let mut report = |line, message: &str| {
            found.push(Violation { file: file.path.clone(), line, rule: "whitespace", message: message.to_owned() });
        };
        for (line, text) in file.lines() {
            if text != text.trim_end() {
                report(line, "white space at the end of the line");
            }
            if file.path.ends_with(".rs") && text.contains('\t') {
                report(line, "a tab; rustfmt indents with spaces");
            }
        }
        let line_count = file.text.lines().count().max(1);
        if file.text.ends_with("\n\n") || file.text == "\n" {
            report(line_count, "an empty line at the end of the file");
        } else if !file.text.is_empty() && !file.text.ends_with('\n') {
            report(line_count, "no newline at the end of the file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        check(&Tree::of_files(&[(path, text)]), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn white_space_that_nobody_sees_is_found() {
        assert_eq!(found("a.md", "one \ntwo\n"), ["a.md:1: whitespace: white space at the end of the line"]);
        assert_eq!(found("a.md", "one\r\n").len(), 1);
        assert_eq!(found("a.md", "one\ntwo"), ["a.md:2: whitespace: no newline at the end of the file"]);
        assert_eq!(found("a.md", "one\n\n"), ["a.md:2: whitespace: an empty line at the end of the file"]);
    }

    #[test]
    fn a_tab_is_found_in_rust_only() {
        assert_eq!(found("a.rs", "\tone\n"), ["a.rs:1: whitespace: a tab; rustfmt indents with spaces"]);
        assert_eq!(found("a.sh", "\tone\n"), [""; 0]);
    }

    #[test]
    fn an_empty_file_is_fine() {
        assert_eq!(found("a.md", ""), [""; 0]);
    }
}
