//! `link-key`: makes the key that the tiers of one cluster have in common.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use protocol_carrier::LinkKey;
use rcgen::{KeyPair, PKCS_ED25519};

use crate::command_line::LinkKeyArguments;
use crate::mistake::{Exit, Mistake};

/// Writes a new key where it was asked for.
pub(crate) fn run(arguments: &LinkKeyArguments) -> Result<(), Mistake> {
    let no_randomness = |error| Mistake::new(Exit::Software, format!("cannot make a key: {error}"));
    let text = KeyPair::generate_for(&PKCS_ED25519).map_err(no_randomness)?.serialize_pem();
    let fingerprint = LinkKey::from_pem(text.as_bytes()).expect("it was made a line ago").fingerprint();
    match &arguments.out {
        Some(path) => write_new(path, &text)?,
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Mistake::new(Exit::Io, format!("cannot write the key: {error}")))?,
    }
    // Nobody is left to be told when standard error is closed.
    let _ =
        writeln!(std::io::stderr(), "a new link key, fingerprint {fingerprint}: give it to every router and gateway");
    Ok(())
}

/// Never over another key: that one may be in use.
fn write_new(path: &Path, text: &str) -> Result<(), Mistake> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = made.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let next = match error.kind() {
            ErrorKind::AlreadyExists => "it may be in use, so it stays; name another file with --out FILE",
            _ => "name another file with --out FILE",
        };
        Mistake::new(Exit::CannotCreate, format!("cannot make {}: {error}; {next}", path.display()))
    })
}
