//! Rule `purity`: a pure crate is `#![no_std]` and names std in its tests only, so that it cannot open, wait, spawn,
//! print or read a clock. That no dependency of it can is proved by `tests/no_std`.

use super::rust_code::has_word;
use super::{Tree, Violation};

const PURE: &[&str] = &["protocol", "protocol/wire", "gateway/core", "storage/api", "router/core"];

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (file, rust) in tree.rust_files().filter(|(file, _)| !file.is_test) {
        let Some(name) = PURE.iter().find(|name| file.is_in(&format!("{name}/src"))) else { continue };
        let mut report = |line, message| {
            found.push(Violation { file: file.path.clone(), line, rule: "purity", message });
        };
        let is_root = file.path == format!("{name}/src/lib.rs");
        if is_root && !rust.lines().any(|(_, code)| code.trim() == "#![no_std]") {
            report(1, format!("{name} is a pure crate and needs `#![no_std]`"));
        }
        for (line, _) in rust.product_lines().filter(|(_, code)| has_word(code, "std")) {
            report(line, format!("{name} is a pure crate and may name `std` only in tests"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        check(&Tree::of_files(&[(path, text)]), &mut found);
        assert!(found.iter().all(|violation| violation.rule == "purity" && violation.file == path));
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn std_in_a_pure_crate_is_found() {
        assert_eq!(lines_found("router/core/src/owner.rs", "//! Owner.\nuse std::time::Instant;\n"), [2]);
        assert_eq!(lines_found("protocol/src/a/b.rs", "extern crate std;\n"), [1]);
    }

    #[test]
    fn a_root_without_no_std_is_found() {
        assert_eq!(lines_found("gateway/core/src/lib.rs", "//! Shard.\nmod shard;\n"), [1]);
        assert_eq!(lines_found("gateway/core/src/lib.rs", "//! Shard.\n#![no_std]\nextern crate alloc;\n"), [0; 0]);
    }

    #[test]
    fn tests_and_other_crates_may_use_std() {
        let text = "//! Owner.\n#[cfg(test)]\nmod tests {\n    use std::vec;\n}\n";
        assert_eq!(lines_found("router/core/src/owner.rs", text), [0; 0]);
        assert_eq!(lines_found("router/core/tests/owner.rs", "use std::vec;\n"), [0; 0]);
        assert_eq!(lines_found("storage/log/src/disk.rs", "use std::fs;\n"), [0; 0]);
    }
}
