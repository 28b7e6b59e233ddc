//! A key whose value is another than before.

use std::fmt;

use super::key::Key;
use super::settings::Settings;
use super::table::keys;
use super::value::Value;

pub(crate) struct Change {
    pub(crate) key: &'static Key,
    before: Value,
    after: Value,
}

impl Change {
    /// Of every key, in the order of the table.
    pub(crate) fn all(before: &Settings, after: &Settings) -> Vec<Change> {
        let change = |key: &'static Key| Change { key, before: key.value(before), after: key.value(after) };
        keys().iter().map(change).filter(|change| change.before != change.after).collect()
    }

    /// Puts back what was.
    pub(crate) fn undo(&self, settings: &mut Settings) {
        self.key.set(settings, self.before.clone());
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.key.name, self.before, self.after)
    }
}
