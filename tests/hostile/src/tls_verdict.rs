//! Target `tls_verdict`: our server beside the library's. Both get the same bytes of a stranger, or the same records of a
//! client after its handshake, and must make the same of them: the same plaintext, and the same alert.
//!
//! Where they differ, ours goes by the letter of RFC 8446: it says `unexpected_message` where section 5 does, refuses a
//! handshake record with nothing in it, does not look at the level of an alert (section 6), and does not answer one. It
//! counts key updates over records with nothing in them, of which the library ends a long run, since they cost no more
//! than others. The library says nothing of some faults. Of a stranger's record ours waits for the end, and says
//! `record_overflow` of one that is too large.

#[path = "../../../gateway/transport/tests/support/peer.rs"]
mod peer;
#[path = "../../../gateway/transport/tests/support/rustls_client.rs"]
mod rustls_client;
#[path = "../../../gateway/transport/tests/support/servers.rs"]
mod servers;

use std::sync::LazyLock;

use gateway_transport::{ServerIdentity, TlsServer, TlsStage};
use rustls::ServerConnection;
use rustls::crypto::ring::cipher_suite;

use crate::input::Input;
use crate::seed::Seed;
use peer::{ALERT, APPLICATION_DATA, HANDSHAKE, KEY_UPDATE, Peer, client_with_suite};
use servers::{Server, rustls_server};

/// What is refused as a whole is refused by our bound, which the library does not have.
const STRANGER_BYTES_MAX: usize = 16_000;
const STEPS_MAX: usize = 40;
const HEADER_SIZE: usize = 5;
const CONTENT_SIZE_MAX: usize = 1 << 14;
/// Of what is no data, for the same reason.
const SILENT_CONTENT_SIZE_MAX: usize = 300;
const UNEXPECTED_MESSAGE: Option<u8> = Some(10);
const RECORD_OVERFLOW: Option<u8> = Some(22);

struct Certificate {
    certificate_pem: String,
    key_pem: String,
    server: TlsServer,
}

/// A certificate of this process.
static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
    let certificate_pem = parameters.self_signed(&key).expect("a certificate").pem();
    let key_pem = key.serialize_pem();
    let identity = ServerIdentity::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes()).expect("PEM");
    let server = TlsServer::new(identity).expect("key and certificate belong together");
    Certificate { certificate_pem, key_pem, server }
});

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    if input.flag() { stranger(&mut input) } else { client(&mut input) }
}

fn servers() -> (TlsStage, ServerConnection) {
    let Certificate { certificate_pem, key_pem, server } = &*CERTIFICATE;
    (server.accept(), rustls_server(certificate_pem, key_pem, 0))
}

fn stranger(input: &mut Input<'_>) {
    let stream = input.rest();
    let stream = stream.get(..STRANGER_BYTES_MAX).unwrap_or(stream);
    let (mut ours, mut library) = servers();
    let verdict = |server: &mut dyn Server| {
        let goes_on = server.receive(stream, &mut Vec::new());
        let said = server.take_outgoing();
        // Before any keys an alert is a record of two bytes that all can read; it is the last one.
        let alert = said.last_chunk::<7>().filter(|record| record.starts_with(&[ALERT, 3, 3, 0, 2]));
        (goes_on, alert.map(|record| record[6]))
    };
    let (of_ours, of_library) = (verdict(&mut ours), verdict(&mut library));
    let waits = of_ours == (true, None) && ours.is_inside_record();
    let is_alike =
        of_ours == of_library || of_ours == (false, RECORD_OVERFLOW) || !of_ours.0 && of_library == (false, None);
    assert!(is_alike || waits, "{of_ours:?} {of_library:?}");
}

/// What one of them makes of a client's records.
struct Side<S> {
    server: S,
    peer: Peer,
    plaintext: Vec<u8>,
    goes_on: bool,
    alert: Option<u8>,
}

impl<S: Server> Side<S> {
    fn new(mut server: S) -> Side<S> {
        let peer = Peer::shake_hands(&CERTIFICATE.certificate_pem, &mut server);
        Side { server, peer, plaintext: Vec::new(), goes_on: true, alert: None }
    }

    fn take(&mut self, step: &Step) {
        if !self.goes_on {
            return;
        }
        let mut record = self.peer.seal(step.outer_type, &step.inner);
        if let Some((place, value)) = step.change {
            let (_, sealed) = record.split_at_mut(HEADER_SIZE);
            let place = usize::from(place) % sealed.len();
            sealed[place] ^= value;
        }
        if step.is_key_update {
            self.peer.update();
        }
        self.goes_on = self.server.receive(&record, &mut self.plaintext);
        self.alert = self.peer.alert_in(&self.server.take_outgoing());
    }
}

/// A record.
struct Step {
    outer_type: u8,
    inner: Vec<u8>,
    is_key_update: bool,
    /// What is done to it on its way, below the header: with another length they wait, and the library does not look at
    /// the version, which we take for part of what is sealed (section 5.2).
    change: Option<(u16, u8)>,
}

impl Step {
    fn new(content: &[u8], content_type: u8, padding: u8) -> Step {
        let inner = [content, &[content_type], &vec![0; usize::from(padding)]].concat();
        Step { outer_type: APPLICATION_DATA, inner, is_key_update: false, change: None }
    }

