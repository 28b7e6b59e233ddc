//! TLS 1.3 records after the handshake (RFC 8446, sections 4.6, 5 and 6): opened and sealed in place, in the buffers of
//! the caller.
//!
//! It keeps the keys and nothing else, 140 bytes; of a torn handshake message the caller keeps the beginning. What a peer
//! must not send ends it with the alert that says so; post-handshake messages are key updates, and tickets, which a client
//! throws away.
//!
//! Invariant: no key seals more data records than [`RECORDS_PER_KEY_MAX`].

use ring::aead::Aad;

use crate::record_cutter::HEADER_SIZE;
use crate::tls_error::TlsError;
use crate::traffic_keys::{Cipher, TAG_SIZE, TrafficKeys};

/// What one record can hold (section 5.1).
pub(crate) const CONTENT_SIZE_MAX: usize = 1 << 14;
/// What a record has besides its content: header, type and tag.
pub(crate) const OVERHEAD: usize = HEADER_SIZE + 1 + TAG_SIZE;
/// For AES-GCM the limit is 2^24.5 full records (section 5.5): behind this many a key update and an alert have room.
const RECORDS_PER_KEY_MAX: u64 = 1 << 24;
/// Key updates of the peer with no data between them. One costs us a microsecond, and brings nothing.
const IDLE_KEY_UPDATES_MAX: u8 = 32;
/// Type and length of a handshake message.
const MESSAGE_HEADER_SIZE: usize = 4;
/// A ticket is the largest message that may come.
const MESSAGE_SIZE_MAX: usize = 0xffff;

const _: () = assert!(size_of::<RecordLayer>() <= 140, "the keys of both directions, and four bytes");

/// Content types of records.
mod content {
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
    pub(super) const APPLICATION_DATA: u8 = 23;
}

/// Types of handshake messages.
mod message {
    pub(super) const NEW_SESSION_TICKET: u8 = 4;
    pub(super) const KEY_UPDATE: u8 = 24;
}

/// The alert that says that nothing follows.
pub(crate) const CLOSE_NOTIFY: u8 = 0;

/// Levels and descriptions of alerts.
mod alert {
    pub(super) const WARNING: u8 = 1;
    pub(super) const FATAL: u8 = 2;

    pub(super) const UNEXPECTED_MESSAGE: u8 = 10;
    pub(super) const BAD_RECORD_MAC: u8 = 20;
    pub(super) const RECORD_OVERFLOW: u8 = 22;
    pub(super) const ILLEGAL_PARAMETER: u8 = 47;
    pub(super) const DECODE_ERROR: u8 = 50;
    pub(super) const USER_CANCELED: u8 = 90;
}

/// See the file's head.
pub(crate) struct RecordLayer {
    receiving: TrafficKeys,
    sending: TrafficKeys,
    cipher: Cipher,
    side: Side,
    /// The peer has asked for new keys of ours and has not got them.
    owes_key_update: bool,
    /// Key updates of the peer since its last data.
    idle_key_updates: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What a record held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// So many bytes for the application, which lie behind the header; may be none.
    Plaintext(usize),
    /// For the record layer itself.
    Nothing,
    /// The peer's close_notify.
    Close,
}

/// Why a record ends the connection, and what the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) error: TlsError,
    /// `None`: the peer has said its last word.
    pub(crate) alert: Option<u8>,
}

const fn fault(error: TlsError, alert: u8) -> Fault {
    Fault { error, alert: Some(alert) }
}

const UNEXPECTED: Fault = fault(TlsError::Misbehaved, alert::UNEXPECTED_MESSAGE);
pub(crate) const MALFORMED: Fault = fault(TlsError::Malformed, alert::DECODE_ERROR);
const UNDECRYPTABLE: Fault = fault(TlsError::Undecryptable, alert::BAD_RECORD_MAC);
pub(crate) const OVERSIZED: Fault = fault(TlsError::Oversized, alert::RECORD_OVERFLOW);

impl RecordLayer {
    pub(crate) fn new(side: Side, cipher: Cipher, receiving: TrafficKeys, sending: TrafficKeys) -> RecordLayer {
        RecordLayer { receiving, sending, cipher, side, owes_key_update: false, idle_key_updates: 0 }
    }

