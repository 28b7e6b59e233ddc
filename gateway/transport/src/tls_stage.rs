//! One TLS 1.3 connection without its socket: bytes in, plaintext out; plaintext in, bytes out.
//!
//! Client and server have the same stage. The library does the handshake; then its connection is dropped, and our own
//! record layer goes on from the traffic secrets. Records are opened where they lie and sealed where they will leave from.
//! What a peer can make it hold is one torn record and a bounded run of records that bring no plaintext:
//! [`TlsStage::bytes_held`] counts both. Who idles holds neither, and owns no heap.
//!
//! Invariants: after an error it gives that error for ever; plaintext appears only after ALPN has chosen `ringpost/1`.

use std::mem;
use std::num::NonZeroU32;

use crate::handshake::{Finished, Handshake};
use crate::record_cutter::{Cut, HEADER_SIZE, RecordCutter};
use crate::record_layer::{self, CONTENT_SIZE_MAX, Fault, Opened, RecordLayer, Side};
use crate::ticket_reader::TicketReader;
use crate::tls_error::TlsError;
use crate::{tls_client, tls_server};

/// See the file's head. Made by [`crate::TlsServer::accept`] and [`crate::TlsClient::connect`].
pub struct TlsStage {
    /// From the end of the handshake on.
    records: Option<RecordLayer>,
    /// `None`: it idles.
    aside: Option<Box<Aside>>,
    open_record: Option<OpenRecord>,
    last_word: LastWord,
    peer_has_closed: bool,
    is_resumed: bool,
    failure: Option<TlsError>,
}

const _: () = assert!(size_of::<TlsStage>() <= 160, "all that TLS takes of an idle connection: 140 are its keys");

/// What only some connections have.
#[derive(Default)]
struct Aside {
    /// Until it has ended, well or not.
    handshake: Option<Box<Handshake>>,
    /// The end of our side of the handshake, until it is taken.
    farewell: Vec<u8>,
    cutter: RecordCutter,
    /// The beginning of a handshake message whose end has not come.
    fragment: Vec<u8>,
    /// Of records since the last one that brought plaintext.
    silent_bytes: usize,
    /// Of a client that keeps sessions, until the server's first data.
    ticket_reader: Option<Box<TicketReader>>,
}

impl Aside {
    fn is_empty(&self) -> bool {
        let holds_bytes = self.cutter.bytes_held() + self.fragment.len() + self.farewell.len() + self.silent_bytes > 0;
        !holds_bytes && self.handshake.is_none() && self.ticket_reader.is_none()
    }
}

/// Where a record begins, in the caller's buffer, that is open for plaintext. Kept as where its content does, which is never
/// at 0.
#[derive(Clone, Copy)]
struct OpenRecord(NonZeroU32);

impl OpenRecord {
    fn at(start: usize) -> OpenRecord {
        let content = u32::try_from(start + HEADER_SIZE).ok().and_then(NonZeroU32::new);
        OpenRecord(content.expect("what waits to be sent is far below 4 GiB"))
    }

    fn start(self) -> usize {
        self.0.get() as usize - HEADER_SIZE
    }
}

/// The alert behind which nothing of ours follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastWord {
    None,
    Due(u8),
    Said,
}

