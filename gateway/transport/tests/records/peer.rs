//! A client that shakes hands by the library, and then seals whatever record a test asks for.

use std::sync::Arc;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore, SupportedCipherSuite};

const HEADER_SIZE: usize = 5;

/// What a server makes of bytes: the same for ours and for the library's.
pub(crate) trait Server {
    /// Plaintext is appended; false after a failure.
    fn receive(&mut self, bytes: &[u8], plaintext: &mut Vec<u8>) -> bool;
    fn take_outgoing(&mut self) -> Vec<u8>;
}

/// One direction of the peer.
struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

pub(crate) struct Peer {
    sending: Direction,
    receiving: Direction,
}

/// A client of the library for this server's certificate.
pub(crate) fn library_client(certificate_pem: &str, suite: SupportedCipherSuite) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate_pem.as_bytes()).expect("PEM")).expect("a certificate");
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"ringpost/1".to_vec()];
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("localhost").expect("a DNS name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

/// Carries bytes until both have nothing to say. What the server says beyond the handshake is opened by the client.
pub(crate) fn join(client: &mut ClientConnection, server: &mut impl Server) {
    loop {
        let mut to_server = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("memory");
        }
        server.receive(&to_server, &mut Vec::new());
        let to_client = server.take_outgoing();
        if to_server.is_empty() && to_client.is_empty() {
            return;
        }
        let mut rest = &to_client[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets().expect("a good server");
        }
    }
}

impl Peer {
    pub(crate) fn shake_hands(certificate_pem: &str, server: &mut impl Server) -> Peer {
        let mut client = library_client(certificate_pem, cipher_suite::TLS13_AES_128_GCM_SHA256);
        join(&mut client, server);
        let secrets = client.dangerous_extract_secrets().expect("the handshake is done");
        Peer { sending: Direction::new(secrets.tx), receiving: Direction::new(secrets.rx) }
    }

    /// A record with this inner plaintext: content, type and padding, as the test wants them.
    pub(crate) fn seal(&mut self, outer_type: u8, inner: &[u8]) -> Vec<u8> {
        let size = u16::try_from(inner.len() + 16).expect("a record").to_be_bytes();
        let mut record = vec![outer_type, 3, 3, size[0], size[1]];
        let mut sealed = inner.to_vec();
        let nonce = self.sending.next_nonce();
        self.sending.key.seal_in_place_append_tag(nonce, Aad::from(&record[..]), &mut sealed).expect("sealed");
        record.extend_from_slice(&sealed);
        record
    }

    /// The alert that the server has given, if any.
    pub(crate) fn alert_in(&mut self, bytes: &[u8]) -> Option<u8> {
        let said = self.open_all(bytes);
        let (_, alert) = said.iter().find(|(content_type, _)| *content_type == 21)?;
        alert.get(1).copied()
    }

    /// Type and content of each record of the server.
    fn open_all(&mut self, mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut opened = Vec::new();
        while let Some(header) = bytes.first_chunk::<HEADER_SIZE>() {
            let size = HEADER_SIZE + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let (record, rest) = bytes.split_at(size);
            let mut inner = record[HEADER_SIZE..].to_vec();
            let nonce = self.receiving.next_nonce();
            let inner =
                self.receiving.key.open_in_place(nonce, Aad::from(*header), &mut inner).expect("the server's keys");
            let (content_type, content) = inner.split_last().expect("a type");
            opened.push((*content_type, content.to_vec()));
            bytes = rest;
        }
        opened
    }
}

impl Direction {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Direction {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another suite was offered") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).expect("16 bytes"));
        Direction { key, iv: iv.as_ref().try_into().expect("12 bytes"), sequence }
    }

    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        nonce.iter_mut().skip(4).zip(self.sequence.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}
