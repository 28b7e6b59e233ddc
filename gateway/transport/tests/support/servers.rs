//! Our server and the library's, as one who compares them sees both.

use std::io::Read;
use std::sync::Arc;

use gateway_transport::TlsStage;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// What a server makes of bytes.
pub(crate) trait Server {
    /// Plaintext is appended; false after a failure.
    fn receive(&mut self, bytes: &[u8], plaintext: &mut Vec<u8>) -> bool;
    fn take_outgoing(&mut self) -> Vec<u8>;
}

/// Sets up the library's with the same certificate.
pub(crate) fn rustls_server(certificate_pem: &str, key_pem: &str, tickets: usize) -> ServerConnection {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).expect("PEM");
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    config.alpn_protocols = vec![b"ringpost/1".to_vec()];
    config.send_tls13_tickets = tickets;
    ServerConnection::new(Arc::new(config)).expect("a server")
}

impl Server for TlsStage {
    fn receive(&mut self, bytes: &[u8], plaintext: &mut Vec<u8>) -> bool {
        TlsStage::receive(self, bytes, plaintext).is_ok()
    }

    fn take_outgoing(&mut self) -> Vec<u8> {
        let mut outgoing = Vec::new();
        TlsStage::take_outgoing(self, &mut outgoing);
        outgoing
    }
}

impl Server for ServerConnection {
    fn receive(&mut self, mut bytes: &[u8], plaintext: &mut Vec<u8>) -> bool {
        while !bytes.is_empty() {
            // A record at a time, as our stage feeds it.
            let size =
                bytes.get(3..5).map_or(bytes.len(), |size| 5 + usize::from(u16::from_be_bytes([size[0], size[1]])));
            let (mut record, rest) = bytes.split_at(size.min(bytes.len()));
            while !record.is_empty() && self.read_tls(&mut record).is_ok_and(|size| size > 0) {}
            let is_well = self.process_new_packets().is_ok();
            // It says "would block" where nothing is left.
            let _ = self.reader().read_to_end(plaintext);
            if !is_well {
                return false;
            }
            bytes = rest;
        }
        true
    }

    fn take_outgoing(&mut self) -> Vec<u8> {
        let mut outgoing = Vec::new();
        while self.wants_write() {
            self.write_tls(&mut outgoing).expect("memory");
        }
        outgoing
    }
}