    /// Decrypts a whole record, header included, in its own bytes. `fragment`, empty at first, is the beginning of a
    /// handshake message whose end has not come. After a fault nothing more can be opened.
    pub(crate) fn open(&mut self, record: &mut [u8], fragment: &mut Vec<u8>) -> Result<Opened, Fault> {
        let (header, body) = record.split_first_chunk_mut::<HEADER_SIZE>().ok_or(MALFORMED)?;
        if header[1] != 3 {
            return Err(MALFORMED);
        }
        if header[0] != content::APPLICATION_DATA {
            return Err(UNEXPECTED);
        }
        let opened = self.receiving.next(self.cipher, |key, nonce| key.open_in_place(nonce, Aad::from(*header), body));
        let inner = opened.map_err(|_| UNDECRYPTABLE)?;
        if inner.len() > CONTENT_SIZE_MAX + 1 {
            return Err(OVERSIZED);
        }
        // Zeros after the type are padding (section 5.4).
        let type_at = inner.iter().rposition(|byte| *byte != 0).ok_or(UNEXPECTED)?;
        let (content, rest) = inner.split_at(type_at);
        let content_type = rest.first().copied().unwrap_or_default();
        if !fragment.is_empty() && content_type != content::HANDSHAKE {
            return Err(UNEXPECTED);
        }
        match content_type {
            content::APPLICATION_DATA => {
                if !content.is_empty() {
                    self.idle_key_updates = 0;
                }
                Ok(Opened::Plaintext(content.len()))
            }
            content::ALERT if !content.is_empty() => read_alert(content),
            content::HANDSHAKE if !content.is_empty() => {
                self.read_messages(content, fragment).map(|()| Opened::Nothing)
            }
            _ => Err(UNEXPECTED),
        }
    }

    /// Opens a record at the end of `outgoing`: what is appended now is its content, until [`Self::seal`].
    pub(crate) fn begin(&mut self, outgoing: &mut Vec<u8>) -> usize {
        self.renew(outgoing);
        let start = outgoing.len();
        outgoing.extend_from_slice(&[content::APPLICATION_DATA, 3, 3, 0, 0]);
        start
    }

    /// Encrypts the record that [`Self::begin`] has opened at `start`, where it is.
    pub(crate) fn seal(&mut self, start: usize, outgoing: &mut Vec<u8>) {
        self.seal_as(content::APPLICATION_DATA, start, outgoing);
    }

    /// Answers a key update that the peer has asked for, and changes keys that have sealed enough.
    pub(crate) fn renew(&mut self, outgoing: &mut Vec<u8>) {
        if self.owes_key_update || self.sending.records_count() >= RECORDS_PER_KEY_MAX {
            self.seal_whole(content::HANDSHAKE, &[message::KEY_UPDATE, 0, 0, 1, 0], outgoing);
            self.sending.update(self.cipher);
            self.owes_key_update = false;
        }
    }

    /// The last word.
    pub(crate) fn seal_alert(&mut self, description: u8, outgoing: &mut Vec<u8>) {
        let level = if description == CLOSE_NOTIFY { alert::WARNING } else { alert::FATAL };
        self.seal_whole(content::ALERT, &[level, description], outgoing);
    }

    fn seal_whole(&mut self, content_type: u8, content: &[u8], outgoing: &mut Vec<u8>) {
        let start = outgoing.len();
        outgoing.extend_from_slice(&[content::APPLICATION_DATA, 3, 3, 0, 0]);
        outgoing.extend_from_slice(content);
        self.seal_as(content_type, start, outgoing);
    }

    fn seal_as(&mut self, content_type: u8, start: usize, outgoing: &mut Vec<u8>) {
        outgoing.push(content_type);
        let (_, record) = outgoing.split_at_mut(start);
        let (header, inner) = record.split_first_chunk_mut::<HEADER_SIZE>().expect("a record begins with its header");
        assert!(inner.len() <= CONTENT_SIZE_MAX + 1, "a record is closed when it is full");
        let [_, _, _, size @ ..] = header;
        *size = u16::try_from(inner.len() + TAG_SIZE).expect("16 KiB and a tag").to_be_bytes();
        let sealed = self
            .sending
            .next(self.cipher, |key, nonce| key.seal_in_place_separate_tag(nonce, Aad::from(*header), inner));
        let tag = sealed.expect("a record is far below the cipher's limit");
        outgoing.extend_from_slice(tag.as_ref());
    }

