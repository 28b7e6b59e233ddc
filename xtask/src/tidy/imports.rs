//! Who may import whom: the table of ARCHITECTURE.md, over what cargo itself says of the workspace.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Violation;
use crate::{process, repo};

/// Folder of a crate, and the folders of the crates it may import; a trailing `/` stands for all below.
const TABLE: &[(&str, &[&str])] = &[
    ("protocol/wire", &[]),
    ("protocol", &["protocol/wire"]),
    ("gateway/core", &["protocol"]),
    ("gateway/ring", &[]),
    ("gateway/transport", &["protocol"]),
    ("storage/api", &["protocol"]),
    ("router/core", &["storage/api", "protocol"]),
    ("storage/log", &["storage/api", "protocol"]),
    ("storage/embedded", &["storage/log", "storage/api", "protocol"]),
    ("storage/scylla", &["storage/api", "protocol"]),
    ("storage/redis", &["storage/api", "protocol"]),
    ("gateway/server", &["gateway/", "protocol"]),
    ("router/server", &["router/core", "storage/", "protocol"]),
    ("client", &["protocol", "gateway/transport"]),
    ("bench/", &["protocol", "gateway/", "storage/", "router/", "client"]),
    ("tuning", &["protocol", "gateway/", "storage/", "router/", "client"]),
    ("ringpost", &["protocol", "gateway/", "storage/", "router/", "client", "bench/", "tuning"]),
    ("tests/", &["protocol", "gateway/", "storage/", "router/", "client", "bench/", "tuning", "ringpost"]),
    ("xtask", &[]),
];

/// A library, and the folders of the only crates that may import it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("io-uring", &["gateway/ring"]),
    ("libc", &["gateway/ring"]),
    ("rustix", &["gateway/server", "router/server", "storage/log", "bench/", "tests/"]),
    ("tokio", &["router/server", "storage/scylla", "storage/redis", "client", "ringpost", "tests/"]),
    ("axum", &["router/server", "ringpost"]),
    ("scylla", &["storage/scylla"]),
    ("redis", &["storage/redis"]),
    ("monoio", &["gateway/server"]),
    ("glommio", &["bench/"]),
];

/// A crate of the workspace with what it imports, tests aside.
pub(super) struct Crate {
    /// From the root of the checkout.
    folder: String,
    dependencies: Vec<Dependency>,
}

/// One import.
struct Dependency {
    name: String,
    /// The folder of a crate of the workspace; `None` for a library.
    folder: Option<String>,
}

/// Asks cargo.
pub(super) fn workspace_crates() -> Result<Vec<Crate>> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo::root()).args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata: Value = serde_json::from_str(&process::output_of(&mut cargo)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().map(crate_of).collect()
}

fn crate_of(package: &Value) -> Result<Crate> {
    let manifest = package["manifest_path"].as_str().context("a package without a manifest")?;
    let dependencies = package["dependencies"].as_array().context("a package without dependencies")?;
    Ok(Crate {
        folder: folder_in_checkout(manifest.trim_end_matches("/Cargo.toml"))?,
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| {
                Ok(Dependency {
                    name: dependency["name"].as_str().context("a dependency without a name")?.to_owned(),
                    folder: dependency["path"].as_str().map(folder_in_checkout).transpose()?,
                })
            })
            .collect::<Result<_>>()?,
    })
}

fn folder_in_checkout(path: &str) -> Result<String> {
    let root = repo::root();
    let relative = std::path::Path::new(path).strip_prefix(&root).context("a crate outside the checkout")?;
    Ok(relative.to_string_lossy().into_owned())
}

/// Every edge that the tables do not allow, and every crate that they do not know.
pub(super) fn check(crates: &[Crate]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in crates {
        let mut report = |message: String| {
            let file = format!("{}/Cargo.toml", package.folder);
            violations.push(Violation { file, line: 1, rule: "imports", message });
        };
        let Some((_, allowed)) = TABLE.iter().find(|(folder, _)| covers(folder, &package.folder)) else {
            report("this crate is not in the import table (xtask/src/tidy/imports.rs and ARCHITECTURE.md)".into());
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(folder) = &dependency.folder {
                if !allowed.iter().any(|pattern| covers(pattern, folder)) {
                    report(format!("{} may not import {folder}", package.folder));
                }
            } else if let Some((name, importers)) = LIBRARIES.iter().find(|(name, _)| *name == dependency.name)
                && !importers.iter().any(|pattern| covers(pattern, &package.folder))
            {
                report(format!("only {} may import the library {name}", importers.join(", ")));
            }
        }
    }
    violations
}

fn covers(pattern: &str, folder: &str) -> bool {
    if pattern.ends_with('/') { folder.starts_with(pattern) } else { folder == pattern }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(folder: &str, imports: &[(&str, Option<&str>)]) -> Vec<Crate> {
        let dependency = |(name, folder): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            folder: folder.map(str::to_owned),
        };
        vec![Crate { folder: folder.to_owned(), dependencies: imports.iter().map(dependency).collect() }]
    }

    fn messages(crates: &[Crate]) -> Vec<String> {
        check(crates).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_gateway_may_not_import_the_store() {
        let crates = one("gateway/server", &[("protocol", Some("protocol")), ("storage-api", Some("storage/api"))]);
        assert_eq!(
            messages(&crates),
            ["gateway/server/Cargo.toml:1: imports: gateway/server may not import storage/api"]
        );
    }

    #[test]
    fn a_runtime_stays_where_it_belongs() {
        assert_eq!(messages(&one("router/server", &[("tokio", None)])), [""; 0]);
        assert_eq!(messages(&one("router/core", &[("tokio", None)])).len(), 1);
        assert_eq!(messages(&one("gateway/core", &[("libc", None)])).len(), 1);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_named() {
        assert_eq!(messages(&one("gateway/extra", &[])).len(), 1);
    }
}
