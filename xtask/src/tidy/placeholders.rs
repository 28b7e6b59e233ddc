//! Rule `placeholder`: what is not written yet is not there, and what was for looking is gone.

use super::rust_code::has_word;
use super::{Tree, Violation};

const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (file, rust) in tree.rust_files() {
        for (line, code) in rust.lines() {
            for name in MACROS.iter().filter(|name| code.contains(&format!("{name}!")) && has_word(code, name)) {
                let message = format!("no `{name}!`");
                found.push(Violation { file: file.path.clone(), line, rule: "placeholder", message });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_is_found() {
        let text =
            "fn a() { todo!() }\nfn b() { unimplemented!(\"x\") }\nfn c() { dbg!(1); }\nfn d(todo: u8) {} // todo!\n";
        let mut found = Vec::new();
        check(&Tree::of_files(&[("a.rs", text)]), &mut found);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "a.rs:1: placeholder: no `todo!`",
                "a.rs:2: placeholder: no `unimplemented!`",
                "a.rs:3: placeholder: no `dbg!`"
            ]
        );
    }
}
