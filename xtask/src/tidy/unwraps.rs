//! Rule `unwrap`: product code says with `expect` why a thing cannot fail, or handles that it can.

use super::{Tree, Violation};

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (file, rust) in tree.rust_files().filter(|(file, _)| !file.is_test) {
        for (line, _) in rust.product_lines().filter(|(_, code)| code.contains(".unwrap()")) {
            let message = "no `unwrap` outside tests: `expect(\"why it cannot fail\")`, or an error".to_owned();
            found.push(Violation { file: file.path.clone(), line, rule: "unwrap", message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwrap_is_found_outside_tests_only() {
        let text = "fn a() {\n    b().unwrap();\n}\n#[cfg(test)]\nmod tests {\n    fn c() { b().unwrap(); }\n}\n";
        let mut found = Vec::new();
        check(&Tree::of_files(&[("a/src/lib.rs", text), ("a/tests/b.rs", text)]), &mut found);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("a/src/lib.rs:2: unwrap: "));
    }
}
