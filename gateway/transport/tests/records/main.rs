//! Our record layer beside the library's: after the handshake both get the same records and must make the same of them.

#[path = "../support/certificate.rs"]
mod certificate;
#[path = "../support/peer.rs"]
mod peer;
#[path = "../support/rustls_client.rs"]
mod rustls_client;
#[path = "../support/servers.rs"]
mod servers;

use std::io::Read;

use gateway_transport::{TlsClient, TlsSettings, TlsStage};
use rustls::ServerConnection;
use rustls::crypto::ring::cipher_suite;

use certificate::Certificate;
use peer::{ALERT, APPLICATION_DATA, HANDSHAKE, KEY_UPDATE, Peer, client_with_suite, join};
use servers::{Server, rustls_server};

const CONTENT_SIZE_MAX: usize = 1 << 14;

impl Certificate {
    fn our_server(&self) -> TlsStage {
        self.server(TlsSettings::default()).accept()
    }

    fn rustls_server(&self, tickets: usize) -> ServerConnection {
        rustls_server(&self.certificate_pem, &self.key_pem, tickets)
    }
}

/// What a server made of records: its plaintext, whether it goes on, and the alert that it gave.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    plaintext: Vec<u8>,
    goes_on: bool,
    alert: Option<u8>,
}

/// Outer type and inner plaintext.
type Record = (u8, Vec<u8>);

fn verdict(certificate: &Certificate, mut server: impl Server, records: &[Record]) -> Verdict {
    let mut peer = Peer::shake_hands(&certificate.certificate_pem, &mut server);
    let (mut plaintext, mut goes_on) = (Vec::new(), true);
    for (outer_type, inner) in records {
        goes_on = goes_on && server.receive(&peer.seal(*outer_type, inner), &mut plaintext);
        if *inner == [&KEY_UPDATE[..], &[HANDSHAKE]].concat() {
            peer.update();
        }
    }
    Verdict { plaintext, goes_on, alert: peer.alert_in(&server.take_outgoing()) }
}

fn inner(content: &[u8], content_type: u8, padding: usize) -> Vec<u8> {
    [content, &[content_type], &vec![0; padding]].concat()
}

fn record(content: &[u8], content_type: u8) -> Record {
    (APPLICATION_DATA, inner(content, content_type, 0))
}

/// Whether the library answers in the same way. Where it does not, we keep to the letter of RFC 8446 (sections 5.1, 5.4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Library {
    Agrees,
    Differs,
}

use Library::{Agrees, Differs};

const UNEXPECTED_MESSAGE: Option<u8> = Some(10);
const RECORD_OVERFLOW: Option<u8> = Some(22);
const ILLEGAL_PARAMETER: Option<u8> = Some(47);
const DECODE_ERROR: Option<u8> = Some(50);

#[test]
fn records_that_are_well_are_taken_as_the_library_does() {
    let certificate = Certificate::for_name("localhost");
    let hello = || record(b"hello", APPLICATION_DATA);
    let cases: Vec<(&str, Vec<Record>)> = vec![
        ("plaintext", vec![hello(), hello()]),
        ("nothing at all", vec![record(b"", APPLICATION_DATA), hello()]),
        ("padding", vec![(APPLICATION_DATA, inner(b"hello", APPLICATION_DATA, 200)), hello()]),
        (
            "nothing but padding",
            [(); 3]
                .map(|()| (APPLICATION_DATA, inner(b"", APPLICATION_DATA, CONTENT_SIZE_MAX)))
                .into_iter()
                .chain([hello()])
                .collect(),
        ),
        ("a full record", vec![record(&[7; CONTENT_SIZE_MAX], APPLICATION_DATA), hello()]),
        ("a close", vec![hello(), record(&[1, 0], ALERT)]),
        ("a user that cancels", vec![record(&[1, 90], ALERT), hello()]),
        ("a key update", vec![record(&KEY_UPDATE, HANDSHAKE), hello()]),
        ("a fatal alert", vec![hello(), record(&[2, 40], ALERT)]),
    ];
    for (what, records) in cases {
        let ours = verdict(&certificate, certificate.our_server(), &records);
        assert_eq!(ours, verdict(&certificate, certificate.rustls_server(0), &records), "{what}");
        assert_eq!(ours.alert, None, "{what}");
    }
}

