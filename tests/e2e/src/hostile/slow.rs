//! Peers that take their time.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use e2e::raw_client::RawClient;

use super::field::{Field, with_length};

const READERS_COUNT: usize = 8;
/// Of each reader between two sips.
const QUESTIONS: usize = 16;
const SIP_BYTES: usize = 256;
const SIP_INTERVAL: Duration = Duration::from_millis(100);

const WRITERS_COUNT: usize = 120;
const DRIP_INTERVAL: Duration = Duration::from_millis(200);
/// More than one lives to send.
const DROPS_MAX: usize = 50;

/// Of each thread.
const HALF_OPEN_MAX: usize = 1_000;
const OPENED_AT_ONCE: usize = 50;
const OPEN_INTERVAL: Duration = Duration::from_millis(50);

/// Sessions that ask for far more than they take.
pub(super) fn readers(field: &Field, _: usize) -> Result<u64> {
    let (mut readers, mut count) = (Vec::new(), 0);
    while !field.is_over() {
        while readers.len() < READERS_COUNT {
            readers.push(Reader::arrive(field)?);
            count += 1;
        }
        readers.retain_mut(|reader| reader.ask_and_sip(field).is_ok());
        thread::sleep(SIP_INTERVAL);
    }
    Ok(count)
}

struct Reader {
    client: RawClient,
    unsent: Vec<u8>,
}

impl Reader {
    fn arrive(field: &Field) -> Result<Reader> {
        let mut client = field.shake_hands()?;
        client.say_hello(&field.token)?;
        client.stream().set_nonblocking(true)?;
        Ok(Reader { client, unsent: Vec::new() })
    }

    /// An error is its end.
    fn ask_and_sip(&mut self, field: &Field) -> Result<()> {
        if self.unsent.is_empty() {
            self.unsent = self.client.seal(&field.question.repeat(QUESTIONS))?;
        }
        match self.client.stream().write(&self.unsent) {
            Ok(size) => drop(self.unsent.drain(..size)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        match self.client.stream().read(&mut [0; SIP_BYTES]) {
            Ok(0) => bail!("the server has closed"),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// One byte at a time: of a ClientHello, of a frame, of a record.
pub(super) fn writers(field: &Field, _: usize) -> Result<u64> {
    let (mut drips, mut count) = (Vec::new(), 0);
    while !field.is_over() {
        while drips.len() < WRITERS_COUNT {
            drips.push(Drip::begin(field, count)?);
            count += 1;
        }
        drips.retain_mut(Drip::go_on);
        thread::sleep(DRIP_INTERVAL);
    }
    Ok(count)
}

struct Drip {
    stream: TcpStream,
    drops: std::vec::IntoIter<Vec<u8>>,
}

impl Drip {
    fn begin(field: &Field, nth: u64) -> Result<Drip> {
        let one_by_one = |bytes: &[u8]| bytes.iter().take(DROPS_MAX).map(|byte| vec![*byte]).collect::<Vec<_>>();
        let frame = with_length(&[1; 1_000]);
        let (stream, drops) = match nth % 3 {
            0 => (field.dial()?, one_by_one(&field.client_hello()?)),
            1 => {
                let mut client = field.shake_hands()?;
                let drops = one_by_one(&frame).iter().map(|byte| client.seal(byte)).collect::<Result<_>>()?;
                (client.into_stream(), drops)
            }
            _ => {
                let mut client = field.shake_hands()?;
                let drops = one_by_one(&client.seal(&frame)?);
                (client.into_stream(), drops)
            }
        };
        Ok(Drip { stream, drops: drops.into_iter() })
    }

    /// Until the server has closed.
    fn go_on(&mut self) -> bool {
        self.drops.next().is_some_and(|drop| self.stream.write_all(&drop).is_ok())
    }
}

/// Sockets that say nothing, and some that say a ClientHello and no more. Those that the server has closed are kept too.
pub(super) fn half_open(field: &Field, _: usize) -> Result<u64> {
    let hello = field.client_hello()?;
    let (mut open, mut count) = (VecDeque::new(), 0);
    while !field.is_over() {
        for nth in 0..OPENED_AT_ONCE {
            let mut stream = field.dial()?;
            if nth % 2 == 0 {
                // The server may have made room for others already.
                let _ = stream.write_all(&hello);
            }
            open.push_back(stream);
            count += 1;
        }
        open.drain(..open.len().saturating_sub(HALF_OPEN_MAX));
        thread::sleep(OPEN_INTERVAL);
    }
    Ok(count)
}
