//! One TLS 1.3 connection without its socket: bytes in, plaintext out; plaintext in, bytes out.
//!
//! Client and server have the same stage. The library does the handshake; then its connection is dropped, and our own
//! record layer goes on from the traffic secrets. Records are opened where they lie and sealed where they will leave from.
//! What a peer can make it hold is one torn record and a bounded run of records that bring no plaintext:
//! [`TlsStage::bytes_held`] counts both.
//!
//! Invariants: after an error it gives that error for ever; plaintext appears only after ALPN has chosen `ringpost/1`.

use std::mem;

use crate::handshake::{Finished, Handshake};
use crate::record_cutter::{Cut, HEADER_SIZE, RecordCutter};
use crate::record_layer::{self, CONTENT_SIZE_MAX, Fault, Opened, RecordLayer};
use crate::ticket_reader::TicketReader;
use crate::tls_error::TlsError;

/// See the file's head. Made by [`crate::TlsServer::accept`] and [`crate::TlsClient::connect`].
pub struct TlsStage {
    state: State,
    cutter: RecordCutter,
    /// The end of our side of the handshake, until it is taken.
    farewell: Vec<u8>,
    /// Where the record begins, in the caller's buffer, that is open for plaintext.
    open_record: Option<usize>,
    last_word: LastWord,
    silent_bytes: usize,
    silent_bytes_max: usize,
    peer_has_closed: bool,
    is_resumed: bool,
    /// Of a client that keeps sessions, until the server's first data.
    ticket_reader: Option<Box<TicketReader>>,
    failure: Option<TlsError>,
}

enum State {
    Handshake(Box<Handshake>),
    Established(RecordLayer),
    /// The handshake has failed at its very end.
    Failed,
}

/// The alert behind which nothing of ours follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastWord {
    None,
    Due(u8),
    Said,
}

impl TlsStage {
    /// `silent_bytes_max` bounds what the peer may send without any plaintext: its whole handshake, or a handshake
    /// message afterwards.
    pub(crate) fn new(handshake: Handshake, silent_bytes_max: usize) -> TlsStage {
        TlsStage {
            state: State::Handshake(Box::new(handshake)),
            cutter: RecordCutter::default(),
            farewell: Vec::new(),
            open_record: None,
            last_word: LastWord::None,
            silent_bytes: 0,
            silent_bytes_max,
            peer_has_closed: false,
            is_resumed: false,
            ticket_reader: None,
            failure: None,
        }
    }

