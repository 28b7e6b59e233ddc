//! A client that shakes hands by the library, and then seals whatever record a test asks for.

use std::sync::{Arc, Mutex};

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::{ClientConfig, ClientConnection, KeyLog, SupportedCipherSuite};

use super::rustls_client;
use super::servers::Server;

const HEADER_SIZE: usize = 5;

/// Content types of records.
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;

/// A key update that asks for none in return.
pub(crate) const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
const KEY_UPDATE_HEADER: [u8; 4] = [24, 0, 0, 1];

type Secret = [u8; 32];

/// Of the client and of the server, as the library derives them.
#[derive(Debug, Default)]
struct Secrets(Mutex<[Secret; 2]>);

/// One direction of the peer.
struct Direction {
    secret: Secret,
    sequence: u64,
}

pub(crate) struct Peer {
    sending: Direction,
    receiving: Direction,
}

/// A client of rustls for this server's certificate.
pub(crate) fn client_with_suite(certificate_pem: &str, suite: SupportedCipherSuite) -> ClientConnection {
    rustls_client::connect(config_with_suite(certificate_pem, suite))
}

fn config_with_suite(certificate_pem: &str, suite: SupportedCipherSuite) -> ClientConfig {
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    rustls_client::config(certificate_pem, provider, &[b"ringpost/1"])
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
    /// With a server that gives no tickets.
    pub(crate) fn shake_hands(certificate_pem: &str, server: &mut impl Server) -> Peer {
        let secrets = Arc::new(Secrets::default());
        let mut config = config_with_suite(certificate_pem, cipher_suite::TLS13_AES_128_GCM_SHA256);
        config.key_log = secrets.clone();
        join(&mut rustls_client::connect(config), server);
        let [sending, receiving] = *secrets.0.lock().expect("nothing panics while it holds this lock");
        let direction = |secret| Direction { secret, sequence: 0 };
        Peer { sending: direction(sending), receiving: direction(receiving) }
    }

    /// A record with this inner plaintext: content, type and padding, as the test wants them.
    pub(crate) fn seal(&mut self, outer_type: u8, inner: &[u8]) -> Vec<u8> {
        let size = u16::try_from(inner.len() + 16).expect("a record").to_be_bytes();
        let mut record = vec![outer_type, 3, 3, size[0], size[1]];
        let mut sealed = inner.to_vec();
        let (key, nonce) = self.sending.next_key();
        key.seal_in_place_append_tag(nonce, Aad::from(&record[..]), &mut sealed).expect("sealed");
        record.extend_from_slice(&sealed);
        record
    }

    /// What is sealed from now on has the next key.
    pub(crate) fn update(&mut self) {
        self.sending.update();
    }

    /// The alert that the server has given, if any.
    pub(crate) fn alert_in(&mut self, bytes: &[u8]) -> Option<u8> {
        let said = self.open_all(bytes);
        let (_, alert) = said.iter().find(|(content_type, _)| *content_type == ALERT)?;
        alert.get(1).copied()
    }

    /// Type and content of each record of the server.
    fn open_all(&mut self, mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut opened = Vec::new();
        while let Some(header) = bytes.first_chunk::<HEADER_SIZE>() {
            let size = HEADER_SIZE + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let (record, rest) = bytes.split_at(size);
            let mut inner = record[HEADER_SIZE..].to_vec();
            let (key, nonce) = self.receiving.next_key();
            let inner = key.open_in_place(nonce, Aad::from(*header), &mut inner).expect("the server's keys");
            let (content_type, content) = inner.split_last().expect("a type");
            if *content_type == HANDSHAKE && content.starts_with(&KEY_UPDATE_HEADER) {
                self.receiving.update();
            }
            opened.push((*content_type, content.to_vec()));
            bytes = rest;
        }
        opened
    }
}

impl Direction {
    /// For one record.
    fn next_key(&mut self) -> (LessSafeKey, Nonce) {
        let mut nonce: [u8; NONCE_LEN] = expand(&self.secret, "iv");
        nonce.iter_mut().skip(4).zip(self.sequence.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.sequence += 1;
        let key = UnboundKey::new(&AES_128_GCM, &expand::<16>(&self.secret, "key")).expect("16 bytes");
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
    }

    fn update(&mut self) {
        *self = Direction { secret: expand(&self.secret, "traffic upd"), sequence: 0 };
    }
}

/// `HKDF-Expand-Label` without context.
fn expand<const SIZE: usize>(secret: &Secret, label: &str) -> [u8; SIZE] {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let label = format!("tls13 {label}");
    let info = [&[0, SIZE as u8, label.len() as u8][..], label.as_bytes(), &[0]];
    let mut output = [0; SIZE];
    let secret = Prk::new_less_safe(HKDF_SHA256, secret);
    secret.expand(&info, Length(SIZE)).and_then(|okm| okm.fill(&mut output)).expect("it is short");
    output
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let index = match label {
            "CLIENT_TRAFFIC_SECRET_0" => 0,
            "SERVER_TRAFFIC_SECRET_0" => 1,
            _ => return,
        };
        let mut secrets = self.0.lock().expect("nothing panics while it holds this lock");
        secrets[index] = secret.try_into().expect("of SHA-256");
    }
}
