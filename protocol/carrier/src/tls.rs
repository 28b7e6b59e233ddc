//! TLS 1.3 as a link uses it: raw public keys (RFC 7250), each end pinned to the link key.
//!
//! There are no certificates, names or dates that could be wrong: an end is who it has to be when it signs the handshake
//! with the link key. The handshake itself, and that a signature of a client is none of a server, is the library's.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig,
    SignatureScheme,
};

use crate::link_key::LinkKey;

/// What both ends must agree on by ALPN, so that nothing else can be taken for a link.
const LINK_ALPN: &[u8] = b"ringpost-link/1";

const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The router's side.
pub(crate) fn server(key: &LinkKey) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(VERSIONS)
        .expect("the provider has suites of TLS 1.3")
        .with_client_cert_verifier(Arc::new(Pinned::to(key)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key.certified())));
    config.alpn_protocols = vec![LINK_ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// The gateway's side.
pub(crate) fn client(key: &LinkKey) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(VERSIONS)
        .expect("the provider has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::to(key)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key.certified())));
    config.alpn_protocols = vec![LINK_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config
}

/// The library asks for a name; a link has none.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from("ringpost-link").expect("a valid name")
}

/// Accepts one public key.
#[derive(Debug)]
struct Pinned {
    key: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn to(key: &LinkKey) -> Pinned {
        Pinned { key: key.public().clone(), algorithms: ring::default_provider().signature_verification_algorithms }
    }

    fn check(&self, shown: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if shown.as_ref() == self.key.as_ref() && others.is_empty() {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(shown, &[])?;
        verify_tls13_signature_with_raw_key(message, &self.key, signed, &self.algorithms)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ED25519};
    use rustls::client::ResolvesClientCert;
    use rustls::sign::CertifiedKey;
    use rustls::{AlertDescription, ClientConnection, Connection, ServerConnection};

    use super::*;

    fn key() -> LinkKey {
        let pem = KeyPair::generate_for(&PKCS_ED25519).expect("randomness").serialize_pem();
        LinkKey::from_pem(pem.as_bytes()).expect("a key")
    }

    /// Shakes hands in memory. What the client and the server end with.
    fn shake(client: ClientConfig, server: ServerConfig) -> [Result<(), Error>; 2] {
        let client = ClientConnection::new(Arc::new(client), server_name()).expect("nothing unusual");
        let server = ServerConnection::new(Arc::new(server)).expect("nothing unusual");
        let (mut client, mut server) = (Connection::Client(client), Connection::Server(server));
        let mut results = [Ok(()), Ok(())];
        // Two round trips, and what is said after a failure.
        for _ in 0..4 {
            results[1] = results[1].clone().and_then(|()| pass(&mut client, &mut server));
            results[0] = results[0].clone().and_then(|()| pass(&mut server, &mut client));
        }
        assert!(results[0].is_err() || results[1].is_err() || !client.is_handshaking() && !server.is_handshaking());
        results
    }

    fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).expect("memory takes all");
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            to.read_tls(&mut bytes).expect("memory gives all");
            to.process_new_packets()?;
        }
        Ok(())
    }

    /// Does not care whom it talks to.
    fn careless_client(own: &LinkKey, of_server: &LinkKey) -> ClientConfig {
        let mut config = client(of_server);
        config.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(own.certified()));
        config
    }

    #[test]
    fn one_key_makes_a_link_and_agrees_on_what_it_is() {
        let key = key();
        assert_eq!(shake(client(&key), server(&key)), [Ok(()), Ok(())]);
    }

    #[test]
    fn another_key_makes_none_and_both_ends_know_why() {
        let refused = Err(CertificateError::ApplicationVerificationFailure.into());
        let told = Err(Error::AlertReceived(AlertDescription::AccessDenied));
        let (own, other) = (key(), key());
        assert_eq!(shake(client(&own), server(&other)), [refused.clone(), told.clone()]);
        assert_eq!(shake(careless_client(&own, &other), server(&other)), [told, refused], "the router checks too");
    }

    #[test]
    fn a_client_that_shows_no_key_is_refused() {
        let key = key();
        let mut config = client(&key);
        config.client_auth_cert_resolver = Arc::new(NoKey);
        let [_, server_result] = shake(config, server(&key));
        assert!(server_result.is_err(), "{server_result:?}");
    }

    #[test]
    fn a_signature_by_another_key_does_not_pass_for_the_key_that_is_shown() {
        let (own, stolen) = (key(), key());
        let shown = stolen.certified().cert.clone();
        let forged = Arc::new(CertifiedKey::new(shown, own.certified().key.clone()));
        let mut config = client(&stolen);
        config.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(forged));
        let [_, server_result] = shake(config, server(&stolen));
        assert_eq!(server_result, Err(CertificateError::BadSignature.into()));
    }

    #[test]
    fn who_means_another_protocol_is_refused() {
        let key = key();
        let mut config = client(&key);
        config.alpn_protocols = vec![b"ringpost/1".to_vec()];
        assert_eq!(shake(config, server(&key))[1], Err(Error::NoApplicationProtocol));
    }

    #[derive(Debug)]
    struct NoKey;

    impl ResolvesClientCert for NoKey {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }

        fn only_raw_public_keys(&self) -> bool {
            true
        }

        fn has_certs(&self) -> bool {
            true
        }
    }
}
