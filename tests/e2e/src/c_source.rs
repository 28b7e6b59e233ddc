//! The little that safe Rust cannot do, in C.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tool::CC;

/// Compiles `source` to the file `name` in this folder.
pub(crate) fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> Result<PathBuf> {
    let (source_path, output) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&source_path, source).with_context(|| format!("cannot write {}", source_path.display()))?;
    let (source_text, output_text) = (source_path.display().to_string(), output.display().to_string());
    CC.run(&[flags, &["-O1", "-o", &output_text, &source_text]].concat())?;
    Ok(output)
}
