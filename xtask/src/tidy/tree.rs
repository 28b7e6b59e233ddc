//! The checkout as the rules see it: the workspace and every text file.

use std::fs;

use anyhow::{Context, Result};

use super::rust_code::RustCode;
use super::workspace::Workspace;
use crate::repo;

/// Everything that a rule may look at.
pub(super) struct Tree {
    pub(super) workspace: Workspace,
    pub(super) files: Vec<TextFile>,
}

/// A text file that is committed or would be.
pub(super) struct TextFile {
    /// Relative to the root of the checkout, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// `None` for generated code and for files in other languages.
    pub(super) rust: Option<RustCode>,
    /// Whether all of it is test code.
    pub(super) is_test: bool,
}

impl Tree {
    /// Reads the checkout.
    pub(super) fn read() -> Result<Self> {
        let mut files = Vec::new();
        for path in repo::files()? {
            let bytes = fs::read(repo::root().join(&path)).with_context(|| format!("cannot read {path}"))?;
            if let Some(text) = as_text(&path, bytes) {
                files.push((path, text));
            }
        }
        Ok(Self { workspace: Workspace::read()?, files: classify(files) })
    }

    /// A tree without crates, for tests of rules that look at files.
    #[cfg(test)]
    pub(super) fn of_files(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { workspace: Workspace { crates: Vec::new() }, files: classify(files) }
    }

    /// The Rust files that people write.
    pub(super) fn rust_files(&self) -> impl Iterator<Item = (&TextFile, &RustCode)> {
        self.files.iter().filter_map(|file| Some((file, file.rust.as_ref()?)))
    }
}

impl TextFile {
    /// Whether the file lies in `folder`, which has no closing `/`.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// All lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split_terminator('\n').enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The text of a file that people read. What a fuzzer collects is bytes, also where it happens to be UTF-8.
fn as_text(path: &str, bytes: Vec<u8>) -> Option<String> {
    let is_bytes = path.ends_with(".bin") || path.split('/').any(|folder| folder == "corpus") || bytes.contains(&0);
    if is_bytes { None } else { String::from_utf8(bytes).ok() }
}

fn classify(files: Vec<(String, String)>) -> Vec<TextFile> {
    let mut files: Vec<TextFile> = files
        .into_iter()
        .map(|(path, text)| {
            let is_generated = text.lines().take(3).any(|line| line == "// @generated");
            let rust = (path.ends_with(".rs") && !is_generated).then(|| RustCode::new(&text));
            let is_test = path.split('/').any(|folder| folder == "tests");
            TextFile { path, text, rust, is_test }
        })
        .collect();
    let test_modules: Vec<String> = files.iter().flat_map(test_module_paths).collect();
    for file in &mut files {
        let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
        file.is_test |= test_modules.iter().any(|module| {
            stem.strip_prefix(module.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    }
    files
}

/// The paths without `.rs` of the modules that `file` declares under `#[cfg(test)]`.
fn test_module_paths(file: &TextFile) -> Vec<String> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let base = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder,
        _ => file.path.trim_end_matches(".rs"),
    };
    rust.test_modules.iter().map(|module| format!("{base}/{module}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_test(files: &[(&str, &str)], path: &str) -> bool {
        Tree::of_files(files).files.iter().find(|file| file.path == path).expect("the file was given").is_test
    }

    #[test]
    fn the_file_of_a_test_module_is_test_code() {
        let files = [("a/src/lib.rs", "#[cfg(test)]\nmod pair;\n"), ("a/src/pair.rs", ""), ("a/src/pairing.rs", "")];
        assert!(is_test(&files, "a/src/pair.rs"));
        assert!(!is_test(&files, "a/src/pairing.rs"));
    }

    #[test]
    fn a_test_module_of_a_module_lies_in_its_folder() {
        let files = [("a/src/b.rs", "#[cfg(test)]\nmod model;\n"), ("a/src/b/model.rs", ""), ("a/src/model.rs", "")];
        assert!(is_test(&files, "a/src/b/model.rs"));
        assert!(!is_test(&files, "a/src/model.rs"));
    }

    #[test]
    fn everything_in_a_folder_of_tests_is_test_code() {
        assert!(is_test(&[("a/tests/b.rs", "")], "a/tests/b.rs"));
        assert!(!is_test(&[("a/src/tests_of_strength.rs", "")], "a/src/tests_of_strength.rs"));
    }

    #[test]
    fn generated_code_is_not_judged_as_rust() {
        let tree = Tree::of_files(&[("a.rs", "// made by a machine\n// @generated\nfn a() {}\n")]);
        assert_eq!(tree.rust_files().count(), 0);
    }
}
