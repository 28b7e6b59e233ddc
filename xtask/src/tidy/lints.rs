//! Rule `lints`: every crate takes the lints of the workspace, which forbid `unsafe`; so do only the two that cannot.

use super::unsafe_code::MAY_BE_UNSAFE;
use super::{Tree, Violation};

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    let mut report = |file, message: &str| {
        found.push(Violation { file, line: 1, rule: "lints", message: message.to_owned() });
    };
    for member in &tree.workspace.crates {
        let is_exempt = MAY_BE_UNSAFE.contains(&member.folder.as_str());
        if !is_exempt && !has_line(&member.manifest, "[lints]", "workspace = true") {
            report(member.manifest_path(), "needs `[lints]` with `workspace = true`");
        }
    }
    if let Some(root) = tree.files.iter().find(|file| file.path == "Cargo.toml")
        && !has_line(&root.text, "[workspace.lints.rust]", "unsafe_code = \"forbid\"")
    {
        report(root.path.clone(), "needs `unsafe_code = \"forbid\"` under `[workspace.lints.rust]`");
    }
}

/// Whether `line` stands in the section that `heading` opens.
fn has_line(manifest: &str, heading: &str, line: &str) -> bool {
    let mut section = manifest.lines().map(str::trim).skip_while(|candidate| *candidate != heading).skip(1);
    section.by_ref().take_while(|candidate| !candidate.starts_with('[')).any(|candidate| candidate == line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::fake;

    fn found(folder: &str, manifest: &str) -> Vec<String> {
        let mut tree = fake(&[(folder, &[])]);
        for member in &mut tree.workspace.crates {
            member.manifest = manifest.to_owned();
        }
        let mut found = Vec::new();
        check(&tree, &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_without_the_lints_is_named() {
        let message = "client/Cargo.toml:1: lints: needs `[lints]` with `workspace = true`";
        assert_eq!(found("client", "[package]\n"), [message]);
        assert_eq!(found("client", "[lints]\n\n[dependencies]\nworkspace = true\n"), [message]);
    }

    #[test]
    fn a_crate_with_the_lints_and_one_that_cannot_have_them_are_fine() {
        assert_eq!(found("client", "[package]\n\n[lints]\nworkspace = true\n"), [""; 0]);
        assert_eq!(found("protocol/wire", "[package]\n"), [""; 0]);
    }

    #[test]
    fn the_lints_of_the_workspace_forbid_unsafe() {
        let mut found = Vec::new();
        check(&Tree::of_files(&[("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"warn\"\n")]), &mut found);
        assert_eq!(found.len(), 1);
    }
}
