//! `config check`, `config show` and `config docs`.

use std::path::Path;

use serde::Serialize;

use super::complaint::refuse;
use super::docs;
use super::flags::{Flags, SHOW};
use super::loaded::{Loaded, Origin, load_file};
use super::table::keys;
use super::value::Value;
use crate::command_line::ConfigVerb;
use crate::mistake::{Exit, Mistake};
use crate::output::{print_json, print_line};

pub(crate) fn run(verb: &ConfigVerb) -> Result<(), Mistake> {
    match verb {
        ConfigVerb::Check { file } => check(file),
        ConfigVerb::Show { flags, json } => show(flags, *json),
        ConfigVerb::Docs => print_line(docs::markdown().trim_end().as_bytes()),
    }
}

fn check(file: &Path) -> Result<(), Mistake> {
    let loaded = load_file(file).map_err(|complaints| refuse(&complaints))?;
    let count = keys().iter().filter(|key| *loaded.origin(key.name) != Origin::Default).count();
    print_line(format!("{} is well and sets {count} keys", file.display()).as_bytes())
}

#[derive(Serialize)]
struct KeyObject<'a> {
    key: &'a str,
    /// A number, a text, or null where it is not set.
    value: Option<serde_json::Value>,
    /// `default`, `file`, `environment` or `flag`.
    source: &'a str,
    /// File and line, variable, or flag.
    place: Option<String>,
}

fn show(flags: &Flags<SHOW>, json: bool) -> Result<(), Mistake> {
    let loaded = flags.given.load().map_err(|complaints| refuse(&complaints))?;
    for warning in &loaded.warnings {
        Mistake::new(Exit::Config, warning).tell();
    }
    keys().iter().try_for_each(|key| {
        let value = key.value(&loaded.settings);
        if json { print_object(&loaded, key.name, value) } else { print_text(&loaded, key.name, &value) }
    })
}

fn print_object(loaded: &Loaded, key: &str, value: Value) -> Result<(), Mistake> {
    let origin = loaded.origin(key);
    let source = match origin {
        Origin::Default => "default",
        Origin::File { .. } => "file",
        Origin::Variable(_) => "environment",
        Origin::Flag(_) => "flag",
    };
    let value = match value {
        Value::Nothing => None,
        Value::Number(number) => Some(number.into()),
        Value::Text(text) => Some(text.into()),
    };
    let place = (*origin != Origin::Default).then(|| origin.to_string());
    print_json(&KeyObject { key, value, source, place })
}

/// Lines that are TOML themselves.
fn print_text(loaded: &Loaded, key: &str, value: &Value) -> Result<(), Mistake> {
    let line = match value {
        Value::Nothing => format!("# {key} is not set"),
        value => format!("{key} = {value}  # {}", loaded.origin(key)),
    };
    print_line(line.as_bytes())
}
