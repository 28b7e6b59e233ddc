//! The server's side of TLS: its certificate with key, and what it agrees to.
//!
//! TLS 1.3 only, and its two suites with SHA-256. A client may resume with the one ticket that it gets at the end of each
//! handshake; nothing is kept between connections, and no data are taken before a handshake is done. A client without
//! ALPN is refused like one with another protocol.

use std::fmt;
use std::sync::Arc;

use protocol::limits::ALPN;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{Connection, Error, ServerConfig, ServerConnection};

use crate::handshake::Handshake;
use crate::key_exchange::KeyExchange;
use crate::secret_tap::SecretTap;
use crate::session_tickets::SessionTickets;
use crate::tls_stage::TlsStage;

/// What a client may send before its handshake is done. A ClientHello is below 2 KiB, with a post-quantum key share
/// below 4 KiB; strangers share the shard's memory, so there is not much more.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;

/// A certificate chain, the server's own first, and its private key.
pub struct ServerIdentity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What an operator sets of TLS.
#[derive(Debug, Default)]
pub struct TlsSettings {
    /// Hybrid by default.
    pub key_exchange: KeyExchange,
    /// What session tickets are sealed with. `None`, the default: none are given, and every handshake is a full one.
    pub session_tickets: Option<SessionTickets>,
}

/// Why PEM text makes no identity. Says nothing of the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// No `CERTIFICATE` block.
    NoCertificate,
    /// A certificate block that cannot be decoded.
    CertificateInvalid,
    /// No block with a private key (PKCS #8, PKCS #1 or SEC 1).
    NoKey,
    /// A key block that cannot be decoded.
    KeyInvalid,
    /// The key is of a kind this build cannot sign with.
    KeyUnsupported,
    /// The key belongs to another certificate.
    KeyMismatch,
}

impl ServerIdentity {
    /// Reads both from PEM text, which may be the same file twice. Blocks of other kinds are skipped. Whether they fit
    /// together is seen by [`TlsServer::new`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<ServerIdentity, IdentityError> {
        let certificates = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| IdentityError::CertificateInvalid)?;
        if certificates.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound => IdentityError::NoKey,
            _ => IdentityError::KeyInvalid,
        })?;
        Ok(ServerIdentity { certificates, key })
    }
}

/// What every connection of a server shares. Cheap to clone; exchange it to use another certificate from then on.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// With the default of each setting. Checks that key and certificate belong together.
    pub fn new(identity: ServerIdentity) -> Result<TlsServer, IdentityError> {
        TlsServer::with_settings(identity, TlsSettings::default())
    }

    /// The same with these settings.
    pub fn with_settings(identity: ServerIdentity, settings: TlsSettings) -> Result<TlsServer, IdentityError> {
        let mut config = ServerConfig::builder_with_provider(crate::provider::provider(settings.key_exchange))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has suites of TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(identity.certificates, identity.key)
            .map_err(|error| match error {
                Error::InconsistentKeys(_) => IdentityError::KeyMismatch,
                Error::InvalidCertificate(_) => IdentityError::CertificateInvalid,
                _ => IdentityError::KeyUnsupported,
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = usize::from(settings.session_tickets.is_some());
        if let Some(tickets) = settings.session_tickets {
            config.ticketer = Arc::new(tickets);
        }
        config.key_log = Arc::new(SecretTap);
        config.enable_secret_extraction = true;
        Ok(TlsServer { config: Arc::new(config) })
    }

    /// The stage of a connection that a client has opened.
    pub fn accept(&self) -> TlsStage {
        let connection = ServerConnection::new(self.config.clone()).expect("the config asks for nothing unusual");
        TlsStage::new(Handshake::new(Connection::Server(connection)))
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdentityError::NoCertificate => "the certificate file has no CERTIFICATE block",
            IdentityError::CertificateInvalid => "the certificate file has a block that cannot be decoded",
            IdentityError::NoKey => "the key file has no PRIVATE KEY block",
            IdentityError::KeyInvalid => "the key file has a block that cannot be decoded",
            IdentityError::KeyUnsupported => "the private key is of a kind this build cannot use; use ECDSA P-256",
            IdentityError::KeyMismatch => "the private key does not belong to the certificate",
        })
    }
}

impl std::error::Error for IdentityError {}