    /// Handshake messages may be torn over records and may share one.
    fn read_messages(&mut self, content: &[u8], fragment: &mut Vec<u8>) -> Result<(), Fault> {
        if fragment.is_empty() {
            let rest = self.read_from(content)?;
            fragment.extend_from_slice(rest);
        } else {
            fragment.extend_from_slice(content);
            let rest_size = self.read_from(fragment)?.len();
            fragment.drain(..fragment.len() - rest_size);
        }
        Ok(())
    }

    /// Gives the beginning of the message whose end has not come.
    fn read_from<'bytes>(&mut self, mut bytes: &'bytes [u8]) -> Result<&'bytes [u8], Fault> {
        while let Some([kind, size @ ..]) = bytes.first_chunk::<MESSAGE_HEADER_SIZE>() {
            let size = u32::from_be_bytes([0, size[0], size[1], size[2]]) as usize;
            if size > MESSAGE_SIZE_MAX {
                return Err(MALFORMED);
            }
            let Some(body) = bytes.get(MESSAGE_HEADER_SIZE..MESSAGE_HEADER_SIZE + size) else { break };
            let rest = bytes.get(MESSAGE_HEADER_SIZE + size..).unwrap_or_default();
            self.read_message(*kind, body, rest.is_empty())?;
            bytes = rest;
        }
        Ok(bytes)
    }

    fn read_message(&mut self, kind: u8, body: &[u8], is_last: bool) -> Result<(), Fault> {
        match (kind, body) {
            // What follows it comes with other keys, so in another record (section 5.1).
            (message::KEY_UPDATE, [_]) if !is_last => Err(UNEXPECTED),
            (message::KEY_UPDATE, [0 | 1]) if self.idle_key_updates == IDLE_KEY_UPDATES_MAX => Err(UNEXPECTED),
            (message::KEY_UPDATE, [is_asked @ (0 | 1)]) => {
                self.idle_key_updates += 1;
                self.receiving.update(self.cipher);
                self.owes_key_update |= *is_asked == 1;
                Ok(())
            }
            (message::KEY_UPDATE, [_]) => Err(fault(TlsError::Misbehaved, alert::ILLEGAL_PARAMETER)),
            (message::KEY_UPDATE, _) => Err(MALFORMED),
            (message::NEW_SESSION_TICKET, _) if self.side == Side::Client => Ok(()),
            _ => Err(UNEXPECTED),
        }
    }

    /// Whether [`Self::renew`] has an answer to give.
    pub(crate) fn owes_key_update(&self) -> bool {
        self.owes_key_update
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }
}

/// As whoever has no keys yet says it.
pub(crate) fn open_alert(fault: Fault) -> [u8; HEADER_SIZE + 2] {
    [content::ALERT, 3, 3, 0, 2, alert::FATAL, fault.alert.unwrap_or(alert::DECODE_ERROR)]
}

