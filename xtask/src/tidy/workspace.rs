//! The crates of the workspace and what their manifests name, from `cargo metadata`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{process, repo};

/// The workspace.
pub(super) struct Workspace {
    pub(super) crates: Vec<Crate>,
}

/// One crate of the workspace.
pub(super) struct Crate {
    /// Its folder relative to the root of the checkout: its name in every rule.
    pub(super) folder: String,
    /// The text of its `Cargo.toml`.
    pub(super) manifest: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One dependency that a manifest names.
pub(super) struct Dependency {
    /// The name in the registry, or the name of the package in this workspace.
    pub(super) name: String,
    /// The name in the manifest.
    key: String,
    /// For a crate of this checkout: its folder.
    pub(super) folder: Option<String>,
    /// True for `[dev-dependencies]`.
    pub(super) is_dev: bool,
}

impl Workspace {
    /// Asks cargo.
    pub(super) fn read() -> Result<Self> {
        let root = repo::root();
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&root).args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = process::output_of(&mut cargo)?;
        Self::parse(&metadata, &root, |path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        })
    }

    /// Reads what `cargo metadata` wrote about the checkout in `root`; `manifest` gives the text of a `Cargo.toml`.
    pub(super) fn parse(metadata: &str, root: &Path, manifest: impl Fn(&Path) -> Result<String>) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata).context("cargo metadata is no JSON")?;
        let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
        let mut crates = Vec::new();
        for package in packages {
            let path = Path::new(package["manifest_path"].as_str().context("a package without a manifest path")?);
            let folder = path.parent().expect("a manifest lies in a folder");
            let dependencies = package["dependencies"].as_array().context("a package without dependencies")?;
            crates.push(Crate {
                folder: relative(folder, root)?,
                manifest: manifest(path)?,
                dependencies: dependencies.iter().map(|entry| dependency(entry, root)).collect::<Result<_>>()?,
            });
        }
        Ok(Self { crates })
    }
}

impl Crate {
    /// The path of its manifest, relative to the root of the checkout.
    pub(super) fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// The line of its manifest that names `dependency`, or 1 when it is written in a way this does not know.
    pub(super) fn line_of(&self, dependency: &Dependency) -> usize {
        let key = dependency.key.as_str();
        let names = |line: &str| {
            let line = line.trim_start();
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
                || line.ends_with(&format!("dependencies.{key}]"))
        };
        self.manifest.lines().position(names).map_or(1, |index| index + 1)
    }
}

fn dependency(entry: &Value, root: &Path) -> Result<Dependency> {
    let name = entry["name"].as_str().context("a dependency without a name")?;
    let folder = entry["path"].as_str().map(|path| relative(Path::new(path), root)).transpose()?;
    Ok(Dependency {
        name: name.to_owned(),
        key: entry["rename"].as_str().unwrap_or(name).to_owned(),
        folder,
        is_dev: entry["kind"].as_str() == Some("dev"),
    })
}

fn relative(path: &Path, root: &Path) -> Result<String> {
    let inside = path.strip_prefix(root).with_context(|| format!("{} lies outside the checkout", path.display()))?;
    Ok(inside.to_string_lossy().replace('\\', "/"))
}

/// A workspace in a folder `/house`, written as `cargo metadata` writes it. Of each crate: its folder, and the folder
/// or the name of each dependency, `dev:` before it for a dev-dependency.
#[cfg(test)]
pub(super) fn fake(crates: &[(&str, &[&str])]) -> super::Tree {
    let dependency = |text: &&str| {
        let (kind, target) = text.strip_prefix("dev:").map_or((Value::Null, *text), |rest| ("dev".into(), rest));
        let path = if target.contains('/') || crates.iter().any(|(folder, _)| *folder == target) {
            format!("/house/{target}").into()
        } else {
            Value::Null
        };
        serde_json::json!({ "name": target.replace('/', "-"), "kind": kind, "path": path, "rename": null })
    };
    let packages: Vec<Value> = crates
        .iter()
        .map(|(folder, dependencies)| {
            let dependencies: Vec<Value> = dependencies.iter().map(dependency).collect();
            serde_json::json!({
                "name": folder.replace('/', "-"),
                "manifest_path": format!("/house/{folder}/Cargo.toml"),
                "dependencies": dependencies,
            })
        })
        .collect();
    let metadata = serde_json::json!({ "packages": packages }).to_string();
    let manifest = |path: &Path| {
        let folder = relative(path.parent().expect("a manifest lies in a folder"), Path::new("/house"))?;
        let named = crates.iter().find(|(other, _)| *other == folder).map_or(&[][..], |(_, names)| names);
        let lines =
            named.iter().map(|name| format!("{}.workspace = true\n", name.replace('/', "-").replace("dev:", "")));
        Ok(format!("[dependencies]\n{}\n[lints]\nworkspace = true\n", lines.collect::<String>()))
    };
    let workspace = Workspace::parse(&metadata, Path::new("/house"), manifest).expect("the fixture is well formed");
    super::Tree { workspace, files: Vec::new() }
}
