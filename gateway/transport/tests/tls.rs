//! Both ends of TLS joined in memory, and what a server says to peers that are not our client.

#[path = "support/certificate.rs"]
mod certificate;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/rustls_client.rs"]
mod rustls_client;
#[path = "support/rustls_handshake.rs"]
mod rustls_handshake;

use gateway_transport::{
    Blame, CertificateRefusal, IdentityError, RECORD_SIZE_MAX, ServerIdentity, TlsClient, TlsError, TlsServer,
    TlsSettings, TlsStage, TrustError,
};
use rustls::crypto::ring::default_provider;

use certificate::Certificate;
use pair::join;
use rustls_handshake::shake_hands;

/// Alerts of RFC 8446, section 6.
const ALERT_RECORD: u8 = 21;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const DECODE_ERROR: u8 = 50;
const PROTOCOL_VERSION: u8 = 70;

fn established_pair(step: usize) -> (TlsStage, TlsStage) {
    let certificate = Certificate::for_name("localhost");
    let trusting = TlsClient::from_pem(certificate.certificate_pem.as_bytes()).expect("PEM");
    pair::connect(&trusting, &certificate.server(TlsSettings::default()), step)
}

fn outgoing(stage: &mut TlsStage) -> Vec<u8> {
    let mut outgoing = Vec::new();
    stage.take_outgoing(&mut outgoing);
    outgoing
}

fn record_count(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [_, _, _, high, low, rest @ ..] = bytes {
        bytes = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).expect("whole records");
        count += 1;
    }
    count
}

#[test]
fn plaintext_travels_both_ways_however_the_bytes_are_torn() {
    for step in [1, 7, 1 << 20] {
        let (mut client, mut server) = established_pair(step);
        let large = vec![42; 100_000];
        let mut wire = Vec::new();
        client.seal(&[b"hello ", &large], &mut wire).expect("sealed");
        let mut plaintext = Vec::new();
        for bytes in wire.chunks(step) {
            server.receive(bytes, &mut plaintext).expect("opened");
            assert!(server.bytes_held() <= 2 * RECORD_SIZE_MAX);
        }
        assert_eq!(plaintext, [&b"hello "[..], &large].concat());
        assert!(!server.is_inside_record());
        assert_eq!(server.bytes_held(), 0);
        wire.clear();
        server.seal(&[b"answer"], &mut wire).expect("sealed");
        plaintext.clear();
        client.receive(&wire, &mut plaintext).expect("opened");
        assert_eq!(plaintext, b"answer");
    }
}

#[test]
fn the_frames_of_a_turn_are_sealed_as_one_record() {
    let (_, mut server) = established_pair(4096);
    let mut wire = Vec::new();
    server.seal(&[&b"frame"[..]; 60], &mut wire).expect("sealed");
    assert_eq!(record_count(&wire), 1);
}

#[test]
fn a_close_is_told_apart_from_a_cut() {
    let (mut client, mut server) = established_pair(4096);
    let mut wire = Vec::new();
    client.seal(&[b"last words"], &mut wire).expect("sealed");
    client.close();
    client.take_outgoing(&mut wire);
    let (cut, mut plaintext) = (wire.len() - 1, Vec::new());
    server.receive(&wire[..cut], &mut plaintext).expect("opened");
    assert!(!server.peer_has_closed() && server.is_inside_record());
    server.receive(&wire[cut..], &mut plaintext).expect("opened");
    assert!(server.peer_has_closed());
    assert_eq!(plaintext, b"last words");
}

#[test]
fn what_comes_after_a_close_is_thrown_away() {
    let (mut client, mut established) = established_pair(4096);
    let mut wire = Vec::new();
    client.seal(&[b"last words"], &mut wire).expect("sealed");
    client.close();
    let mut goodbye = Vec::new();
    client.take_outgoing(&mut goodbye);
    let mut plaintext = Vec::new();
    established.receive(&[&wire[..], &goodbye].concat(), &mut plaintext).expect("opened");
    assert!(established.peer_has_closed());
    let held = established.bytes_held();
    for late in [&wire, &goodbye] {
        assert_eq!(established.receive(late, &mut plaintext), Ok(()));
        assert_eq!(established.bytes_held(), held);
    }
    assert_eq!(plaintext, b"last words");
}

