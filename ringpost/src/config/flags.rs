//! The flags of the verbs that start a server: the keys of the table that have one, and `--config`.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use super::key::{Flag, Key};
use super::settings::Settings;
use super::table::keys;
use super::value::Value;

/// A verb, as a bit: `dev`.
pub(crate) const DEV: u8 = 1;
/// Likewise: `serve`.
pub(crate) const SERVE: u8 = 2;
/// `config show` takes what either takes.
pub(crate) const SHOW: u8 = DEV | SERVE;

/// The flags that this verb takes.
#[derive(Clone, Debug)]
pub(crate) struct Flags<const VERB: u8> {
    pub(crate) given: Given,
}

/// What was typed.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Of `--config`, or its variable.
    pub(super) file: Option<PathBuf>,
    pub(super) flags: Vec<Typed>,
}

/// A flag with its value.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) key: &'static Key,
    pub(super) value: Value,
}

impl Typed {
    /// Without dashes.
    pub(super) fn flag(&self) -> &'static str {
        self.key.flag.map_or("", |flag| flag.name)
    }
}

impl Given {
    /// Whether this key was given as a flag.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.flags.iter().any(|typed| typed.key.name == key)
    }
}

impl<const VERB: u8> Flags<VERB> {
    fn known() -> impl Iterator<Item = (&'static Key, Flag)> {
        keys().iter().filter_map(|key| key.flag.filter(|flag| flag.verbs & VERB != 0).map(|flag| (key, flag)))
    }
}

impl<const VERB: u8> Args for Flags<VERB> {
    fn augment_args(command: Command) -> Command {
        let defaults = Settings::default();
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("RINGPOST_CONFIG")
            .value_parser(value_parser!(OsString))
            .help("What is set for good, as TOML; see `ringpost config docs`. Flags and variables win over it.");
        Self::known().fold(command.arg(file), |command, (key, flag)| {
            let help = match key.value(&defaults) {
                Value::Nothing => {
                    format!("{} Without it: {} [env: {}]", key.meaning, key.when_unset, key.variable())
                }
                Value::Number(number) => with_default(key, &number),
                Value::Text(text) => with_default(key, &text),
            };
            let argument = Arg::new(flag.name)
                .long(flag.name)
                .value_name(flag.value_name)
                .value_parser(Reader { key, flag })
                .help(help);
            command.arg(argument)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn with_default(key: &Key, default: &impl Display) -> String {
    format!("{} [default: {default}] [env: {}]", key.meaning.trim_end_matches('.'), key.variable())
}

/// Reads the value of a flag. Says what a file or a variable is told, which repeats no secret.
#[derive(Clone)]
struct Reader {
    key: &'static Key,
    flag: Flag,
}

impl TypedValueParser for Reader {
    type Value = Value;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Value, Error> {
        value.to_str().and_then(|text| self.key.kind.of_text(text)).ok_or_else(|| {
            let text = format!("--{}: {}", self.flag.name, self.key.mistake(&format!("{value:?}")));
            command.clone().error(ErrorKind::InvalidValue, text)
        })
    }
}

impl<const VERB: u8> FromArgMatches for Flags<VERB> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let flags = Self::known().filter_map(|(key, flag)| {
            let value = matches.get_one::<Value>(flag.name)?.clone();
            Some(Typed { key, value })
        });
        // An empty variable is one that is not set.
        let file = matches.get_one::<OsString>("config").filter(|file| !file.is_empty()).map(PathBuf::from);
        Ok(Flags { given: Given { file, flags: flags.collect() } })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
