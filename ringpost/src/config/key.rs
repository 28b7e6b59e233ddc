//! One thing that can be set, with everything that is to be known about it.

use super::kind::Kind;
use super::settings::Settings;
use super::value::Value;

/// Which part of a server looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Gateway,
    Router,
    Both,
}

/// When a changed value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applies {
    /// After a HUP, without dropping anybody.
    OnHangup,
    AtStart,
}

/// Where a key is in the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) read: fn(&Settings) -> Value,
    pub(super) write: fn(&mut Settings, Value),
}

/// A key that is a flag too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) value_name: &'static str,
    /// Bits of the verbs that take it.
    pub(super) verbs: u8,
}

/// See the file's head. Made by [`super::table`] only.
#[derive(Debug)]
pub(crate) struct Key {
    /// `section.key`
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) tier: Tier,
    pub(crate) applies: Applies,
    /// In sentences, for people.
    pub(super) meaning: &'static str,
    /// Likewise: what happens at the limit. Empty where there is none.
    pub(super) when_reached: &'static str,
    /// What holds when it is not set. Empty where it always is.
    pub(super) when_unset: &'static str,
    pub(super) flag: Option<Flag>,
    pub(super) place: Place,
}

impl Key {
    pub(super) fn section(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(section, _)| section)
    }

    /// Its name within the section.
    pub(super) fn short_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, name)| name)
    }

    pub(super) fn variable(&self) -> String {
        format!("RINGPOST_{}", self.name.replace('.', "_").to_uppercase())
    }

    pub(crate) fn value(&self, settings: &Settings) -> Value {
        (self.place.read)(settings)
    }

    /// `value` was accepted by the kind of the key.
    pub(crate) fn set(&self, settings: &mut Settings, value: Value) {
        (self.place.write)(settings, value);
    }

    /// What somebody has written who did not know what is accepted.
    pub(super) fn mistake(&self, found: &str) -> String {
        let accepted = self.kind.accepted();
        if self.kind.may_show() {
            format!("{} is {}, and must be {accepted}", self.name, shortened(found))
        } else {
            format!("{} must be {accepted}", self.name)
        }
    }
}

/// What was found, on one line.
fn shortened(found: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let line = crate::output::harmless(found);
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
