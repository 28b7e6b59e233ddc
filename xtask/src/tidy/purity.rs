//! What a folder may not contain: `std` in pure crates, `unsafe` outside the two crates that exist for it, a crate
//! that does not take the lints of the workspace.

use super::Violation;
use super::rust_code::{RustCode, has_word};

/// Crates without clock, I/O and randomness: they take time and seeds as arguments.
const PURE: &[&str] =
    &["protocol/src/", "protocol/wire/src/", "gateway/core/src/", "storage/api/src/", "router/core/src/"];
const MAY_BE_UNSAFE: &[&str] = &["gateway/ring/", "protocol/wire/"];

/// The rules for one file.
pub(super) fn check(file: &str, content: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |line: usize, message: &str| {
        violations.push(Violation { file: file.to_owned(), line, rule: "purity", message: message.to_owned() });
    };
    let is_unsafe_crate = MAY_BE_UNSAFE.iter().any(|folder| file.starts_with(folder));
    if file.ends_with("Cargo.toml") && content.contains("[package]") && !is_unsafe_crate && !content.contains("[lints]")
    {
        report(1, "a crate takes the lints of the workspace: `[lints] workspace = true`");
    }
    if !file.ends_with(".rs") {
        return violations;
    }
    let code = RustCode::new(content);
    let is_pure = PURE.iter().any(|folder| file.starts_with(folder));
    if is_pure && file.ends_with("src/lib.rs") && !content.contains("#![no_std]") {
        report(1, "a pure crate is `#![no_std]`");
    }
    let is_test_file = file.ends_with("/tests.rs") || file.contains("/tests/");
    for (line, text) in code.product_lines() {
        if is_pure && !is_test_file && (has_word(text, "std")) {
            report(line, "a pure crate does not use `std`: time, randomness and I/O are arguments");
        }
    }
    for (line, text) in code.lines() {
        if !is_unsafe_crate && has_word(text, "unsafe") {
            report(line, "`unsafe` stays in gateway/ring and protocol/wire");
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_is_named_in_a_pure_crate_and_allowed_in_its_tests() {
        let content =
            "//! x\nuse core::fmt;\nuse std::time::Instant;\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let found = check("router/core/src/clock.rs", content);
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [3]);
        assert_eq!(check("router/server/src/clock.rs", content), []);
    }

    #[test]
    fn unsafe_code_is_named_wherever_it_stands_but_not_in_a_comment() {
        assert_eq!(check("client/src/a.rs", "// unsafe\nunsafe { x() }\n").len(), 1);
        assert_eq!(check("gateway/ring/src/a.rs", "unsafe { x() }\n"), []);
    }

    #[test]
    fn a_crate_without_the_lints_is_named() {
        assert_eq!(check("client/Cargo.toml", "[package]\nname = \"client\"\n").len(), 1);
    }
}