#[test]
fn a_peer_without_tls_is_answered_with_an_alert() {
    let server = Certificate::for_name("localhost").server(TlsSettings::default());
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"G", b"\x00", b"\xff\xff\xff\xff\xff\xff", b"SSH-2.0-x\r\n"] {
        let mut stage = server.accept();
        assert_eq!(stage.receive(bytes, &mut Vec::new()), Err(TlsError::NotTls));
        assert_eq!(TlsError::NotTls.blame(), Blame::InvalidBytes);
        assert_eq!(outgoing(&mut stage), [ALERT_RECORD, 3, 3, 0, 2, 2, DECODE_ERROR]);
    }
}

#[test]
fn garbage_inside_records_is_refused_for_good() {
    let mut stage = Certificate::for_name("localhost").server(TlsSettings::default()).accept();
    let garbage = [&[22, 3, 1, 0, 16][..], &[0xee; 16]].concat();
    let first = stage.receive(&garbage, &mut Vec::new());
    assert!(matches!(first, Err(TlsError::Malformed | TlsError::Misbehaved)), "{first:?}");
    assert_eq!(stage.receive(&garbage, &mut Vec::new()), first);
    let mut wire = Vec::new();
    stage.take_outgoing(&mut wire);
    assert_eq!(wire.first(), Some(&ALERT_RECORD));
}