impl TlsStage {
    pub(crate) fn new(handshake: Handshake) -> TlsStage {
        TlsStage {
            records: None,
            aside: Some(Box::new(Aside { handshake: Some(Box::new(handshake)), ..Aside::default() })),
            open_record: None,
            last_word: LastWord::None,
            peer_has_closed: false,
            is_resumed: false,
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
            if let Some(handshake) = self.handshake()
                && let Err(error) = handshake.meet(incoming.first().copied())
            {
                break Err(Fault { error, alert: None });
            }
            match self.next_record(incoming) {
                None => {
                    self.tidy();
                    return Ok(None);
                }
                Some(Cut::Oversized) => break Err(record_layer::OVERSIZED),
                Some(Cut::Whole(record)) => match self.open(record) {
                    Ok(0) => {}
                    Ok(size) => return Ok(record.get(HEADER_SIZE..HEADER_SIZE + size)),
                    Err(fault) => break Err(fault),
                },
                Some(Cut::Mended) => {
                    let mut record = self.aside().cutter.take_mended();
                    let opened = self.open(&mut record);
                    self.aside().cutter.keep_mended(record);
                    match opened {
                        Ok(0) => {}
                        opened => break opened,
                    }
                }
            }
        };
        match opened {
            Ok(size) => Ok(self.aside().cutter.mended().get(HEADER_SIZE..HEADER_SIZE + size)),
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
        self.say_farewell(outgoing);
        let Some(records) = &mut self.records else { return Ok(()) };
        // At once, or a buffer that grows in between would copy what was just written.
        let size: usize = plaintext.iter().map(|part| part.len()).sum();
        outgoing.reserve(size + (size / CONTENT_SIZE_MAX + 2) * record_layer::OVERHEAD);
        for part in plaintext {
            let mut rest = *part;
            while !rest.is_empty() {
                let start = self.open_record.get_or_insert_with(|| OpenRecord::at(records.begin(outgoing))).start();
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
        self.say_farewell(outgoing);
        if let Some(handshake) = self.handshake() {
            handshake.take_outgoing(outgoing);
        }
        let Some(records) = &mut self.records else { return };
        if let Some(record) = self.open_record.take() {
            records.seal(record.start(), outgoing);
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

    /// Queues a close_notify: the peer then knows that nothing was cut off. After an error the alert was the last word.
    pub fn close(&mut self) {
        if self.failure.is_some() {
            return;
        }
        if let Some(handshake) = self.handshake() {
            handshake.close();
        } else if self.is_established() && self.last_word == LastWord::None {
            self.last_word = LastWord::Due(record_layer::CLOSE_NOTIFY);
        }
    }

    /// Frees what has arrived of a record. Only when nothing is received any more.
    pub fn discard_received(&mut self) {
        if let Some(aside) = &mut self.aside {
            (aside.cutter, aside.fragment, aside.silent_bytes) = (RecordCutter::default(), Vec::new(), 0);
        }
        self.tidy();
    }

    /// Whether the handshake is done and `ringpost/1` agreed on: [`Self::write`] may be used.
    pub fn is_established(&self) -> bool {
        self.records.is_some()
    }

    /// Whether a session ticket has spared the handshake its certificate. Only after [`Self::is_established`].
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Whether [`Self::take_outgoing`] has something that was not written by the caller.
    pub fn wants_to_send(&self) -> bool {
        let has_words = self.records.as_ref().is_some_and(|records| match self.last_word {
            LastWord::None => records.owes_key_update(),
            LastWord::Due(_) => true,
            LastWord::Said => false,
        });
        let shakes_hands = |aside: &Aside| aside.handshake.as_ref().is_some_and(|handshake| handshake.wants_to_send());
        has_words || self.aside.as_ref().is_some_and(|aside| !aside.farewell.is_empty() || shakes_hands(aside))
    }

    /// Whether the peer has sent its close_notify: it sends nothing more, and nothing was cut off.
    pub fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    /// Whether a record has begun and its rest has not come.
    pub fn is_inside_record(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.cutter.is_inside_record())
    }

    /// Bytes held for a torn record and, at most, for handshake messages of which the end has not come.
    pub fn bytes_held(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.cutter.bytes_held() + aside.silent_bytes)
    }

    fn handshake(&mut self) -> Option<&mut Handshake> {
        self.aside.as_mut()?.handshake.as_deref_mut()
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Gives up what is empty.
    fn tidy(&mut self) {
        if self.aside.as_ref().is_some_and(|aside| aside.is_empty()) {
            self.aside = None;
        }
    }

    fn say_farewell(&mut self, outgoing: &mut Vec<u8>) {
        if let Some(aside) = &mut self.aside {
            outgoing.append(&mut aside.farewell);
            self.tidy();
        }
    }

    fn next_record<'incoming>(&mut self, incoming: &mut &'incoming mut [u8]) -> Option<Cut<'incoming>> {
        if let Some(aside) = &mut self.aside {
            return aside.cutter.next_record(incoming);
        }
        let mut cutter = RecordCutter::default();
        let cut = cutter.next_record(incoming);
        if cutter.is_inside_record() {
            self.aside().cutter = cutter;
        }
        cut
    }

    /// The size of the plaintext that a record brings, which lies behind its header; 0 where it brings none.
    fn open(&mut self, record: &mut [u8]) -> Result<usize, Fault> {
        let opened = self.open_any(record)?;
        self.peer_has_closed = opened == Opened::Close;
        if let Opened::Plaintext(size) = opened {
            // A record of padding alone hides how much is said. Nothing is kept of it.
            if size > 0
                && let Some(aside) = &mut self.aside
            {
                (aside.silent_bytes, aside.ticket_reader) = (0, None);
            }
            return Ok(size);
        }
        let silent_bytes_max = self.silent_bytes_max();
        let aside = self.aside();
        aside.silent_bytes += record.len();
        if aside.silent_bytes > silent_bytes_max {
            return Err(record_layer::OVERSIZED);
        }
        self.finish_handshake()?;
        Ok(0)
    }

    fn open_any(&mut self, record: &mut [u8]) -> Result<Opened, Fault> {
        if let Some(reader) = self.aside.as_mut().and_then(|aside| aside.ticket_reader.as_mut()) {
            reader.read(record);
        }
        if let Some(handshake) = self.handshake() {
            return handshake.open(record);
        }
        let records = self.records.as_mut().ok_or(Fault { error: TlsError::Internal, alert: None })?;
        let mut fragment = self.aside.as_mut().map(|aside| mem::take(&mut aside.fragment)).unwrap_or_default();
        let opened = records.open(record, &mut fragment);
        if !fragment.is_empty() {
            self.aside().fragment = fragment;
        }
        opened
    }

    /// What the peer may send without any plaintext: its whole handshake, or a handshake message afterwards.
    fn silent_bytes_max(&mut self) -> usize {
        let side = self.handshake().map(|handshake| handshake.side());
        match side.or(self.records.as_ref().map(RecordLayer::side)) {
            Some(Side::Client) => tls_client::HANDSHAKE_BYTES_MAX,
            Some(Side::Server) | None => tls_server::HANDSHAKE_BYTES_MAX,
        }
    }

    fn finish_handshake(&mut self) -> Result<(), Fault> {
        let Some(aside) = &mut self.aside else { return Ok(()) };
        let Some(handshake) = aside.handshake.take_if(|handshake| handshake.is_done()) else { return Ok(()) };
        let Finished { records, is_resumed, ticket_reader } = handshake.finish(&mut aside.farewell)?;
        (aside.ticket_reader, aside.silent_bytes) = (ticket_reader, 0);
        (self.records, self.is_resumed) = (Some(records), is_resumed);
        Ok(())
    }

    fn fail(&mut self, fault: Fault) -> TlsError {
        self.failure = Some(fault.error);
        if let Some(Aside { handshake: Some(handshake), farewell, .. }) = self.aside.as_deref_mut() {
            handshake.fail(fault.error, farewell);
        } else if let Some(alert) = fault.alert.filter(|_| self.is_established() && self.last_word == LastWord::None) {
            self.last_word = LastWord::Due(alert);
        }
        fault.error
    }
}
