//! How a command ends that did not do what was asked: one line that says what to do, and an exit code of sysexits.

use std::fmt;
use std::process::ExitCode;

/// Exit codes, as scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// What was read is wrong: a token, a text that is too long, a damaged record.
    Data = 65,
    /// No such user, group or member.
    NoUser = 67,
    /// The server is not reachable, or a port cannot be had.
    Unavailable = 69,
    /// A fault of ours.
    Software = 70,
    /// The data folder is in use, or cannot be made.
    CannotCreate = 73,
    /// A disk said no.
    Io = 74,
    /// Not now: try again.
    TryAgain = 75,
    /// It is not allowed.
    Refused = 77,
    /// The configuration is wrong.
    Config = 78,
}

/// Why, in one line that says what to do, and the code to exit with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    exit: Exit,
    text: String,
}

impl Mistake {
    /// `text` is one line without a final stop: what happened, and what to do.
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Mistake {
        Mistake { exit, text: text.into() }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