#[test]
fn a_record_or_a_handshake_without_end_is_cut_off_early() {
    let server = Certificate::for_name("localhost").server(TlsSettings::default());
    let mut stage = server.accept();
    assert_eq!(stage.receive(&[22, 3, 1, 0xff, 0xff], &mut Vec::new()), Err(TlsError::Oversized));
    assert_eq!(outgoing(&mut stage), [ALERT_RECORD, 3, 3, 0, 2, 2, RECORD_OVERFLOW]);

    // A handshake message that announces 16 MiB, in records of 1 KiB.
    let mut stage = server.accept();
    let mut record = [&[22, 3, 1, 4, 0][..], &[0; 1024]].concat();
    record[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    let mut records = 0;
    while stage.receive(&record, &mut Vec::new()).is_ok() {
        record[5..].fill(0);
        records += 1;
        assert!(records < 64, "it never ends");
        assert!(stage.bytes_held() <= 64 * 1024);
    }
    assert_eq!(outgoing(&mut stage), [ALERT_RECORD, 3, 3, 0, 2, 2, DECODE_ERROR]);
}

/// Of an established connection.
#[test]
fn a_record_of_garbage_of_any_size_is_refused_with_its_alert_and_holds_no_more_than_a_record() {
    let sizes = [0, 1, 15, 16, 17, 18, 1_000, 16_384, 16_400, 16_639, 16_640, 16_641, 16_642, 0xffff];
    for size in sizes {
        let (mut client, mut server) = established_pair(4096);
        let [high, low] = u16::try_from(size).expect("a length").to_be_bytes();
        let record = [&[23, 3, 3, high, low][..], &vec![7; size]].concat();
        let is_too_large = size > RECORD_SIZE_MAX - 5;
        let mut received = Ok(());
        for piece in record.chunks(1_000) {
            received = received.and(server.receive(piece, &mut Vec::new()));
            assert!(server.bytes_held() <= 2 * RECORD_SIZE_MAX, "{size} bytes");
        }
        let error = if is_too_large { TlsError::Oversized } else { TlsError::Undecryptable };
        assert_eq!(received, Err(error), "{size} bytes");
        let alert = if is_too_large { RECORD_OVERFLOW } else { BAD_RECORD_MAC };
        let told = client.receive(&outgoing(&mut server), &mut Vec::new());
        assert_eq!(told, Err(TlsError::PeerAlert(alert)), "{size} bytes");
    }
}

#[test]
fn a_changed_byte_on_the_way_is_noticed() {
    let (mut client, mut server) = established_pair(4096);
    let mut wire = Vec::new();
    client.seal(&[b"hello"], &mut wire).expect("sealed");
    *wire.last_mut().expect("not empty") ^= 1;
    let mut plaintext = Vec::new();
    assert_eq!(server.receive(&wire, &mut plaintext), Err(TlsError::Undecryptable));
    assert_eq!(plaintext, b"");
    assert_eq!(server.seal(&[b"too late"], &mut Vec::new()), Err(TlsError::Undecryptable));
}

#[test]
fn a_client_refuses_a_stranger_and_the_server_hears_why() {
    let mut server = Certificate::for_name("localhost").server(TlsSettings::default()).accept();
    let trusting_another =
        TlsClient::from_pem(Certificate::for_name("localhost").certificate_pem.as_bytes()).expect("PEM");
    let mut client = trusting_another.connect("localhost").expect("a DNS name");
    let (client_result, server_result) = join(&mut client, &mut server, 4096);
    let Err(TlsError::CertificateRefused(refusal)) = client_result else { panic!("{client_result:?}") };
    assert!(matches!(refusal, CertificateRefusal::UnknownIssuer | CertificateRefusal::Invalid), "{refusal:?}");
    assert!(matches!(server_result, Err(TlsError::PeerAlert(_))), "{server_result:?}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let certificate = Certificate::for_name("chat.example");
    let trusting = TlsClient::from_pem(certificate.certificate_pem.as_bytes()).expect("PEM");
    for name in ["localhost", "127.0.0.1"] {
        let mut client = trusting.connect(name).expect("a name");
        let (client_result, _) = join(&mut client, &mut certificate.server(TlsSettings::default()).accept(), 4096);
        assert_eq!(client_result, Err(TlsError::CertificateRefused(CertificateRefusal::WrongName)));
    }
    assert!(matches!(trusting.connect("no name"), Err(TrustError::ServerNameInvalid)));
}

/// What the server says to a client of rustls that is set up with `alpn`.
fn server_verdict_on(alpn: &[&[u8]]) -> Result<(), TlsError> {
    let certificate = Certificate::for_name("localhost");
    let config = rustls_client::config(&certificate.certificate_pem, default_provider(), alpn);
    let mut server = certificate.server(TlsSettings::default()).accept();
    shake_hands(&mut rustls_client::connect(config), &mut server).map_err(|(error, _)| error)
}

#[test]
fn a_client_without_our_alpn_is_refused() {
    assert_eq!(server_verdict_on(&[b"h2", b"ringpost/1"]), Ok(()));
    assert_eq!(server_verdict_on(&[]), Err(TlsError::WrongProtocol));
    assert_eq!(server_verdict_on(&[b"h2", b"http/1.1"]), Err(TlsError::WrongProtocol));
}

#[test]
fn a_client_of_tls_1_2_is_told_so() {
    // A ClientHello of version 3.3 with one cipher suite and without supported_versions.
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let (groups, signatures) = ([0, 10, 0, 4, 0, 2, 0, 23], [0, 13, 0, 4, 0, 2, 4, 3]);
    hello.extend_from_slice(&[&[0, 16][..], &groups, &signatures].concat());
    let hello = [&[1, 0, 0, hello.len() as u8][..], &hello].concat();
    let record = [&[22, 3, 1, 0, hello.len() as u8][..], &hello].concat();
    let mut stage = Certificate::for_name("localhost").server(TlsSettings::default()).accept();
    let verdict = stage.receive(&record, &mut Vec::new());
    let mut wire = Vec::new();
    stage.take_outgoing(&mut wire);
    assert_eq!((verdict, wire.last()), (Err(TlsError::Incompatible), Some(&PROTOCOL_VERSION)));
}

#[test]
fn pem_that_makes_no_identity_says_why() {
    let (one, other) = (Certificate::for_name("one"), Certificate::for_name("other"));
    let identity = |certificates: &str, key: &str| {
        ServerIdentity::from_pem(certificates.as_bytes(), key.as_bytes()).and_then(TlsServer::new).err()
    };
    assert_eq!(identity(&one.certificate_pem, &one.key_pem), None);
    assert_eq!(identity("", &one.key_pem), Some(IdentityError::NoCertificate));
    assert_eq!(identity(&one.certificate_pem, ""), Some(IdentityError::NoKey));
    assert_eq!(identity(&one.certificate_pem, &other.key_pem), Some(IdentityError::KeyMismatch));
    let torn_certificate = one.certificate_pem.replace("MII", "M*I");
    assert_eq!(identity(&torn_certificate, &one.key_pem), Some(IdentityError::CertificateInvalid));
    let both = [&one.key_pem[..], &one.certificate_pem].concat();
    assert_eq!(identity(&both, &both), None);
    assert_eq!(TlsClient::from_pem(b"").err(), Some(TrustError::NoCertificate));
}