/// The level says nothing that the description does not (section 6).
fn read_alert(content: &[u8]) -> Result<Opened, Fault> {
    match content {
        [_, CLOSE_NOTIFY] => Ok(Opened::Close),
        [_, alert::USER_CANCELED] => Ok(Opened::Nothing),
        [_, description] => Err(Fault { error: TlsError::PeerAlert(*description), alert: None }),
        _ => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic_keys::SECRET_SIZE;

    /// Both ends of a connection on which the client has sealed so many records already.
    fn pair(cipher: Cipher, records: u64) -> (RecordLayer, RecordLayer) {
        let client = || TrafficKeys::new(cipher, [1; SECRET_SIZE], records);
        let server = || TrafficKeys::new(cipher, [2; SECRET_SIZE], 0);
        (
            RecordLayer::new(Side::Client, cipher, server(), client()),
            RecordLayer::new(Side::Server, cipher, client(), server()),
        )
    }

    fn seal(layer: &mut RecordLayer, content: &[u8]) -> Vec<u8> {
        let mut outgoing = Vec::new();
        let start = layer.begin(&mut outgoing);
        outgoing.extend_from_slice(content);
        layer.seal(start, &mut outgoing);
        outgoing
    }

    fn open_all(layer: &mut RecordLayer, mut bytes: &mut [u8]) -> Vec<Opened> {
        let mut opened = Vec::new();
        while let Some([_, _, _, high, low]) = bytes.first_chunk() {
            let size = HEADER_SIZE + usize::from(u16::from_be_bytes([*high, *low]));
            let (record, rest) = bytes.split_at_mut(size);
            opened.push(open(layer, record).expect("the keys fit"));
            bytes = rest;
        }
        opened
    }

    /// Of a record that tears no message.
    fn open(layer: &mut RecordLayer, record: &mut [u8]) -> Result<Opened, Fault> {
        layer.open(record, &mut Vec::new())
    }

    fn ask_for_keys(layer: &mut RecordLayer) -> Vec<u8> {
        let mut outgoing = Vec::new();
        layer.seal_whole(content::HANDSHAKE, &[message::KEY_UPDATE, 0, 0, 1, 1], &mut outgoing);
        layer.sending.update(layer.cipher);
        outgoing
    }

    #[test]
    fn a_key_that_has_sealed_its_records_is_exchanged_before_the_next() {
        for cipher in [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305] {
            let (mut client, mut server) = pair(cipher, RECORDS_PER_KEY_MAX - 1);
            let last = open_all(&mut server, &mut seal(&mut client, b"last"));
            assert_eq!(last, [Opened::Plaintext(4)], "below the limit nothing is exchanged");
            let first = open_all(&mut server, &mut seal(&mut client, b"first"));
            assert_eq!(first, [Opened::Nothing, Opened::Plaintext(5)]);
            assert_eq!(client.sending.records_count(), 1);
            assert!(!server.owes_key_update(), "whoever exchanges its own key asks for nothing");
        }
    }

    #[test]
    fn however_often_a_peer_asks_in_a_flight_it_is_answered_once() {
        let (mut client, mut server) = pair(Cipher::Aes128Gcm, 0);
        let mut flight: Vec<u8> = (0..IDLE_KEY_UPDATES_MAX).flat_map(|_| ask_for_keys(&mut client)).collect();
        open_all(&mut server, &mut flight);
        let mut answer = seal(&mut server, b"data");
        assert_eq!(open_all(&mut client, &mut answer), [Opened::Nothing, Opened::Plaintext(4)]);
        assert!(!server.owes_key_update());
    }

    #[test]
    fn key_updates_go_on_for_ever_among_data_and_end_without() {
        for (data, goes_on) in [(&b"x"[..], true), (b"", false)] {
            let (mut client, mut server) = pair(Cipher::Aes128Gcm, 0);
            let mut is_taken = |record: Vec<u8>| open(&mut server, &mut record.clone()) != Err(UNEXPECTED);
            let all = (0..u8::MAX).all(|_| is_taken(ask_for_keys(&mut client)) && is_taken(seal(&mut client, data)));
            assert_eq!(all, goes_on);
        }
    }

    #[test]
    fn connections_that_share_a_place_for_expanded_keys_share_nothing_else() {
        // Far more keys than places, of both ciphers, and the same keys with either.
        let secrets = (0..=u8::MAX).map(|number| [number; SECRET_SIZE]);
        let ciphers = [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305];
        let all = secrets.flat_map(|secret| ciphers.map(|cipher| (secret, cipher)));
        let mut pairs: Vec<(RecordLayer, RecordLayer)> = all
            .map(|(secret, cipher)| {
                let keys = || TrafficKeys::new(cipher, secret, 0);
                let end = |side| RecordLayer::new(side, cipher, keys(), keys());
                (end(Side::Client), end(Side::Server))
            })
            .collect();
        for _ in 0..3 {
            let mut all: Vec<_> = pairs.iter_mut().map(|(client, server)| (seal(client, b"one"), server)).collect();
            // On a thread of its own and the other way round, so that a key that was taken for another is another there.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for (record, server) in all.iter_mut().rev() {
                        assert_eq!(open_all(server, record), [Opened::Plaintext(3)]);
                    }
                });
            });
        }
    }
}
