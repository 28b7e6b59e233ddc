//! Running other programs: each either gives its output or an error that shows what was run and what it said.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs `command` to its end and returns its standard output; an exit code other than 0 is an error that carries
/// what it wrote.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command.output().with_context(|| format!("cannot start `{line}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!("`{line}` ended with {}\n{}{}", output.status, stdout, stderr.trim_end());
}

/// Runs `command` on this terminal and returns its exit code; death by a signal counts as 2.
pub(crate) fn exit_code_of(command: &mut Command) -> Result<i32> {
    let line = describe(command);
    let status = without_our_package(command).status().with_context(|| format!("cannot start `{line}`"))?;
    Ok(status.code().unwrap_or(2))
}

/// What cargo says to us of this package would have a cargo that we call build libraries anew, which ask for it, and again
/// when it is called by hand.
pub(crate) fn without_our_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
