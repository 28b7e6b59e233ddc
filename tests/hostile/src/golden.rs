//! The golden frames of every landed schema: one of each kind, from real encoders, with every field set.

use std::fs;
use std::path::{Path, PathBuf};

/// Of each member of a union: its name with the version, and the frame.
pub fn frames(union: &str) -> Vec<(String, Vec<u8>)> {
    let mut frames = Vec::new();
    for version in entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/schema/landed")) {
        for file in entries(&version.join("golden").join(union)) {
            if file.extension().is_some_and(|extension| extension == "bin") {
                let bytes = fs::read(&file).expect("a file that can be read");
                frames.push((format!("{}-{}", name(&version), name(&file.with_extension(""))), bytes));
            }
        }
    }
    frames
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder that can be read").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("an entry of a folder has a name").to_string_lossy().into_owned()
}
