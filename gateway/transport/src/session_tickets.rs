//! TLS session tickets (RFC 8446, section 4.6.1): they spare a client that comes back the server's certificate and its
//! signature. Not the resume tickets of the protocol, which stand for an access token.
//!
//! A ticket is the session itself, sealed with the key of the day, which follows from a secret that all gateways behind one
//! name share: nothing is kept between connections, a restart loses none, and keys change at midnight by themselves. It
//! is taken on its day and on the next one; or on the day before, by a clock that is late.
//!
//! The layout: the day as four bytes, big-endian, a random nonce, the sealed session and its tag. The library does not say
//! when it asks for a ticket, so this is the one place of the crate that looks at a clock.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

/// Bytes of a secret.
pub const SESSION_SECRET_SIZE: usize = 32;

/// Keeps its keys apart from everything else that is made of the same secret.
const LABEL: &[u8] = b"ringpost/1 TLS session tickets of day ";
const DAY_S: u32 = 24 * 3600;
const DAY_SIZE: usize = size_of::<u32>();
/// A session has some hundred bytes, and the longest name of a server 255.
const TICKET_SIZE_MAX: usize = 1024;

/// The secrets of tickets: new ones are sealed under the first, and those of either are taken, so that a secret can be
/// exchanged.
pub struct SessionTickets {
    current: Prk,
    previous: Option<Prk>,
}

impl SessionTickets {
    /// From a source of secrets, the same ones for all gateways behind one name.
    pub fn new(current: &[u8; SESSION_SECRET_SIZE], previous: Option<&[u8; SESSION_SECRET_SIZE]>) -> SessionTickets {
        let secret = |bytes: &[u8; SESSION_SECRET_SIZE]| Prk::new_less_safe(HKDF_SHA256, bytes);
        SessionTickets { current: secret(current), previous: previous.map(secret) }
    }

    /// `None` where there is no randomness.
    fn seal(&self, today: u32, session: &[u8]) -> Option<Vec<u8>> {
        let day = today.to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = session.to_vec();
        let key = key_of_day(&self.current, day);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        Some([&day[..], &nonce, &sealed].concat())
    }

    /// `None`: none of ours, or too old.
    fn open(&self, today: u32, ticket: &[u8]) -> Option<Vec<u8>> {
        let (day, rest) = ticket.split_first_chunk::<DAY_SIZE>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let is_of_these_days = u32::from_be_bytes(*day).abs_diff(today) <= 1;
        if !is_of_these_days || ticket.len() > TICKET_SIZE_MAX {
            return None;
        }
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find_map(|secret| {
            let mut session = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = key_of_day(secret, *day).open_in_place(nonce, Aad::empty(), &mut session).ok()?;
            Some(opened.to_vec())
        })
    }
}

fn key_of_day(secret: &Prk, day: [u8; DAY_SIZE]) -> LessSafeKey {
    let info = [LABEL, &day];
    let key = secret.expand(&info, &CHACHA20_POLY1305).expect("a key is short");
    LessSafeKey::new(UnboundKey::from(key))
}

fn today() -> u32 {
    u32::try_from(UnixTime::now().as_secs() / u64::from(DAY_S)).unwrap_or(u32::MAX)
}

impl ProducesTickets for SessionTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        DAY_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(today(), plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(today(), cipher)
    }
}

impl fmt::Debug for SessionTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; SESSION_SECRET_SIZE] = [1; SESSION_SECRET_SIZE];
    const NEW: [u8; SESSION_SECRET_SIZE] = [2; SESSION_SECRET_SIZE];
    const SESSION: &[u8] = b"a session of the library";

    #[test]
    fn a_ticket_is_taken_under_either_secret_and_by_any_gateway_that_has_it() {
        let old = SessionTickets::new(&OLD, None);
        let ticket = old.seal(100, SESSION).expect("randomness");
        for taker in [&SessionTickets::new(&OLD, None), &SessionTickets::new(&NEW, Some(&OLD))] {
            assert_eq!(taker.open(100, &ticket).as_deref(), Some(SESSION));
        }
        assert_eq!(SessionTickets::new(&NEW, None).open(100, &ticket), None, "two secrets later");
    }

    #[test]
    fn a_ticket_is_good_for_its_day_and_the_next() {
        let tickets = SessionTickets::new(&NEW, None);
        let ticket = tickets.seal(100, SESSION).expect("randomness");
        for (today, is_taken) in [(98, false), (99, true), (100, true), (101, true), (102, false), (u32::MAX, false)] {
            assert_eq!(tickets.open(today, &ticket).is_some(), is_taken, "day {today}");
        }
    }

    #[test]
    fn a_ticket_with_another_bit_or_another_size_is_none_of_ours() {
        let tickets = SessionTickets::new(&NEW, None);
        let ticket = tickets.seal(100, SESSION).expect("randomness");
        for bit in 0..8 * ticket.len() {
            let mut forged = ticket.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tickets.open(100, &forged), None, "bit {bit}");
        }
        for size in 0..ticket.len() {
            assert_eq!(tickets.open(100, &ticket[..size]), None, "{size} bytes");
        }
        let huge = tickets.seal(100, &[7; TICKET_SIZE_MAX]).expect("randomness");
        assert_eq!(tickets.open(100, &huge), None);
    }
}
