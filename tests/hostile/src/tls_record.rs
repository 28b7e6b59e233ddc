//! Target `tls_record`: bytes of strangers and of men in the middle, cut into TLS records and opened.
//!
//! Strangers: however their bytes are torn, the verdict is the same, it stands for ever, and what is held has its bound.
//! In the middle of an established connection: what comes out is a prefix of what was sealed, whatever is done to the
//! records on their way.

use std::sync::LazyLock;

use gateway_transport::{RECORD_SIZE_MAX, ServerIdentity, TlsClient, TlsError, TlsServer, TlsStage};

use crate::input::{Input, pieces};
use crate::seed::Seed;

/// A torn record in a buffer that doubles, and the longest handshake that a client lets a server send.
const BYTES_HELD_MAX: usize = 2 * RECORD_SIZE_MAX + 64 * 1024;

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 4 {
        0 => stranger(&mut input, || SIDES.server.accept()),
        1 => stranger(&mut input, || SIDES.client.connect("localhost").expect("a DNS name")),
        2 => handshake(&mut input),
        _ => middle(&mut input),
    }
}

struct Sides {
    server: TlsServer,
    client: TlsClient,
}

/// A certificate of this process.
static SIDES: LazyLock<Sides> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    let identity = ServerIdentity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).expect("PEM");
    Sides {
        server: TlsServer::new(identity).expect("key and certificate belong together"),
        client: TlsClient::from_pem(certificate.as_bytes()).expect("PEM"),
    }
});

fn stranger(input: &mut Input<'_>, stage: impl Fn() -> TlsStage) {
    let sizes: [u16; 3] = std::array::from_fn(|_| input.u16());
    let stream = input.rest();
    let whole = receive(&mut stage(), [stream].into_iter());
    let torn = receive(&mut stage(), pieces(stream, &sizes).into_iter());
    assert_eq!(torn, whole, "it matters how the bytes are torn");
}

/// The verdict, and what was opened; a stranger knows no keys, so that is nothing.
fn receive<'a>(stage: &mut TlsStage, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), TlsError> {
    let mut plaintext = Vec::new();
    for piece in pieces {
        let received = stage.receive(piece, &mut plaintext);
        assert!(plaintext.is_empty() && !stage.is_established(), "without keys nothing can be said");
        assert!(stage.bytes_held() <= BYTES_HELD_MAX, "{} bytes held", stage.bytes_held());
        if received.is_err() {
            assert_eq!(stage.receive(piece, &mut plaintext), received, "a failure stands");
            let mut alert = Vec::new();
            stage.take_outgoing(&mut alert);
            return received;
        }
    }
    Ok(())
}

/// A handshake of which some bytes are changed on the way.
fn handshake(input: &mut Input<'_>) {
    let (mut client, mut server) = (SIDES.client.connect("localhost").expect("a DNS name"), SIDES.server.accept());
    let (mut plaintext, mut is_server_well) = (Vec::new(), true);
    for _ in 0..8 {
        for is_to_server in [true, false] {
            let (from, to) = if is_to_server { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let mut wire = Vec::new();
            from.take_outgoing(&mut wire);
            meddle(&mut wire, input);
            let is_well = to.receive(&wire, &mut plaintext).is_ok();
            is_server_well &= is_well || !is_to_server;
        }
    }
    assert!(plaintext.is_empty(), "nobody has said anything");
    if server.is_established() {
        assert_eq!(server.seal(&[b"welcome"], &mut Vec::new()).is_ok(), is_server_well);
    }
}

/// An established connection; what the client seals is changed on the way.
fn middle(input: &mut Input<'_>) {
    let (mut client, mut server) = (SIDES.client.connect("localhost").expect("a DNS name"), SIDES.server.accept());
    for _ in 0..4 {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.take_outgoing(&mut to_server);
        server.receive(&to_server, &mut Vec::new()).expect("nobody meddles yet");
        server.take_outgoing(&mut to_client);
        client.receive(&to_client, &mut Vec::new()).expect("nobody meddles yet");
    }
    let (mut sent, mut wire, mut opened) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..input.u8() % 8 {
        let message = vec![input.u8(); usize::from(input.u16())];
        client.seal(&[&message], &mut wire).expect("the client hears nothing bad");
        sent.extend(message);
    }
    if input.flag() {
        client.close();
        client.take_outgoing(&mut wire);
    }
    let is_changed = meddle(&mut wire, input);
    let size = usize::from(input.u16()).max(1);
    let mut is_well = Ok(());
    for piece in wire.chunks(size) {
        is_well = server.receive(piece, &mut opened);
        assert!(server.bytes_held() <= BYTES_HELD_MAX);
        if is_well.is_err() {
            break;
        }
    }
    assert!(sent.starts_with(&opened), "something came out that nobody has said");
    assert!(is_changed || is_well.is_ok() && opened == sent, "{is_well:?}");
}

/// Changes, cuts, doubles or exchanges some of it. Whether it did.
fn meddle(wire: &mut Vec<u8>, input: &mut Input<'_>) -> bool {
    let before = wire.clone();
    for _ in 0..input.u8() % 4 {
        let (place, value) = (usize::from(input.u16()), input.u8());
        let place = place % wire.len().max(1);
        match value % 4 {
            0 => wire.truncate(place),
            1 => wire.extend_from_within(..place),
            2 => wire.rotate_left(place),
            _ => {
                if let Some(byte) = wire.get_mut(place) {
                    *byte ^= value | 1;
                }
            }
        }
    }
    *wire != before
}

/// Hellos, garbage, and connections with and without somebody in the middle.
pub fn seeds() -> Vec<Seed> {
    let mut hello = Vec::new();
    SIDES.client.connect("localhost").expect("a DNS name").take_outgoing(&mut hello);
    let mut server = SIDES.server.accept();
    server.receive(&hello, &mut Vec::new()).expect("it is a good one");
    let mut answer = Vec::new();
    server.take_outgoing(&mut answer);
    let stranger =
        |name: &str, side: u8, bytes: &[u8]| Seed::new(name, &[&[side, 7, 0, 1, 0, 255, 255][..], bytes].concat());
    vec![
        stranger("hello", 0, &hello),
        stranger("hello-twice", 0, &[&hello[..], &hello].concat()),
        stranger("http", 0, b"GET / HTTP/1.1\r\n\r\n"),
        stranger("alert", 0, &[21, 3, 3, 0, 2, 2, 40]),
        stranger("oversized", 0, &[22, 3, 1, 0xff, 0xff, 0]),
        stranger("endless", 0, &[&[22, 3, 1, 1, 0, 1, 0xff, 0xff, 0xff][..], &[0; 252]].concat()),
        stranger("server-hello", 1, &answer),
        stranger("server-alert", 1, &[21, 3, 3, 0, 2, 2, 80]),
        Seed::new("handshake", &[2]),
        Seed::new("handshake-changed", &[2, 1, 9, 0, 3, 0, 1, 40, 0, 7]),
        Seed::new("middle", &[3, 2, b'a', 5, 0, b'b', 0, 0x50, 1, 0, 0, 4]),
        Seed::new("middle-changed", &[3, 2, b'a', 5, 0, b'b', 9, 0, 0, 1, 30, 0, 3, 4, 0]),
    ]
}