    fn of(input: &mut Input<'_>) -> Step {
        match input.u8() % 8 {
            0 => Step::new(&vec![input.u8(); usize::from(input.u16()) % (CONTENT_SIZE_MAX + 2)], APPLICATION_DATA, 0),
            1 => Step::new(short(input), APPLICATION_DATA, input.u8()),
            2 => {
                let asked = [24, 0, 0, 1, input.u8() & 1];
                Step { is_key_update: true, ..Step::new(&asked, HANDSHAKE, 0) }
            }
            3 => Step::new(short(input), HANDSHAKE, 0),
            4 => Step::new(short(input), ALERT, 0),
            5 => Step::new(short(input), input.u8(), input.u8()),
            6 => Step { outer_type: input.u8(), ..Step::new(short(input), APPLICATION_DATA, 0) },
            _ => {
                let change = Some((input.u16(), input.u8()));
                Step { change, ..Step::new(short(input), APPLICATION_DATA, 0) }
            }
        }
    }

    /// What stands behind the content and before the padding.
    fn is_of(&self, content_type: u8) -> bool {
        self.inner.iter().rfind(|byte| **byte != 0) == Some(&content_type)
    }

    /// Of a type, and nothing else.
    fn is_empty(&self) -> bool {
        self.inner.iter().rposition(|byte| *byte != 0) == Some(0)
    }
}

fn short<'a>(input: &mut Input<'a>) -> &'a [u8] {
    let content = input.bytes();
    content.get(..SILENT_CONTENT_SIZE_MAX).unwrap_or(content)
}

fn client(input: &mut Input<'_>) {
    let (ours, library) = servers();
    let (mut ours, mut library) = (Side::new(ours), Side::new(library));
    for _ in 0..STEPS_MAX {
        if input.is_empty() || !ours.goes_on {
            break;
        }
        let step = Step::of(input);
        ours.take(&step);
        library.take(&step);
        assert_eq!(ours.plaintext.len(), library.plaintext.len(), "the same plaintext");
        assert!(ours.plaintext == library.plaintext, "the same plaintext");
        if ours.goes_on != library.goes_on {
            let is_flood = step.is_key_update && ours.alert == UNEXPECTED_MESSAGE;
            let is_stricter = library.goes_on && (step.is_empty() && step.is_of(HANDSHAKE) || is_flood);
            let is_milder = ours.goes_on && (step.is_of(ALERT) || step.is_empty() && step.is_of(APPLICATION_DATA));
            assert!(is_stricter || is_milder, "{:?} {:?}", ours.alert, library.alert);
            return;
        }
        let is_by_the_letter = ours.alert == UNEXPECTED_MESSAGE || ours.alert.is_none() && step.is_of(ALERT);
        let is_alike = ours.alert == library.alert || library.alert.is_none() || is_by_the_letter;
        assert!(is_alike, "{:?} {:?}", ours.alert, library.alert);
    }
}

/// A hello, one that was changed, and connections with something wrong in every place.
pub fn seeds() -> Vec<Seed> {
    let mut client = client_with_suite(&CERTIFICATE.certificate_pem, cipher_suite::TLS13_AES_128_GCM_SHA256);
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory");
    let stranger = |name: &str, bytes: &[u8]| Seed::new(name, &[&[1][..], bytes].concat());
    // A choice, its content with its length, and what comes behind that.
    let steps = |name: &str, steps: &[&[u8]]| Seed::new(name, &[&[0], &steps.concat()[..]].concat());
    let of_type = |choice: u8, content: &[u8]| [&[choice, content.len() as u8, 0], content].concat();
    let data: &[u8] = &[0, b'a', 5, 0];
    vec![
        stranger("hello", &hello),
        stranger("hello-cut", &hello[..hello.len() - 1]),
        stranger("hello-changed", &[&hello[..60], &[0xff], &hello[61..]].concat()),
        stranger("http", b"GET / HTTP/1.1\r\n\r\n"),
        stranger("alert", &[ALERT, 3, 3, 0, 2, 2, 40]),
        stranger("data", &[APPLICATION_DATA, 3, 3, 0, 1, 0]),
        steps("talk", &[data, data, &[0, b'b', 0, 0x40], data]),
        steps("too-full", &[&[0, b'b', 1, 0x40], data]),
        steps("padded", &[&of_type(1, b"a"), &[200], data]),
        steps("key-updates", &[&[2, 0], data, &[2, 1], &[2, 1], data]),
        steps("key-update-in-pieces", &[&of_type(3, &KEY_UPDATE[..3]), &of_type(3, &KEY_UPDATE[3..]), data]),
        steps("two-messages", &[&of_type(3, &[KEY_UPDATE, KEY_UPDATE].concat()), data]),
        steps("a-ticket", &[&of_type(3, &[4, 0, 0, 0])]),
        steps("close", &[data, &of_type(4, &[1, 0]), data]),
        steps("fatal", &[&of_type(4, &[2, 40]), data]),
        steps("half-an-alert", &[&of_type(4, &[2])]),
        steps("unknown-type", &[&of_type(5, b"x"), &[99, 0]]),
        steps("outer-type", &[&[6, HANDSHAKE], &[1, 0, b'x']]),
        steps("changed", &[&[7, 9, 0, 1, 1, 0, b'x']]),
    ]
}
