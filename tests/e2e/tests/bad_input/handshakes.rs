//! Peers that do not get as far as a frame.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::library_client;
use e2e::raw_client::{plain, to_the_end};
use gateway_transport::TlsClient;
use protocol::limits::HANDSHAKE_TIMEOUT;

use crate::{Target, ensure_took};

/// Alerts of RFC 8446, section 6.2.
const PROTOCOL_VERSION: u8 = 70;
const DECODE_ERROR: u8 = 50;
/// The gateway's bound for sockets of one address that have not authenticated.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 256;

pub(crate) fn garbage(target: &Target) -> Result<()> {
    for bytes in [&[0; 40][..], &[0xff; 3000]] {
        ensure_alert(&answer_to(target, bytes)?, DECODE_ERROR)?;
    }
    Ok(())
}

pub(crate) fn plain_http(target: &Target) -> Result<()> {
    ensure_alert(&answer_to(target, b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n")?, DECODE_ERROR)
}

pub(crate) fn dressed_garbage(target: &Target) -> Result<()> {
    let answer = answer_to(target, &[&[22, 3, 1, 0, 100][..], &[0xee; 100]].concat())?;
    ensure!(answer.first() == Some(&21), "{answer:?} instead of an alert");
    Ok(())
}

/// A ClientHello of RFC 5246 that offers TLS 1.2, as a client of that time would.
pub(crate) fn tls_1_2(target: &Target) -> Result<()> {
    let signature_algorithms = [0, 13, 0, 6, 0, 4, 4, 3, 8, 4];
    let supported_groups = [0, 10, 0, 6, 0, 4, 0, 29, 0, 23];
    let extensions = [signature_algorithms, supported_groups].concat();
    let suites_and_compression = [0, 2, 0xc0, 0x2b, 1, 0];
    let body =
        [&[3, 3][..], &[7; 32], &[0], &suites_and_compression, &[0, extensions.len() as u8], &extensions].concat();
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 3, 1, 0, handshake.len() as u8][..], &handshake].concat();
    ensure_alert(&answer_to(target, &record)?, PROTOCOL_VERSION)
}

pub(crate) fn wrong_alpn(target: &Target) -> Result<()> {
    let mut tls = library_client::connect(target.site.certificate(), b"h2")?;
    let mut stream = plain(target.address)?;
    let error = tls.complete_io(&mut stream).err().context("the handshake was done")?;
    let error = error.into_inner().and_then(|error| error.downcast::<rustls::Error>().ok()).context("no alert")?;
    let wanted = rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
    ensure!(*error == wanted, "{error:?} instead of {wanted:?}");
    Ok(())
}

pub(crate) fn hang_up(target: &Target) -> Result<()> {
    let mut stream = plain(target.address)?;
    stream.write_all(&client_hello(target)?)?;
    Ok(())
}

pub(crate) fn oversized_record(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    client.stream().write_all(&[23, 3, 3, 0xff, 0xff])?;
    ensure!(!to_the_end(client.stream())?.is_empty(), "closed without an alert");
    Ok(())
}

/// change_cipher_spec says nothing and may come once (RFC 8446, appendix D.4).
pub(crate) fn empty_records(target: &Target) -> Result<()> {
    let began = Instant::now();
    let says_nothing = [20, 3, 3, 0, 1, 1].repeat(10_000);
    answer_to(target, &[client_hello(target)?, says_nothing].concat())?;
    ensure!(began.elapsed() < HANDSHAKE_TIMEOUT / 2, "its end came with its deadline only");
    Ok(())
}

pub(crate) fn changed_byte(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let mut record = client.seal(b"a record")?;
    *record.last_mut().context("a record")? ^= 1;
    client.stream().write_all(&record)?;
    let answer = to_the_end(client.stream())?;
    ensure!(!answer.is_empty(), "closed without an alert");
    Ok(())
}

pub(crate) fn silent(target: &Target) -> Result<()> {
    let began = Instant::now();
    to_the_end(&mut plain(target.address)?)?;
    ensure_took(began, HANDSHAKE_TIMEOUT)
}

pub(crate) fn half(target: &Target) -> Result<()> {
    let began = Instant::now();
    let hello = client_hello(target)?;
    let mut stream = plain(target.address)?;
    stream.write_all(hello.get(..hello.len() / 2).context("a hello")?)?;
    to_the_end(&mut stream)?;
    ensure_took(began, HANDSHAKE_TIMEOUT)
}

pub(crate) fn dripping(target: &Target) -> Result<()> {
    let began = Instant::now();
    let hello = client_hello(target)?;
    let mut stream = plain(target.address)?;
    let mut drops = stream.try_clone()?;
    let dripping = thread::spawn(move || {
        // Ends when the server has closed: the next write but one fails.
        hello.iter().all(|byte| {
            thread::sleep(Duration::from_millis(150));
            drops.write_all(&[*byte]).is_ok()
        })
    });
    to_the_end(&mut stream)?;
    ensure_took(began, HANDSHAKE_TIMEOUT)?;
    ensure!(!dripping.join().expect("no panic"), "the whole hello was taken");
    Ok(())
}

pub(crate) fn crowd(target: &Target) -> Result<()> {
    let surplus = 20;
    let mut crowd = Vec::new();
    for _ in 0..HANDSHAKES_PER_ADDRESS_MAX + surplus {
        crowd.push(plain(target.address)?);
    }
    let began = Instant::now();
    for stream in crowd.iter_mut().take(surplus) {
        to_the_end(stream)?;
    }
    ensure!(began.elapsed() < HANDSHAKE_TIMEOUT / 2, "the oldest went at their deadline only");
    let newest = crowd.last_mut().context("the newcomer")?;
    newest.set_read_timeout(Some(Duration::from_millis(100)))?;
    let error = newest.read(&mut [0]).err().context("the newcomer was closed")?;
    ensure!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "the newcomer: {error}");
    target.say_hello()?.expect_pong().context("a newcomer with a token")
}

fn client_hello(target: &Target) -> Result<Vec<u8>> {
    let mut hello = Vec::new();
    TlsClient::from_pem(target.site.certificate())?.connect("localhost")?.take_outgoing(&mut hello);
    Ok(hello)
}

fn answer_to(target: &Target, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = plain(target.address)?;
    stream.write_all(bytes)?;
    to_the_end(&mut stream)
}

/// A fatal alert in a plain record.
fn ensure_alert(answer: &[u8], description: u8) -> Result<()> {
    ensure!(answer == [21, 3, 3, 0, 2, 2, description], "{answer:?} instead of alert {description}");
    Ok(())
}
