//! How a command ends that did not do what was asked: one line that says what to do, and an exit code of sysexits.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use client::{Reason, RequestError, StateError, Trouble};
use protocol::codes::{Code, number_is_temporary};

/// Exit codes, as scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// What was read is wrong: a token, a text that is too long, a damaged record.
    Data = 65,
    /// A file that was named is not there.
    NoInput = 66,
    /// No such user, group, member or device.
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
    /// A benchmark has missed what was asked of it.
    Missed = 99,
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

    /// The same about something that is named first.
    pub(crate) fn about(self, what: &str) -> Mistake {
        Mistake { text: format!("{what}: {}", self.text), ..self }
    }

    /// On standard error.
    pub(crate) fn tell(&self) {
        // Nobody is left to be told when standard error is closed.
        let _ = writeln!(std::io::stderr(), "ringpost: {self}");
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<StateError> for Mistake {
    fn from(error: StateError) -> Mistake {
        Mistake::from(&error)
    }
}

impl From<&StateError> for Mistake {
    fn from(error: &StateError) -> Mistake {
        match error {
            StateError::InUse { .. } => {
                Mistake::new(Exit::TryAgain, format!("{error}: end that one, or name another with --state-dir DIR"))
            }
            StateError::Io { .. } => Mistake::new(Exit::Io, error.to_string()),
            StateError::Damaged { .. } => Mistake::new(Exit::Data, error.to_string()),
            StateError::TooNew { .. } => Mistake::new(Exit::Config, error.to_string()),
        }
    }
}

/// Of what the server says when it does not do something.
impl From<&Reason> for Mistake {
    fn from(reason: &Reason) -> Mistake {
        let text = match reason.text.as_str() {
            "" => format!("the server refused it with code {}", reason.code),
            text => format!("{text} ({})", reason.code),
        };
        Mistake::new(exit_of(reason.code), text)
    }
}

impl From<&RequestError> for Mistake {
    fn from(error: &RequestError) -> Mistake {
        match error {
            RequestError::Refused(reason) => Mistake::from(reason),
            RequestError::Command(error) => Mistake::new(Exit::Data, error.to_string()),
        }
    }
}

impl From<RequestError> for Mistake {
    fn from(error: RequestError) -> Mistake {
        Mistake::from(&error)
    }
}

/// Of why a client has closed for good.
impl From<&Trouble> for Mistake {
    fn from(trouble: &Trouble) -> Mistake {
        match trouble {
            Trouble::Server(reason) => Mistake::from(reason),
            Trouble::Token(error) => Mistake::new(Exit::Refused, error.to_string()),
            Trouble::State(error) => Mistake::from(&**error),
            Trouble::Network(_) | Trouble::Lost | Trouble::Tls(_) | Trouble::Frame(_) => {
                Mistake::new(Exit::Unavailable, trouble.to_string())
            }
        }
    }
}

/// The number may be of a later version: then its range says what to do.
fn exit_of(number: u16) -> Exit {
    match Code::from_number(number) {
        Some(Code::UserUnknown | Code::ConversationUnknown | Code::NoSuchUser | Code::NoSuchDevice) => Exit::NoUser,
        Some(Code::ClientIdTooOld | Code::ClientIdInFuture | Code::TooLarge | Code::Malformed) => Exit::Data,
        Some(Code::Replaced) => Exit::TryAgain,
        _ if number_is_temporary(number) => Exit::TryAgain,
        _ => Exit::Refused,
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
