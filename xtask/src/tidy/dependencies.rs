//! Rule `dependency`: libraries that only some crates may name, because they bring in what the others must not be able
//! to do. A dev-dependency counts as named by `tests/*`.

use super::imports::matches;
use super::{Tree, Violation};

const TESTS: &str = "tests/*";

/// The library, and who may name it.
const TABLE: &[(&str, &[&str])] = &[
    ("aws-lc-rs", &["gateway/server"]),
    ("axum", &["router/server", "ringpost", TESTS]),
    ("ed25519-compact", &["gateway/server"]),
    ("futures-lite", &["bench/load"]),
    ("glommio", &["bench/load"]),
    ("io-uring", &["gateway/ring"]),
    ("libc", &["gateway/ring"]),
    ("monoio", &["gateway/server"]),
    ("redis", &["storage/redis"]),
    ("ring", &["gateway/transport", TESTS]),
    ("rustix", &["protocol/shell", "gateway/ring", "gateway/server", "router/server", "storage/log", "bench/*", TESTS]),
    ("scylla", &["storage/scylla"]),
    ("socket2", &["bench/load"]),
    (
        "tokio",
        &["protocol/carrier", "router/server", "storage/scylla", "storage/redis", "client", "ringpost", TESTS, "xtask"],
    ),
];

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for importer in &tree.workspace.crates {
        let may_name = |users: &[&str], is_dev| {
            users.iter().any(|user| matches(user, &importer.folder) || is_dev && *user == TESTS)
        };
        for dependency in importer.dependencies.iter().filter(|dependency| dependency.folder.is_none()) {
            let Some((library, users)) = TABLE.iter().find(|(library, _)| *library == dependency.name) else {
                continue;
            };
            if !may_name(users, dependency.is_dev) {
                found.push(Violation {
                    file: importer.manifest_path(),
                    line: importer.line_of(dependency),
                    rule: "dependency",
                    message: format!("`{library}` only in {}", users.join(", ")),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::fake;

    fn found(folder: &str, library: &str) -> Vec<String> {
        let mut found = Vec::new();
        check(&fake(&[(folder, &[library])]), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_library_in_the_wrong_crate_is_named_with_its_line() {
        assert_eq!(
            found("gateway/server", "io-uring"),
            ["gateway/server/Cargo.toml:2: dependency: `io-uring` only in gateway/ring"]
        );
        assert_eq!(found("gateway/core", "tokio").len(), 1);
        assert_eq!(found("router/core", "rustix").len(), 1);
    }

    #[test]
    fn a_library_in_its_crate_and_a_library_for_all_are_fine() {
        assert_eq!(found("gateway/ring", "libc"), [""; 0]);
        assert_eq!(found("bench/load", "glommio"), [""; 0]);
        assert_eq!(found("gateway/core", "hashbrown"), [""; 0]);
    }

    #[test]
    fn a_dev_dependency_is_judged_as_a_test() {
        assert_eq!(found("gateway/server", "dev:tokio"), [""; 0]);
        assert_eq!(found("router/server", "dev:monoio").len(), 1);
    }
}
