//! The client's side of TLS: what it trusts, and the name it expects.
//!
//! TLS 1.3 only. It trusts the certificates it is given and no others: a self-signed one of a development server, or the
//! roots of an operator.

use std::fmt;
use std::sync::Arc;

use protocol::limits::ALPN;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore};

use crate::handshake::Handshake;
use crate::key_exchange::KeyExchange;
use crate::last_session::LastSession;
use crate::secret_tap::SecretTap;
use crate::tls_stage::TlsStage;

/// What a server may send before its handshake is done. A certificate chain is the largest part.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// Why a client cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// No `CERTIFICATE` block in the PEM text.
    NoCertificate,
    /// A certificate that cannot be decoded.
    CertificateInvalid,
    /// Neither a DNS name nor an IP address.
    ServerNameInvalid,
}

/// What every connection of a client shares. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    keeps_sessions: bool,
}

impl TlsClient {
    /// Trusts each certificate of the PEM text, as a root or as the server's own.
    pub fn from_pem(trusted_certificates: &[u8]) -> Result<TlsClient, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trusted_certificates) {
            let certificate = certificate.map_err(|_| TrustError::CertificateInvalid)?;
            roots.add(certificate).map_err(|_| TrustError::CertificateInvalid)?;
        }
        if roots.is_empty() {
            return Err(TrustError::NoCertificate);
        }
        let mut config = ClientConfig::builder_with_provider(crate::provider::provider(KeyExchange::Hybrid))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has suites of TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.key_log = Arc::new(SecretTap);
        config.enable_secret_extraction = true;
        Ok(TlsClient { config: Arc::new(config), keeps_sessions: false })
    }

    /// Keeps the last session of its connections in memory, so that the next one resumes: the server need not sign. For a
    /// client that comes back as the same user, since its server can tell.
    pub fn keeping_sessions(mut self) -> TlsClient {
        Arc::make_mut(&mut self.config).resumption = Resumption::store(Arc::new(LastSession::default()));
        self.keeps_sessions = true;
        self
    }

    /// The stage of a connection to the server of this name, a DNS name or an IP address: it is sent as SNI where it is
    /// a DNS name, and the certificate must be for it. Its first message is ready in [`TlsStage::take_outgoing`].
    pub fn connect(&self, server_name: &str) -> Result<TlsStage, TrustError> {
        let server_name = ServerName::try_from(server_name.to_owned()).map_err(|_| TrustError::ServerNameInvalid)?;
        let connection =
            ClientConnection::new(self.config.clone(), server_name).expect("the config asks for nothing unusual");
        let mut handshake = Handshake::new(Connection::Client(connection));
        handshake.keeps_tickets = self.keeps_sessions;
        Ok(TlsStage::new(handshake))
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrustError::NoCertificate => "the file of trusted certificates has no CERTIFICATE block",
            TrustError::CertificateInvalid => "the file of trusted certificates has a block that cannot be decoded",
            TrustError::ServerNameInvalid => "the server's name is neither a DNS name nor an IP address",
        })
    }
}

impl std::error::Error for TrustError {}
