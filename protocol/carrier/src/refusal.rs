//! Why there is no link, for the one line that an operator reads.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// From the first byte of a connection to its welcome. A handshake takes two round trips and less than a millisecond of
/// work at each end.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// See the file's head.
#[derive(Debug)]
pub enum Refusal {
    /// The two ends have different link keys. Either end may be the one that has found out.
    OtherKey,
    /// The other end speaks no TLS, or another protocol, or shows no key: it is no end of a link.
    NoLink(TlsError),
    /// It took longer than [`HANDSHAKE_TIMEOUT`].
    TimedOut,
    /// The other end has gone away in the middle.
    Closed,
    /// The network, or nobody listens.
    Unreachable(io::Error),
    /// The router has all the links that it takes, or has ended.
    NotLetIn,
}

/// A [`Refusal`] without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum RefusalKind {
    OtherKey,
    NoLink,
    TimedOut,
    Closed,
    Unreachable,
    NotLetIn,
}

impl RefusalKind {
    pub(crate) const COUNT: usize = 6;
}

impl Refusal {
    pub(crate) fn kind(&self) -> RefusalKind {
        match self {
            Refusal::OtherKey => RefusalKind::OtherKey,
            Refusal::NoLink(_) => RefusalKind::NoLink,
            Refusal::TimedOut => RefusalKind::TimedOut,
            Refusal::Closed => RefusalKind::Closed,
            Refusal::Unreachable(_) => RefusalKind::Unreachable,
            Refusal::NotLetIn => RefusalKind::NotLetIn,
        }
    }

    /// What a gateway has to say that got no link from the router at this address.
    pub(crate) fn of_router<'a>(&'a self, router: &'a str) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| match self {
            Refusal::OtherKey => write!(
                f,
                "no link: the router at {router} has another link key than this gateway; give both the same file with \
                 --link-key-file"
            ),
            Refusal::NoLink(error) => write!(
                f,
                "no link: what listens on {router} is no router of this version ({error}); --router names what the \
                 router was given as --link"
            ),
            Refusal::TimedOut => {
                write!(f, "no link: the router at {router} did not answer within {HANDSHAKE_TIMEOUT:?}; trying again")
            }
            Refusal::Closed | Refusal::NotLetIn => {
                write!(f, "no link: the router at {router} has closed the connection; its log says why; trying again")
            }
            Refusal::Unreachable(error) => write!(
                f,
                "no link: the router at {router} cannot be reached ({error}); is it running, with this address as \
                 --link? trying again"
            ),
        })
    }

    /// What a router has to say that let nobody in from this address.
    pub(crate) fn of_peer<'a>(&'a self, peer: impl fmt::Display + 'a) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| match self {
            Refusal::OtherKey => write!(
                f,
                "a gateway at {peer} was refused: it has another link key than this router; give both the same file with \
                 --link-key-file"
            ),
            Refusal::NoLink(error) => {
                write!(f, "somebody at {peer} was refused, who is no gateway of this version: {error}")
            }
            Refusal::TimedOut => {
                write!(f, "somebody at {peer} did not prove the link key within {HANDSHAKE_TIMEOUT:?}")
            }
            Refusal::Closed => write!(f, "somebody at {peer} has gone before the link key was proven"),
            Refusal::Unreachable(error) => write!(f, "the connection of a gateway at {peer} has failed: {error}"),
            Refusal::NotLetIn => {
                write!(f, "a gateway at {peer} was not let in: there are too many, or the router is about to end")
            }
        })
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) {
            Some(
                TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
                | TlsError::AlertReceived(AlertDescription::AccessDenied),
            ) => Refusal::OtherKey,
            Some(error) => Refusal::NoLink(error.clone()),
            None if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => Refusal::Closed,
            None => Refusal::Unreachable(error),
        }
    }
}
