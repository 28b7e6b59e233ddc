//! The handshake of one connection, by the library, until our record layer takes over.

use protocol::limits::ALPN;
use rustls::{CipherSuite, Connection, HandshakeKind};

use crate::record_layer::{self, Fault, Opened, RecordLayer, Side};
use crate::secret_tap::Secrets;
use crate::ticket_reader::TicketReader;
use crate::tls_error::{self, TlsError};
use crate::traffic_keys::{Cipher, TrafficKeys};

/// Content types of TLS records, heartbeat included (RFC 8446, section 5.1; RFC 6520).
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// See the file's head. The library is given one whole record at a time.
pub(crate) struct Handshake {
    connection: Connection,
    secrets: Secrets,
    is_met: bool,
    has_spoken: bool,
    /// A client that wants to resume. Servers do not look at it.
    pub(crate) keeps_tickets: bool,
}

/// What goes on after a handshake.
pub(crate) struct Finished {
    pub(crate) records: RecordLayer,
    pub(crate) is_resumed: bool,
    pub(crate) ticket_reader: Option<Box<TicketReader>>,
}

impl Handshake {
    pub(crate) fn new(connection: Connection) -> Handshake {
        Handshake { connection, secrets: Secrets::default(), is_met: false, has_spoken: false, keeps_tickets: false }
    }

    /// Looks at the first byte of all: whoever does not speak TLS is told before a whole record of theirs has come.
    pub(crate) fn meet(&mut self, first: Option<u8>) -> Result<(), TlsError> {
        let Some(first) = first.filter(|_| !self.is_met) else { return Ok(()) };
        self.is_met = true;
        if CONTENT_TYPES.contains(&first) {
            return Ok(());
        }
        // Five bytes are enough for the library to answer with the alert that says so.
        let refused = self.open(&[first, 3, 3, 0, 0]);
        assert!(refused.is_err(), "a record of unknown type is never accepted");
        Err(TlsError::NotTls)
    }

    pub(crate) fn open(&mut self, mut record: &[u8]) -> Result<Opened, Fault> {
        let failed = |error| Fault { error, alert: None };
        while !record.is_empty() {
            // It takes no more only while a handshake message does not end, and nothing at all after a close.
            if self.connection.read_tls(&mut record).map_err(|_| failed(TlsError::Oversized))? == 0 {
                break;
            }
        }
        let state = self.connection.process_new_packets().map_err(|error| failed(tls_error::from_library(&error)));
        self.secrets.take_tapped();
        Ok(if state?.peer_has_closed() { Opened::Close } else { Opened::Nothing })
    }

    pub(crate) fn side(&self) -> Side {
        match self.connection {
            Connection::Client(_) => Side::Client,
            Connection::Server(_) => Side::Server,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Hands over. What is still to be said of the handshake goes to `farewell`.
    pub(crate) fn finish(mut self, farewell: &mut Vec<u8>) -> Result<Finished, Fault> {
        let agreed = self.agreed();
        if let Err(error) = agreed {
            self.fail(error, farewell);
        }
        self.take_outgoing(farewell);
        let cipher = agreed.map_err(|error| Fault { error, alert: None })?;
        let internal = Fault { error: TlsError::Internal, alert: None };
        let (client, server) = self.secrets.client.zip(self.secrets.server).ok_or(internal)?;
        let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let keys = |secret, sequence| TrafficKeys::new(cipher, secret, sequence);
        Ok(match self.connection {
            // Its last record was the last under the keys of the handshake.
            Connection::Client(connection) => Finished {
                records: RecordLayer::new(Side::Client, cipher, keys(server, 0), keys(client, 0)),
                is_resumed,
                ticket_reader: self.keeps_tickets.then(|| Box::new(TicketReader::new(connection))),
            },
            // It may have sealed a ticket already.
            Connection::Server(connection) => {
                let extracted = connection.dangerous_extract_secrets().map_err(|_| internal)?;
                let (receiving, sending) = (keys(client, extracted.rx.0), keys(server, extracted.tx.0));
                let records = RecordLayer::new(Side::Server, cipher, receiving, sending);
                Finished { records, is_resumed, ticket_reader: None }
            }
        })
    }

    /// Without ALPN a connection meant for another service with the same certificate could be turned on us.
    fn agreed(&self) -> Result<Cipher, TlsError> {
        if self.connection.alpn_protocol() != Some(ALPN) {
            return Err(TlsError::WrongProtocol);
        }
        match self.connection.negotiated_cipher_suite().map(|suite| suite.suite()) {
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => Ok(Cipher::Aes128Gcm),
            Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => Ok(Cipher::ChaCha20Poly1305),
            _ => Err(TlsError::Internal),
        }
    }

    /// The library has queued the alert that fits, where it knows one; silence would leave the peer guessing. Before any
    /// keys another is ours to give, into `farewell`. Afterwards only the library can seal one: for our own bounds it is
    /// shown the header of a record that cannot be.
    pub(crate) fn fail(&mut self, error: TlsError, farewell: &mut Vec<u8>) {
        if self.connection.wants_write() || matches!(error, TlsError::PeerAlert(_)) {
            return;
        }
        let is_ours = error == TlsError::Oversized;
        if !self.has_spoken {
            let fault = if is_ours { record_layer::OVERSIZED } else { record_layer::MALFORMED };
            farewell.extend_from_slice(&record_layer::open_alert(fault));
            return;
        }
        if is_ours {
            // The connection is over already.
            let _ = self.open(&[22, 3, 3, 0xff, 0xff]);
        }
        if !self.connection.wants_write() {
            self.connection.send_close_notify();
        }
    }

    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        self.connection.wants_write()
    }

    pub(crate) fn take_outgoing(&mut self, outgoing: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(outgoing).expect("writing to memory does not fail");
            self.has_spoken = true;
        }
    }
}
