//! What an operator can set of a server: one table of keys, and four places where a value may stand.
//!
//! A flag wins over the environment, that over the file, that over the default. Everything here is text and numbers: no
//! file that a key names is read, and nothing of the product is started. Invariants: [`Settings`] that were loaded hold
//! every value in its range; what is wrong is told all at once.

mod change;
mod complaint;
mod contradictions;
mod docs;
mod environment;
mod file;
mod flags;
mod key;
mod kind;
mod loaded;
mod settings;
mod suggestion;
mod table;
mod value;
pub(crate) mod verbs;

pub(crate) use change::Change;
pub(crate) use complaint::refuse;
pub(crate) use flags::{DEV, Flags, Given, SERVE, SHOW};
pub(crate) use key::{Applies, Tier};
pub(crate) use kind::is_host_port;
pub(crate) use settings::{LogFormat, Settings};
