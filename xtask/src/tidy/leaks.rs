//! Rule `leak`: nothing in the checkout names a folder of the machine it was written on or the host of a package
//! registry, which whoever builds it may reach by another name.

use super::{Tree, Violation};

/// Folders at the root of a build machine. Written in pieces, here and below, so that this file passes its own rule.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/fa", "rm/")];

const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("repo", ".maven"),
    concat!("repo1", ".maven"),
    concat!("deb.debian", ".org"),
];

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for file in tree.files.iter().filter(|file| !is_lock_file(&file.path)) {
        for (line, text) in file.lines() {
            let folders = FOLDERS.iter().filter(|folder| has_absolute_path(text, folder));
            for leaked in folders.chain(HOSTS.iter().filter(|host| text.contains(**host))) {
                let message = format!("names `{leaked}`");
                found.push(Violation { file: file.path.clone(), line, rule: "leak", message });
            }
        }
    }
}

/// A lock file is written by its tool and names where each package came from.
fn is_lock_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".lock") || matches!(name, "package-lock.json" | "pnpm-lock.yaml")
}

fn has_absolute_path(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || ".-_*".contains(character))
    })
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
    fn a_folder_of_the_build_machine_is_found() {
        let text = format!("one\nsee {}notes.md\n", FOLDERS[0]);
        assert_eq!(found("docs/a.md", &text), [format!("docs/a.md:2: leak: names `{}`", FOLDERS[0])]);
        assert_eq!(found("docs/a.md", &text.replace("see ", "see house")), [""; 0]);
    }

    #[test]
    fn a_registry_host_is_found_but_not_in_a_lock_file() {
        let text = format!("https://static.{}/x\n", HOSTS[0]);
        assert_eq!(found("a.sh", &text), [format!("a.sh:1: leak: names `{}`", HOSTS[0])]);
        assert_eq!(found("tests/no_std/Cargo.lock", &text), [""; 0]);
    }
}
