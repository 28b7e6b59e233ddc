//! The settings that hold in the end, and where each value comes from.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::complaint::Complaint;
use super::flags::{Given, Typed};
use super::key::Key;
use super::settings::Settings;
use super::value::Value;
use super::{contradictions, environment, file};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(&'static str),
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    origins: HashMap<&'static str, Origin>,
    /// For the log: what sets nothing, though it looks as if it did.
    pub(crate) warnings: Vec<String>,
}

impl Given {
    /// Reads everything, or says everything that is wrong.
    pub(crate) fn load(&self) -> Result<Loaded, Vec<Complaint>> {
        load(self.file.as_deref(), std::env::vars_os(), &self.flags)
    }
}

/// Likewise, of one file alone, as on a machine where nothing else is set.
pub(super) fn load_file(path: &Path) -> Result<Loaded, Vec<Complaint>> {
    load(Some(path), std::iter::empty(), &[])
}

fn load(
    path: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    flags: &[Typed],
) -> Result<Loaded, Vec<Complaint>> {
    let file = path.map(file::read).unwrap_or_default();
    let environment = environment::read(environment);
    let mut loaded = Loaded { settings: Settings::default(), origins: HashMap::new(), warnings: environment.warnings };
    for line in file.lines {
        let path = path.unwrap_or(Path::new("")).to_owned();
        loaded.set(line.key, line.value, Origin::File { path, line: line.number });
    }
    for variable in environment.variables {
        loaded.set(variable.key, variable.value, Origin::Variable(variable.name));
    }
    for typed in flags {
        loaded.set(typed.key, typed.value.clone(), Origin::Flag(typed.flag()));
    }
    let complaints: Vec<_> = file.complaints.into_iter().chain(environment.complaints).collect();
    let complaints = [complaints, loaded.contradictions()].concat();
    if complaints.is_empty() { Ok(loaded) } else { Err(complaints) }
}

impl Loaded {
    fn set(&mut self, key: &'static Key, value: Value, origin: Origin) {
        key.set(&mut self.settings, value);
        self.origins.insert(key.name, origin);
    }

    pub(super) fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// Each where the first of its keys that is not a default was set.
    fn contradictions(&self) -> Vec<Complaint> {
        let complaint = |found: contradictions::Contradiction| {
            let origins = found.keys.iter().map(|key| self.origin(key));
            let place = origins.clone().find(|origin| **origin != Origin::Default).unwrap_or(&Origin::Default);
            Complaint::new(place.to_string(), found.why)
        };
        contradictions::find(&self.settings).into_iter().map(complaint).collect()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::keys;

    fn variables(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn complaints(environment: &[(&str, &str)]) -> Vec<String> {
        match load(None, variables(environment).into_iter(), &[]) {
            Ok(_) => Vec::new(),
            Err(complaints) => complaints.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
        let path = std::env::temp_dir().join(format!("ringpost-loaded-{}.toml", std::process::id()));
        let text = "[gateway]\nconnections_max = 1\nhandshakes_max = 1\nlisten = \"127.0.0.1:1\"\n";
        std::fs::write(&path, text).expect("a file");
        let environment = [("RINGPOST_GATEWAY_HANDSHAKES_MAX", "2"), ("RINGPOST_GATEWAY_LISTEN", "127.0.0.1:2")];
        let key = keys().iter().find(|key| key.name == "gateway.listen").expect("a key");
        let flag = Typed { key, value: Value::Text("127.0.0.1:3".to_owned()) };
        let loaded = load(Some(&path), variables(&environment).into_iter(), &[flag]).expect("all is well");
        std::fs::remove_file(&path).expect("it is there");
        let shard = &loaded.settings.gateway.shard;
        let listen = loaded.settings.gateway.listen.port();
        assert_eq!((shard.connections_max, shard.handshakes_max, listen), (1, 2, 3));
        assert_eq!(loaded.settings.admin, Settings::default().admin);
        let origins = ["gateway.connections_max", "gateway.handshakes_max", "gateway.listen", "admin.listen"];
        let origins = origins.map(|key| loaded.origin(key).to_string());
        let in_file = format!("{}:2", path.display());
        assert_eq!(origins, [&in_file, "RINGPOST_GATEWAY_HANDSHAKES_MAX", "--listen", "default"]);
    }

    #[test]
    fn what_cannot_be_meant_together_is_refused_where_it_was_set() {
        assert_eq!(complaints(&[]), [""; 0]);
        let cases: &[(&[(&str, &str)], &str)] = &[
            (
                &[("RINGPOST_ROUTER_PUSH_WINDOW_BYTES", "1048576")],
                "RINGPOST_ROUTER_PUSH_WINDOW_BYTES: gateway.send_queue",
            ),
            (
                &[("RINGPOST_ROUTER_STORE_RETRY_MIN_MS", "3000")],
                "RINGPOST_ROUTER_STORE_RETRY_MIN_MS: router.store_retry",
            ),
            (&[("RINGPOST_GATEWAY_DRAIN_TIMEOUT_MS", "1000")], "RINGPOST_GATEWAY_DRAIN_TIMEOUT_MS: gateway.drain"),
            (&[("RINGPOST_GATEWAY_CERTIFICATE_FILE", "c")], "RINGPOST_GATEWAY_CERTIFICATE_FILE: gateway.certificate"),
            (&[("RINGPOST_STORE_SEGMENT_BYTES", "134217728")], "RINGPOST_STORE_SEGMENT_BYTES: store.ballast_mib"),
            (&[("RINGPOST_ADMIN_LISTEN", "127.0.0.1:7443")], "RINGPOST_ADMIN_LISTEN: gateway.listen and admin.listen"),
        ];
        for (environment, expected) in cases {
            let found = complaints(environment);
            assert!(found.len() == 1 && found.iter().all(|line| line.starts_with(expected)), "{found:?}");
        }
    }
}