#[test]
fn records_of_every_wrong_kind_are_refused_with_their_alert() {
    let certificate = Certificate::for_name("localhost");
    let hello = || record(b"hello", APPLICATION_DATA);
    let two_updates = [KEY_UPDATE, KEY_UPDATE].concat();
    let (full, too_full) = (vec![7; CONTENT_SIZE_MAX], vec![7; CONTENT_SIZE_MAX + 1]);
    let cases: Vec<(&str, Vec<Record>, Option<u8>, Library)> = vec![
        ("too full", vec![record(&too_full, APPLICATION_DATA)], RECORD_OVERFLOW, Agrees),
        ("padded beyond full", vec![(APPLICATION_DATA, inner(&full, APPLICATION_DATA, 1))], RECORD_OVERFLOW, Agrees),
        ("only zeros", vec![(APPLICATION_DATA, vec![0; 30])], UNEXPECTED_MESSAGE, Differs),
        ("an unknown type", vec![record(b"hello", 99)], UNEXPECTED_MESSAGE, Differs),
        ("a change of cipher", vec![record(&[1], 20)], UNEXPECTED_MESSAGE, Agrees),
        ("an open handshake", vec![(HANDSHAKE, inner(b"x", APPLICATION_DATA, 0))], UNEXPECTED_MESSAGE, Differs),
        ("an open alert", vec![(ALERT, inner(b"x", APPLICATION_DATA, 0))], UNEXPECTED_MESSAGE, Differs),
        ("half an alert", vec![record(&[1], ALERT)], DECODE_ERROR, Agrees),
        ("an alert and a half", vec![record(&[1, 0, 0], ALERT)], DECODE_ERROR, Agrees),
        ("an empty alert", vec![record(&[], ALERT)], UNEXPECTED_MESSAGE, Differs),
        ("an empty handshake", vec![record(&[], HANDSHAKE)], UNEXPECTED_MESSAGE, Differs),
        ("a ticket of a client", vec![record(&[4, 0, 0, 0], HANDSHAKE)], UNEXPECTED_MESSAGE, Differs),
        ("a second hello", vec![record(&[1, 0, 0, 0], HANDSHAKE)], UNEXPECTED_MESSAGE, Differs),
        ("more behind a key update", vec![record(&two_updates, HANDSHAKE)], UNEXPECTED_MESSAGE, Agrees),
        ("an odd key update", vec![record(&[24, 0, 0, 1, 2], HANDSHAKE)], ILLEGAL_PARAMETER, Agrees),
        ("a key update of nothing", vec![record(&[24, 0, 0, 0], HANDSHAKE)], DECODE_ERROR, Agrees),
        ("within a message", vec![record(&KEY_UPDATE[..3], HANDSHAKE), hello()], UNEXPECTED_MESSAGE, Differs),
    ];
    for (what, records, alert, library) in cases {
        let refused = Verdict { plaintext: Vec::new(), goes_on: false, alert };
        assert_eq!(verdict(&certificate, certificate.our_server(), &records), refused, "{what}");
        let agrees = verdict(&certificate, certificate.rustls_server(0), &records) == refused;
        assert_eq!(agrees, library == Agrees, "{what}");
    }
}

#[test]
fn key_updates_go_both_ways_again_and_again() {
    for suite in [cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256] {
        let certificate = Certificate::for_name("localhost");
        let (mut client, mut server) =
            (client_with_suite(&certificate.certificate_pem, suite), certificate.our_server());
        join(&mut client, &mut server);
        for round in 0..20u8 {
            // It asks us for ours as well.
            client.refresh_traffic_keys().expect("established");
            std::io::Write::write_all(&mut client.writer(), &[round; 100]).expect("memory");
            let mut to_server = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut to_server).expect("memory");
            }
            let mut plaintext = Vec::new();
            for torn in to_server.chunks(7) {
                TlsStage::receive(&mut server, torn, &mut plaintext).expect("opened");
            }
            assert_eq!(plaintext, [round; 100]);
            let mut answer = Vec::new();
            server.seal(&[&[round; 50]], &mut answer).expect("sealed");
            let mut rest = &answer[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).expect("memory");
                client.process_new_packets().expect("opened");
            }
            let mut heard = [0; 50];
            client.reader().read_exact(&mut heard).expect("it is there");
            assert_eq!(heard, [round; 50]);
        }
    }
}

/// How a server takes so many key updates in a row, then a byte, three times over.
fn takes_key_updates(certificate: &Certificate, mut server: impl Server, key_updates: usize) -> bool {
    let mut client = client_with_suite(&certificate.certificate_pem, cipher_suite::TLS13_AES_128_GCM_SHA256);
    join(&mut client, &mut server);
    let mut goes_on = true;
    for _ in 0..3 {
        for _ in 0..key_updates {
            client.refresh_traffic_keys().expect("established");
        }
        std::io::Write::write_all(&mut client.writer(), b"x").expect("memory");
        let mut to_server = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("memory");
        }
        goes_on = goes_on && server.receive(&to_server, &mut Vec::new());
    }
    goes_on
}

#[test]
fn a_flood_of_key_updates_is_refused_where_the_library_does() {
    let certificate = Certificate::for_name("localhost");
    for (key_updates, goes_on) in [(32, true), (33, false)] {
        assert_eq!(takes_key_updates(&certificate, certificate.our_server(), key_updates), goes_on);
        assert_eq!(takes_key_updates(&certificate, certificate.rustls_server(0), key_updates), goes_on);
    }
}

#[test]
fn a_client_of_ours_throws_tickets_away_and_answers_key_updates() {
    let certificate = Certificate::for_name("localhost");
    let mut server = certificate.rustls_server(2);
    let trusting = TlsClient::from_pem(certificate.certificate_pem.as_bytes()).expect("PEM");
    let mut client = trusting.connect("localhost").expect("a DNS name");
    for round in 0..10u8 {
        let mut to_server = Vec::new();
        if client.is_established() {
            client.seal(&[&[round; 10]], &mut to_server).expect("sealed");
        } else {
            client.take_outgoing(&mut to_server);
        }
        let mut plaintext = Vec::new();
        assert!(Server::receive(&mut server, &to_server, &mut plaintext));
        if !server.is_handshaking() {
            server.refresh_traffic_keys().expect("established");
        }
        let to_client = Server::take_outgoing(&mut server);
        TlsStage::receive(&mut client, &to_client, &mut Vec::new()).expect("opened");
        if round > 3 {
            assert_eq!(plaintext, [round; 10]);
        }
    }
}