    /// Takes records from the front of `incoming`, what the socket gave, until one brings plaintext, which lies in
    /// `incoming` or, if its record was torn, in the stage. Call it until `None`: then `incoming` is used up. Afterwards,
    /// also after an error, [`Self::take_outgoing`] may have something for the socket. What comes after the peer's
    /// close_notify is thrown away (RFC 8446, section 6.1).
    pub fn next_plaintext<'plaintext, 'incoming: 'plaintext>(
        &'plaintext mut self,
        incoming: &mut &'incoming mut [u8],
    ) -> Result<Option<&'plaintext [u8]>, TlsError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // Records are opened one by one, and what they hold lies behind their header.
        let opened = loop {
            if self.peer_has_closed {
                *incoming = &mut [];
                return Ok(None);
            }
            if let State::Handshake(handshake) = &mut self.state
                && let Err(error) = handshake.meet(incoming.first().copied())
            {
                break Err(Fault { error, alert: None });
            }
            match self.cutter.next_record(incoming) {
                None => return Ok(None),
                Some(Cut::Oversized) => break Err(record_layer::OVERSIZED),
                Some(Cut::Whole(record)) => match self.open(record) {
                    Ok(0) => {}
                    Ok(size) => return Ok(record.get(HEADER_SIZE..HEADER_SIZE + size)),
                    Err(fault) => break Err(fault),
                },
                Some(Cut::Mended) => {
                    let mut record = self.cutter.take_mended();
                    let opened = self.open(&mut record);
                    self.cutter.keep_mended(record);
                    match opened {
                        Ok(0) => {}
                        opened => break opened,
                    }
                }
            }
        };
        match opened {
            Ok(size) => Ok(self.cutter.mended().get(HEADER_SIZE..HEADER_SIZE + size)),
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Like [`Self::next_plaintext`] for whom a copy costs nothing: takes all of `incoming` and appends what it holds, never
    /// more bytes than `incoming` and one torn record together.
    pub fn receive(&mut self, incoming: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        let mut incoming = incoming.to_vec();
        let mut incoming = &mut incoming[..];
        while let Some(piece) = self.next_plaintext(&mut incoming)? {
            plaintext.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Appends plaintext to the record that is open at the end of `outgoing`, or to a new one; a full one is sealed. Until
    /// [`Self::take_outgoing`] has sealed the last one, `outgoing` is the same buffer and nobody else appends to it.
    ///
    /// Only after [`Self::is_established`], and not after [`Self::close`].
    pub fn write(&mut self, plaintext: &[&[u8]], outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
        assert!(self.is_established(), "there are no keys to seal with before the handshake is done");
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        outgoing.append(&mut self.farewell);
        let State::Established(records) = &mut self.state else { return Ok(()) };
        // At once, or a buffer that grows in between would copy what was just written.
        let size: usize = plaintext.iter().map(|part| part.len()).sum();
        outgoing.reserve(size + (size / CONTENT_SIZE_MAX + 2) * record_layer::OVERHEAD);
        for part in plaintext {
            let mut rest = *part;
            while !rest.is_empty() {
                let start = *self.open_record.get_or_insert_with(|| records.begin(outgoing));
                let room = HEADER_SIZE + CONTENT_SIZE_MAX - (outgoing.len() - start);
                let (now, later) = rest.split_at(room.min(rest.len()));
                outgoing.extend_from_slice(now);
                if now.len() == room {
                    records.seal(start, outgoing);
                    self.open_record = None;
                }
                rest = later;
            }
        }
        Ok(())
    }

    /// Seals `plaintext` as one run of records, 16 KiB at most each, and appends them after what was queued before. Like
    /// [`Self::write`] and [`Self::take_outgoing`].
    pub fn seal(&mut self, plaintext: &[&[u8]], outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
        self.write(plaintext, outgoing)?;
        self.take_outgoing(outgoing);
        Ok(())
    }

    /// Seals the record that is open in `outgoing`, and appends what the stage itself wants to say: handshake messages,
    /// key updates, alerts.
    pub fn take_outgoing(&mut self, outgoing: &mut Vec<u8>) {
        outgoing.append(&mut self.farewell);
        match &mut self.state {
            State::Handshake(handshake) => handshake.take_outgoing(outgoing),
            State::Established(records) => {
                if let Some(start) = self.open_record.take() {
                    records.seal(start, outgoing);
                }
                match self.last_word {
                    LastWord::None => records.renew(outgoing),
                    LastWord::Due(alert) => {
                        records.seal_alert(alert, outgoing);
                        self.last_word = LastWord::Said;
                    }
                    LastWord::Said => {}
                }
            }
            State::Failed => {}
        }
    }

    /// Queues a close_notify: the peer then knows that nothing was cut off. After an error the alert was the last word.
    pub fn close(&mut self) {
        if self.failure.is_some() {
            return;
        }
        match &mut self.state {
            State::Handshake(handshake) => handshake.close(),
            State::Established(_) if self.last_word == LastWord::None => {
                self.last_word = LastWord::Due(record_layer::CLOSE_NOTIFY);
            }
            State::Established(_) | State::Failed => {}
        }
    }

    /// Frees what has arrived of a record. Only when nothing is received any more.
    pub fn discard_received(&mut self) {
        self.cutter = RecordCutter::default();
        self.silent_bytes = 0;
    }

    /// Whether the handshake is done and `ringpost/1` agreed on: [`Self::write`] may be used.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// Whether a session ticket has spared the handshake its certificate. Only after [`Self::is_established`].
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Whether [`Self::take_outgoing`] has something that was not written by the caller.
    pub fn wants_to_send(&self) -> bool {
        let has_words = match &self.state {
            State::Handshake(handshake) => handshake.wants_to_send(),
            State::Established(records) => match self.last_word {
                LastWord::None => records.owes_key_update(),
                LastWord::Due(_) => true,
                LastWord::Said => false,
            },
            State::Failed => false,
        };
        has_words || !self.farewell.is_empty()
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

    /// The size of the plaintext that a record brings, which lies behind its header; 0 where it brings none.
    fn open(&mut self, record: &mut [u8]) -> Result<usize, Fault> {
        let record_size = record.len();
        if let Some(reader) = &mut self.ticket_reader {
            reader.read(record);
        }
        let opened = match &mut self.state {
            State::Handshake(handshake) => handshake.open(record)?,
            State::Established(records) => records.open(record)?,
            State::Failed => return Err(Fault { error: TlsError::Internal, alert: None }),
        };
        self.peer_has_closed = opened == Opened::Close;
        if let Opened::Plaintext(size) = opened {
            // A record of padding alone hides how much is said. Nothing is kept of it.
            if size > 0 {
                self.silent_bytes = 0;
                self.ticket_reader = None;
            }
            return Ok(size);
        }
        self.silent_bytes += record_size;
        if self.silent_bytes > self.silent_bytes_max {
            return Err(record_layer::OVERSIZED);
        }
        self.finish_handshake()?;
        Ok(0)
    }

    fn finish_handshake(&mut self) -> Result<(), Fault> {
        if !matches!(&self.state, State::Handshake(handshake) if handshake.is_done()) {
            return Ok(());
        }
        if let State::Handshake(handshake) = mem::replace(&mut self.state, State::Failed) {
            let Finished { records, is_resumed, ticket_reader } = handshake.finish(&mut self.farewell)?;
            self.state = State::Established(records);
            self.is_resumed = is_resumed;
            self.ticket_reader = ticket_reader;
            self.silent_bytes = 0;
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault) -> TlsError {
        self.failure = Some(fault.error);
        match (&mut self.state, fault.alert) {
            (State::Handshake(handshake), _) => handshake.fail(fault.error, &mut self.farewell),
            (State::Established(_), Some(alert)) if self.last_word == LastWord::None => {
                self.last_word = LastWord::Due(alert);
            }
            (State::Established(_) | State::Failed, _) => {}
        }
        fault.error
    }
}
