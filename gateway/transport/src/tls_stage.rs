//! One TLS 1.3 connection without its socket: bytes in, plaintext out; plaintext in, bytes out.
//!
//! Client and server have the same stage. It gives the library one whole record at a time, so what a peer can make it
//! hold is one torn record and a bounded run of records that bring no plaintext: [`TlsStage::bytes_held`] counts both.
//!
//! Invariants: after an error it gives that error for ever; plaintext appears only after ALPN has chosen `ringpost/1`.

use std::io::{BufRead, IoSlice, Write};

use protocol::limits::ALPN;
use rustls::Connection;

use crate::record_cutter::{Cut, RecordCutter};
use crate::tls_error::{self, TlsError};

/// Content types of TLS records, heartbeat included (RFC 8446, section 5.1; RFC 6520).
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=24;
/// Slices sealed at a time. More of them go into further records.
const SLICES_AT_ONCE: usize = 64;

/// See the file's head. Made by [`crate::TlsServer::accept`] and [`crate::TlsClient::connect`].
pub struct TlsStage {
    connection: Connection,
    cutter: RecordCutter,
    silent_bytes: usize,
    silent_bytes_max: usize,
    phase: Phase,
    peer_has_closed: bool,
    failure: Option<TlsError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Untouched,
    Handshake,
    Established,
}

impl TlsStage {
    /// `silent_bytes_max` bounds what the peer may send without any plaintext: its whole handshake, or a handshake
    /// message afterwards.
    pub(crate) fn new(mut connection: Connection, silent_bytes_max: usize) -> TlsStage {
        // Without a limit the library takes all that is sealed in one call; it is written out in the same call.
        connection.set_buffer_limit(None);
        TlsStage {
            connection,
            cutter: RecordCutter::default(),
            silent_bytes: 0,
            silent_bytes_max,
            phase: Phase::Untouched,
            peer_has_closed: false,
            failure: None,
        }
    }

    /// Takes what the socket gave and appends what it decrypts to, never more bytes than `incoming` and one torn record
    /// together. Afterwards, also after an error, [`Self::take_outgoing`] may have something for the socket. What comes
    /// after the peer's close_notify is thrown away (RFC 8446, section 6.1).
    pub fn receive(&mut self, incoming: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.peer_has_closed {
            return Ok(());
        }
        self.receive_records(incoming, plaintext).inspect_err(|error| {
            self.failure = Some(*error);
            // The library has queued the alert that fits, where it knows one; silence would leave the peer guessing.
            if !self.connection.wants_write() && !matches!(error, TlsError::PeerAlert(_)) {
                self.connection.send_close_notify();
            }
        })
    }

    /// Seals `plaintext` as one run of records, 16 KiB at most each, and appends them after what was queued before.
    ///
    /// Only after [`Self::is_established`], and not after [`Self::close`].
    pub fn seal(&mut self, plaintext: &[&[u8]], outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
        assert!(self.is_established(), "there are no keys to seal with before the handshake is done");
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        for slices in plaintext.chunks(SLICES_AT_ONCE) {
            self.seal_slices(slices).inspect_err(|error| self.failure = Some(*error))?;
        }
        self.take_outgoing(outgoing);
        Ok(())
    }

    /// Appends what the stage itself wants to say: handshake messages, key updates, alerts.
    pub fn take_outgoing(&mut self, outgoing: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(outgoing).expect("writing to memory does not fail");
        }
    }

    /// Queues a close_notify: the peer then knows that nothing was cut off. After an error the alert was the last word.
    pub fn close(&mut self) {
        if self.failure.is_none() {
            self.connection.send_close_notify();
        }
    }

    /// Frees what has arrived of a record. Only when nothing is received any more.
    pub fn discard_received(&mut self) {
        self.cutter = RecordCutter::default();
        self.silent_bytes = 0;
    }

    /// Whether the handshake is done and `ringpost/1` agreed on: [`Self::seal`] may be used.
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Whether the peer has sent its close_notify: it sends nothing more, and nothing was cut off.
    pub fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    /// Whether a record has begun and its rest has not come.
    pub fn is_inside_record(&self) -> bool {
        self.cutter.is_inside_record()
    }

    /// Bytes held for a torn record and, at most, for handshake messages of which the end has not come.
    pub fn bytes_held(&self) -> usize {
        self.cutter.bytes_held() + self.silent_bytes
    }

    fn receive_records(&mut self, incoming: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.phase == Phase::Untouched {
            let Some(first) = incoming.first() else { return Ok(()) };
            if !CONTENT_TYPES.contains(first) {
                // Five bytes are enough for the library to answer with the alert that says so.
                let refused = open_record(&mut self.connection, &[*first, 3, 3, 0, 0], plaintext);
                assert!(refused.is_err(), "a record of unknown type is never accepted");
                return Err(TlsError::NotTls);
            }
            self.phase = Phase::Handshake;
        }
        let mut rest = incoming;
        while let Some(cut) = self.cutter.next_record(&mut rest) {
            let (record, is_oversized) = match cut {
                Cut::Record(record) => (record, false),
                Cut::Oversized(header) => (header, true),
            };
            let plaintext_before = plaintext.len();
            let opened = open_record(&mut self.connection, record, plaintext);
            let is_silent = plaintext.len() == plaintext_before;
            self.silent_bytes = if is_silent { self.silent_bytes + record.len() } else { 0 };
            if is_oversized || self.silent_bytes > self.silent_bytes_max {
                return Err(TlsError::Oversized);
            }
            self.peer_has_closed = opened?;
            if self.phase == Phase::Handshake && !self.connection.is_handshaking() {
                self.finish_handshake()?;
            }
            if self.peer_has_closed {
                break;
            }
        }
        Ok(())
    }

    /// Without ALPN a connection meant for another service with the same certificate could be turned on us.
    fn finish_handshake(&mut self) -> Result<(), TlsError> {
        if self.connection.alpn_protocol() != Some(ALPN) {
            return Err(TlsError::WrongProtocol);
        }
        self.phase = Phase::Established;
        self.silent_bytes = 0;
        Ok(())
    }

    fn seal_slices(&mut self, plaintext: &[&[u8]]) -> Result<(), TlsError> {
        let mut slices = [IoSlice::new(&[]); SLICES_AT_ONCE];
        let mut size = 0;
        for (slice, bytes) in slices.iter_mut().zip(plaintext) {
            *slice = IoSlice::new(bytes);
            size += bytes.len();
        }
        let sealed = self.connection.writer().write_vectored(&slices).map_err(|_| TlsError::Internal)?;
        assert_eq!(sealed, size, "without a buffer limit everything is taken");
        Ok(())
    }
}

/// Feeds one record and appends what it holds; true when the peer's close_notify has come.
fn open_record(connection: &mut Connection, mut record: &[u8], plaintext: &mut Vec<u8>) -> Result<bool, TlsError> {
    while !record.is_empty() {
        // It takes no more only while a handshake message does not end.
        connection.read_tls(&mut record).map_err(|_| TlsError::Oversized)?;
    }
    let state = connection.process_new_packets().map_err(|error| tls_error::from_library(&error))?;
    let mut reader = connection.reader();
    let mut left = state.plaintext_bytes_to_read();
    while left > 0 {
        let chunk = reader.fill_buf().map_err(|_| TlsError::Internal)?;
        let size = chunk.len();
        plaintext.extend_from_slice(chunk);
        reader.consume(size);
        left -= size;
    }
    Ok(state.peer_has_closed())
}
