//! Peers that do as much as they can of what costs the server more than them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::library_client;
use e2e::raw_client::{to_the_end, transient_hello};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::limits::ALPN;

use super::field::{Field, with_length};

/// Of each thread: sockets that are left open behind their ClientHello.
const BEGUN_MAX: usize = 64;
/// Key updates between two looks at what the server says.
const UPDATES_AT_ONCE: usize = 32;
const LOOK_TIME: Duration = Duration::from_millis(1);

/// One ClientHello, as often as it can be sent: the server makes keys and signs, and the peer goes.
pub(super) fn begun_handshakes(field: &Field, _: usize) -> Result<u64> {
    let hello = field.client_hello()?;
    let (mut begun, mut count) = (VecDeque::new(), 0);
    while !field.is_over() {
        let mut stream = field.dial()?;
        if stream.write_all(&hello).is_ok() {
            begun.push_back(stream);
            count += 1;
        }
        begun.drain(..begun.len().saturating_sub(BEGUN_MAX));
    }
    Ok(count)
}

/// One after the other, to the end.
pub(super) fn handshakes(field: &Field, _: usize) -> Result<u64> {
    let mut count = 0;
    while !field.is_over() {
        // The server may close it to make room.
        count += u64::from(field.shake_hands().is_ok());
    }
    Ok(count)
}

/// Whoever is turned away comes again.
pub(super) fn bad_tokens(field: &Field, _: usize) -> Result<u64> {
    let hello = transient_hello(&field.bad_token);
    let mut count = 0;
    while !field.is_over() {
        let Ok(mut client) = field.shake_hands() else { continue };
        client.send(&hello)?;
        let code = client.goodbye()?;
        let is_due = [Code::TokenInvalid, Code::Overloaded].iter().any(|due| due.number() == code);
        ensure!(is_due, "code {code} for a token of nobody");
        count += 1;
    }
    Ok(count)
}

/// Each asks for one in return. Those of one thread are all that its peers send, those of the other come among Pings.
pub(super) fn key_updates(field: &Field, number: usize) -> Result<u64> {
    let mut count = 0;
    while !field.is_over() {
        // It ends when the server has had enough.
        let _ = update_keys(field, number > 0, &mut count);
    }
    Ok(count)
}

fn update_keys(field: &Field, is_among_data: bool, count: &mut u64) -> Result<()> {
    let mut tls = library_client::connect(&field.certificate, ALPN)?;
    let mut stream = field.dial()?;
    tls.complete_io(&mut stream)?;
    stream.set_read_timeout(Some(LOOK_TIME))?;
    let ping = with_length(FrameBuilder::default().ping());
    if is_among_data {
        tls.writer().write_all(&with_length(&transient_hello(&field.token)))?;
    }
    while !field.is_over() {
        for _ in 0..UPDATES_AT_ONCE {
            tls.refresh_traffic_keys()?;
            *count += 1;
            if is_among_data {
                tls.writer().write_all(&ping)?;
            }
        }
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        match tls.read_tls(&mut stream) {
            Ok(size) => ensure!(size > 0, "the server has closed"),
            Err(error) => ensure!(error.kind() == ErrorKind::WouldBlock, "{error}"),
        }
        tls.process_new_packets()?;
        match tls.reader().read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Records that none may be, each on a connection of its own, which the server ends. A torn one the peer ends.
pub(super) fn wrong_records(field: &Field, _: usize) -> Result<u64> {
    let too_large = [&[23, 3, 3, 0x41, 0x01][..], &[0; 0x4101]].concat();
    let in_the_clear = [22, 3, 3, 0, 4, 1, 0, 0, 0];
    let wrong: [&[u8]; 4] = [&[23, 3, 3, 0, 0], &[23, 3, 3, 0, 1, 0], &too_large, &in_the_clear];
    let torn = [23, 3, 3, 0, 100, 1, 2, 3];
    let mut count = 0;
    while !field.is_over() {
        for record in wrong {
            let Ok(mut client) = field.shake_hands() else { continue };
            // The alert may come before all of it is written.
            let _ = client.stream().write_all(record);
            to_the_end(client.stream()).with_context(|| format!("a record that begins with {:?}", record.get(..5)))?;
            count += 1;
        }
        let Ok(mut client) = field.shake_hands() else { continue };
        client.stream().write_all(&torn)?;
        count += 1;
    }
    Ok(count)
}
