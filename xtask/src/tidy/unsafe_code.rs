//! Rule `unsafe`: the keyword stands only where the mechanism lives.

use super::rust_code::has_word;
use super::{Tree, Violation};

/// Generated code, the io_uring mechanism, and the proof that the pure crates need no std, which must bring an
/// allocator: a trait that is unsafe to implement.
pub(super) const MAY_BE_UNSAFE: &[&str] = &["protocol/wire", "gateway/ring", "tests/no_std"];

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (file, rust) in tree.rust_files().filter(|(file, _)| !MAY_BE_UNSAFE.iter().any(|folder| file.is_in(folder))) {
        for (line, _) in rust.lines().filter(|(_, code)| has_word(code, "unsafe")) {
            let message = format!("`unsafe` only in {}", MAY_BE_UNSAFE.join(", "));
            found.push(Violation { file: file.path.clone(), line, rule: "unsafe", message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        check(&Tree::of_files(&[(path, text)]), &mut found);
        assert!(found.iter().all(|violation| violation.rule == "unsafe" && violation.file == path));
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn the_keyword_is_found_also_in_tests() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    unsafe fn b() {}\n}\n";
        assert_eq!(lines_found("gateway/core/src/lib.rs", text), [4]);
    }

    #[test]
    fn talk_about_it_and_the_crates_that_need_it_are_fine() {
        assert_eq!(lines_found("client/src/lib.rs", "// unsafe\n#![forbid(unsafe_code)]\n"), [0; 0]);
        assert_eq!(lines_found("gateway/ring/src/lib.rs", "unsafe fn a() {}\n"), [0; 0]);
        assert_eq!(lines_found("gateway/rings/src/lib.rs", "unsafe fn a() {}\n"), [1]);
    }
}
