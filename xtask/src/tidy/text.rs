//! What every text file keeps to: no white space at line ends, a line feed at the end, an opening `//!` in Rust, lines
//! that fit, and no name of a machine or of a package registry's host.

use super::Violation;

const LINE_LENGTH_MAX: usize = 140;
/// Parts are joined when the rule runs, so that this list does not name itself.
const FORBIDDEN: &[&[&str]] = &[
    &["/wo", "rk/"],
    &["/fa", "rm/"],
    &["crates", ".io"],
    &["py", "pi.org"],
    &["python", "hosted.org"],
    &["registry.", "npmjs.org"],
    &["repo", ".maven"],
    &["deb.", "debian.org"],
];

/// The rules for one file.
pub(super) fn check(file: &str, content: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |line: usize, message: String| {
        violations.push(Violation { file: file.to_owned(), line, rule: "text", message });
    };
    let is_lock = file.ends_with(".lock");
    let is_rust = file.ends_with(".rs");
    let is_generated = file.ends_with("generated.rs");
    if !content.is_empty() && !content.ends_with('\n') {
        report(content.lines().count(), "the file does not end with a line feed".into());
    }
    if is_rust && !is_generated && !content.starts_with("//!") {
        report(1, "a Rust file opens with `//!`: what it is, what it is not, its invariants".into());
    }
    let forbidden: Vec<String> = FORBIDDEN.iter().map(|parts| parts.concat()).collect();
    for (index, line) in content.lines().enumerate() {
        let number = index + 1;
        if line.ends_with(char::is_whitespace) {
            report(number, "white space at the end of the line".into());
        }
        if is_rust && !is_generated {
            if line.contains('\t') {
                report(number, "a tab".into());
            }
            if line.chars().count() > LINE_LENGTH_MAX {
                report(number, format!("longer than {LINE_LENGTH_MAX} characters"));
            }
        }
        if !is_lock && let Some(word) = forbidden.iter().find(|word| line.contains(word.as_str())) {
            report(number, format!("`{word}` does not belong into the project"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_names_its_line() {
        let lines = |file: &str, content: &str| check(file, content).iter().map(|v| v.line).collect::<Vec<_>>();
        assert_eq!(lines("a.md", "x \ny\n"), [1]);
        assert_eq!(lines("a.md", "x\ny"), [2]);
        assert_eq!(lines("a.rs", "fn x() {}\n"), [1]);
        assert_eq!(lines("a.rs", "//! a\n\tfn x() {}\n"), [2]);
        assert_eq!(lines("a.md", &["see /wo", "rk/x\n"].concat()), [1]);
        assert_eq!(lines("Cargo.lock", &["index.crates", ".io\n"].concat()), [0; 0]);
    }
}
