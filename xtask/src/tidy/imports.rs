//! Rule `import`: which crate of this house may depend on which. The table of ARCHITECTURE.md, kept by the build.
//!
//! A dev-dependency may be any crate that something may import, so that a test can bring what stands above its subject.

use super::{Tree, Violation};

/// What a crate may import in normal and build dependencies.
enum May {
    /// These folders; `tier/*` stands for every crate of a tier.
    Only(&'static [&'static str]),
    /// Every crate of a lower level.
    Below,
    /// Likewise, and these folders.
    BelowAnd(&'static [&'static str]),
    /// Everything.
    Anything,
}

use May::{Anything, Below, BelowAnd, Only};

/// Every crate there is or is planned to be: folder or `tier/*`, level, what it may import.
const TABLE: &[(&str, u8, May)] = &[
    ("protocol/wire", 0, Only(&[])),
    ("protocol", 0, Only(&["protocol/wire"])),
    ("protocol/shell", 0, Only(&["protocol"])),
    ("protocol/carrier", 0, Only(&["protocol", "protocol/shell"])),
    ("gateway/core", 1, Only(&["protocol"])),
    ("gateway/ring", 1, Only(&[])),
    ("gateway/transport", 1, Only(&["protocol"])),
    ("storage/api", 1, Only(&["protocol"])),
    ("router/core", 2, Only(&["storage/api", "protocol"])),
    ("storage/log", 2, Only(&["storage/api", "protocol"])),
    ("storage/embedded", 2, Only(&["storage/log", "storage/api", "protocol"])),
    ("storage/scylla", 2, Only(&["storage/api", "protocol"])),
    ("storage/redis", 2, Only(&["storage/api", "protocol"])),
    ("gateway/server", 3, Only(&["gateway/*", "protocol", "protocol/shell"])),
    ("router/server", 3, Only(&["router/core", "storage/*", "protocol", "protocol/shell"])),
    ("client", 3, Only(&["gateway/transport", "protocol"])),
    ("bench/baseline", 4, Only(&[])),
    ("bench/harness", 4, BelowAnd(&["bench/baseline"])),
    ("bench/*", 4, BelowAnd(&["bench/harness"])),
    ("tuning", 4, Below),
    ("ringpost", 5, Below),
    ("tests/*", 5, Anything),
    ("xtask", 5, Anything),
];

/// Crates that nothing outside of tests imports, not even in `[dev-dependencies]`.
const TOP_LEVEL: u8 = 5;

/// Whether `folder` is `pattern`, or lies in its tier.
pub(super) fn matches(pattern: &str, folder: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(tier) => folder.strip_prefix(tier).is_some_and(|rest| rest.starts_with('/')),
        None => pattern == folder,
    }
}

/// The rule.
pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for importer in &tree.workspace.crates {
        let mut report = |line, message| {
            found.push(Violation { file: importer.manifest_path(), line, rule: "import", message });
        };
        let Some((_, level, may)) = row(&importer.folder) else {
            report(1, format!("{} is not in the import table (xtask/src/tidy/imports.rs)", importer.folder));
            continue;
        };
        for dependency in &importer.dependencies {
            let Some(imported) = &dependency.folder else { continue };
            let imported_level = row(imported).map_or(TOP_LEVEL, |(_, level, _)| *level);
            let is_allowed = match may {
                Anything => true,
                _ if dependency.is_dev => imported_level < TOP_LEVEL,
                Below => imported_level < *level,
                BelowAnd(patterns) => {
                    imported_level < *level || patterns.iter().any(|pattern| matches(pattern, imported))
                }
                Only(patterns) => patterns.iter().any(|pattern| matches(pattern, imported)),
            };
            if !is_allowed {
                report(importer.line_of(dependency), format!("{} may not import {imported}", importer.folder));
            }
        }
    }
}

fn row(folder: &str) -> Option<&'static (&'static str, u8, May)> {
    TABLE.iter().find(|(pattern, _, _)| matches(pattern, folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::fake;

    fn found(crates: &[(&str, &[&str])]) -> Vec<String> {
        let mut found = Vec::new();
        check(&fake(crates), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_edge_outside_the_table_is_named_with_its_line() {
        let crates: &[(&str, &[&str])] = &[("gateway/core", &["protocol", "storage/api"]), ("protocol", &[])];
        assert_eq!(found(crates), ["gateway/core/Cargo.toml:3: import: gateway/core may not import storage/api"]);
    }

    #[test]
    fn every_edge_of_the_table_is_allowed() {
        let crates: &[(&str, &[&str])] = &[
            ("gateway/server", &["gateway/core", "gateway/ring", "protocol"]),
            ("router/server", &["router/core", "storage/embedded", "storage/api"]),
            ("bench/load", &["router/server", "client"]),
            ("ringpost", &["bench/load", "protocol", "tuning"]),
            ("tests/sim", &["gateway/core", "tests/model"]),
            ("protocol", &[]),
        ];
        assert_eq!(found(crates), [""; 0]);
    }

    #[test]
    fn back_ends_and_benches_do_not_import_each_other() {
        assert_eq!(found(&[("storage/scylla", &["storage/log"])]).len(), 1);
        assert_eq!(found(&[("bench/load", &["bench/slice"])]).len(), 1);
        assert_eq!(found(&[("bench/load", &["bench/harness"])]).len(), 0);
    }

    #[test]
    fn a_test_may_bring_what_stands_above_its_subject() {
        assert_eq!(found(&[("gateway/server", &["dev:client/", "dev:router/server"])]), [""; 0]);
        assert_eq!(found(&[("gateway/server", &["dev:tests/sim"])]).len(), 1);
    }

    #[test]
    fn nothing_imports_the_top() {
        assert_eq!(found(&[("xtask", &[]), ("ringpost", &["xtask"])]).len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_an_error() {
        let message = "tools/x/Cargo.toml:1: import: tools/x is not in the import table (xtask/src/tidy/imports.rs)";
        assert_eq!(found(&[("tools/x", &[])]), [message]);
    }

    #[test]
    fn the_table_keeps_the_gateway_from_routers_and_stores() {
        for (folder, level, may) in TABLE {
            let Only(patterns) = may else { continue };
            for pattern in *patterns {
                let is_gateway = folder.starts_with("gateway/");
                assert!(!is_gateway || !pattern.starts_with("router") && !pattern.starts_with("storage"), "{folder}");
                let lower = TABLE.iter().filter(|(imported, _, _)| matches(pattern, imported));
                assert!(lower.clone().count() > 0, "{folder} imports {pattern}, which is not in the table");
                assert!(pattern.ends_with("/*") || lower.clone().all(|row| row.1 <= *level), "{folder} {pattern}");
            }
        }
    }
}
