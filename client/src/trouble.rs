//! Why a client is not online, or does not get what it asked for.

use std::fmt;
use std::io;
use std::sync::Arc;

use gateway_transport::TlsError;
use protocol::client::{CommandError, Reason};
use protocol::frame::FrameError;

use crate::access_token::TokenError;
use crate::state_dir::StateError;

/// Why there is no connection. Displayed, it is one line for a person.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The server said so, or was not heard of in time.
    Server(Reason),
    /// The network said so.
    Network(Arc<io::Error>),
    /// The server went away without a word.
    Lost,
    /// No common TLS, or a certificate that is not trusted.
    Tls(TlsError),
    /// The server sent something that is no frame.
    Frame(FrameError),
    /// There is no access token.
    Token(TokenError),
    /// The device's own state cannot be written. Final.
    State(Arc<StateError>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Server(reason) if reason.text.is_empty() => {
                write!(f, "the server ended it with code {}", reason.code)
            }
            Trouble::Server(reason) => write!(f, "{} ({})", reason.text, reason.code),
            Trouble::Network(error) => error.fmt(f),
            Trouble::Lost => f.write_str("the connection was lost"),
            Trouble::Tls(error) => error.fmt(f),
            Trouble::Frame(FrameError::TooLarge) => f.write_str("the server sent a frame that is too large"),
            Trouble::Frame(FrameError::Invalid) => f.write_str("the server sent a frame that cannot be read"),
            Trouble::Token(error) => error.fmt(f),
            Trouble::State(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}

/// Why a question, or a wish, was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The server refused it for good.
    Refused(Reason),
    /// It cannot be asked.
    Command(CommandError),
}

impl From<CommandError> for RequestError {
    fn from(error: CommandError) -> RequestError {
        RequestError::Command(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Refused(reason) => write!(f, "{} ({})", reason.text, reason.code),
            RequestError::Command(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}
