//! Where the checkout is, and which files belong to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process;

/// The root folder of the checkout, from the place this crate was built in.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root folder").to_path_buf()
}

/// The build folder, where verbs keep what can be made again.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The paths, relative to the root and sorted, of all files that are committed or would be by `git add --all`.
pub(crate) fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let listing = process::output_of(&mut git)?;
    let mut paths: Vec<String> = listing.split_terminator('\0').map(str::to_owned).collect();
    // The index still lists a file that was deleted but not yet committed as such.
    paths.retain(|path| root().join(path).is_file());
    paths.sort();
    paths.dedup();
    Ok(paths)
}
