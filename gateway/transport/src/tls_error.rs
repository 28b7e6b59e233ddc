//! What can go wrong with TLS, by blame. The alert for the peer is not here: the stage has queued it already.

use std::fmt;

use rustls::{CertificateError, Error};

/// A TLS connection that cannot go on. Final: the stage gives the same error from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The first bytes are no TLS record: plain HTTP, a port scan, a client without TLS.
    NotTls,
    /// A record or a handshake message that cannot be decoded.
    Malformed,
    /// A record, or a handshake as a whole, larger than allowed.
    Oversized,
    /// A record that was not sealed with the keys of this connection.
    Undecryptable,
    /// A valid message where it must not come.
    Misbehaved,
    /// No common version, cipher suite, key exchange or signature scheme.
    Incompatible,
    /// The peer did not choose `ringpost/1` by ALPN.
    WrongProtocol,
    /// The certificate of the peer was refused. Clients only.
    CertificateRefused(CertificateRefusal),
    /// The peer gave up with this alert (RFC 8446, section 6.2).
    PeerAlert(u8),
    /// Our own fault: no randomness, no clock, a library error without a better name.
    Internal,
}

/// Why a client refused the certificate of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRefusal {
    /// Not signed by anything that is trusted here.
    UnknownIssuer,
    /// For another name than the one connected to.
    WrongName,
    /// Its time is over, or has not come.
    OutsideValidity,
    /// Any other reason.
    Invalid,
}

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The bytes are not what they should be: a stranger, or a broken network.
    InvalidBytes,
    /// The peer speaks TLS and breaks its rules.
    PeerMisbehaved,
    /// Both are right and cannot talk: update or configure one of them.
    Incompatible,
    /// The peer says that we are at fault, or that it does not trust us.
    PeerRefused,
    /// Ours.
    Local,
}

impl TlsError {
    /// Who has to change something.
    pub fn blame(self) -> Blame {
        match self {
            TlsError::NotTls | TlsError::Malformed | TlsError::Oversized | TlsError::Undecryptable => {
                Blame::InvalidBytes
            }
            TlsError::Misbehaved => Blame::PeerMisbehaved,
            TlsError::Incompatible | TlsError::WrongProtocol | TlsError::CertificateRefused(_) => Blame::Incompatible,
            TlsError::PeerAlert(_) => Blame::PeerRefused,
            TlsError::Internal => Blame::Local,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::NotTls => f.write_str("the peer does not speak TLS"),
            TlsError::Malformed => f.write_str("the peer sent a TLS message that cannot be decoded"),
            TlsError::Oversized => f.write_str("the peer sent a TLS record or handshake that is too large"),
            TlsError::Undecryptable => f.write_str("the peer sent a TLS record that cannot be decrypted"),
            TlsError::Misbehaved => f.write_str("the peer broke the rules of TLS"),
            TlsError::Incompatible => f.write_str("the peer offers no TLS 1.3 with a common cipher suite"),
            TlsError::WrongProtocol => f.write_str("the peer did not agree on ringpost/1 by ALPN"),
            TlsError::CertificateRefused(refusal) => write!(f, "the server's certificate {refusal}"),
            TlsError::PeerAlert(alert) => write!(f, "the peer gave up with TLS alert {alert}"),
            TlsError::Internal => f.write_str("TLS failed for a reason of this machine"),
        }
    }
}

impl fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateRefusal::UnknownIssuer => "is not signed by anything that is trusted here",
            CertificateRefusal::WrongName => "is for another server name",
            CertificateRefusal::OutsideValidity => "is not valid at this time; check it and this machine's clock",
            CertificateRefusal::Invalid => "is not acceptable",
        })
    }
}

impl std::error::Error for TlsError {}

/// Only the kinds count: texts of the library are for its own developers.
pub(crate) fn from_library(error: &Error) -> TlsError {
    match error {
        Error::InvalidMessage(_) => TlsError::Malformed,
        Error::PeerSentOversizedRecord => TlsError::Oversized,
        Error::DecryptError => TlsError::Undecryptable,
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::NoCertificatesPresented => TlsError::Misbehaved,
        Error::PeerIncompatible(_) => TlsError::Incompatible,
        Error::NoApplicationProtocol => TlsError::WrongProtocol,
        Error::InvalidCertificate(reason) => TlsError::CertificateRefused(refusal(reason)),
        Error::AlertReceived(alert) => TlsError::PeerAlert(u8::from(*alert)),
        _ => TlsError::Internal,
    }
}

fn refusal(reason: &CertificateError) -> CertificateRefusal {
    match reason {
        CertificateError::UnknownIssuer => CertificateRefusal::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateRefusal::WrongName
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => CertificateRefusal::OutsideValidity,
        _ => CertificateRefusal::Invalid,
    }
}
