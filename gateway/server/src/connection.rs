//! One connection without its socket: TLS, frames, and what waits to be sent.
//!
//! Sans-IO like its parts, so that every driver uses it. What came is decrypted and cut where it lies; only what is torn, or
//! may not be told to the shard yet, is copied. Frames of one turn are written into one run of TLS records, which is
//! sealed where it lies.

use gateway_core::Flow;
use gateway_transport::{Framer, TlsError, TlsStage};
use protocol::frame::{self, FrameError};
use protocol::limits::{FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX};
use protocol::time::Instant;

/// Bytes for the socket. Used again by whoever sends next.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// What the frames in it had before they were sealed, prefixes included.
    frame_bytes: u32,
}

/// Why nothing more can be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    Tls(TlsError),
    Frame(FrameError),
}

/// See the file's head. At a million connections a byte here is a megabyte, so what only some of them have is apart.
pub(crate) struct Connection {
    stage: TlsStage,
    outgoing: Option<Box<Outgoing>>,
    kept: Option<Box<Kept>>,
    /// Of the frames in what [`Self::take_outgoing`] gave and [`Self::sent`] has not heard of.
    frame_bytes_leaving: u32,
    is_held: bool,
    is_authenticated: bool,
}

/// What has come and cannot be told to the shard yet. It is there during the whole handshake.
#[derive(Default)]
struct Kept {
    framer: Framer,
    /// What came behind the frame after which the connection was held.
    held: Vec<u8>,
    record_since: Option<Instant>,
    /// Since when more of it could come.
    read_since: Instant,
}

impl Connection {
    pub(crate) fn new(stage: TlsStage, now: Instant) -> Connection {
        Connection {
            stage,
            outgoing: None,
            kept: Some(Box::new(Kept { read_since: now, ..Kept::default() })),
            frame_bytes_leaving: 0,
            is_held: false,
            is_authenticated: false,
        }
    }

    /// Takes what the socket gave. `take` gets every whole frame, until it wants no more of them; then the connection is
    /// held until [`Self::release`], as it is after an error.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        mut incoming: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Flow,
    ) -> Result<(), ReceiveError> {
        let was_inside_record = self.stage.is_inside_record();
        let mut is_new_record = !was_inside_record;
        let mut cutter = self.begin_cutting(now);
        let result = loop {
            match self.stage.next_plaintext(&mut incoming) {
                Ok(Some(plaintext)) => {
                    is_new_record = true;
                    if let Err(error) = cutter.cut(plaintext, &mut take) {
                        break Err(ReceiveError::Frame(error));
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(ReceiveError::Tls(error)),
            }
        };
        cutter.kept.record_since = match cutter.kept.record_since {
            _ if !self.stage.is_inside_record() => None,
            Some(since) if !is_new_record => Some(since),
            _ => Some(now),
        };
        self.end_cutting(cutter);
        result
    }

    /// Goes on with what was held; while it was, nothing else could come.
    pub(crate) fn release(&mut self, now: Instant, take: impl FnMut(&[u8]) -> Flow) -> Result<(), FrameError> {
        self.is_held = false;
        let mut cutter = self.begin_cutting(now);
        cutter.kept.read_since = now;
        let held = std::mem::take(&mut cutter.kept.held);
        let result = cutter.cut(&held, take);
        self.end_cutting(cutter);
        result
    }

    fn begin_cutting(&mut self, now: Instant) -> FrameCutter {
        let kept = self.kept.take().map_or_else(Kept::default, |kept| *kept);
        FrameCutter { now, kept, is_held: self.is_held, is_authenticated: self.is_authenticated }
    }

    fn end_cutting(&mut self, cutter: FrameCutter) {
        let FrameCutter { kept, is_held, .. } = cutter;
        self.is_held = is_held;
        let is_needed = kept.bytes_held() > 0 || kept.record_since.is_some() || !self.stage.is_established();
        self.kept = is_needed.then(|| Box::new(kept));
    }

    /// No frame is given out before [`Self::release`].
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// From now on frames may have their full size.
    pub(crate) fn set_authenticated(&mut self) {
        self.is_authenticated = true;
    }

    /// Whether frames can be sent.
    pub(crate) fn is_established(&self) -> bool {
        self.stage.is_established()
    }

    /// When its handshake began, if that goes on.
    pub(crate) fn handshake_since(&self) -> Option<Instant> {
        self.kept.as_ref().filter(|_| !self.stage.is_established()).map(|kept| kept.read_since)
    }

    /// Whether the peer has ended its side in order.
    pub(crate) fn peer_has_closed(&self) -> bool {
        self.stage.peer_has_closed()
    }

    /// Queues a frame, given in parts. Before the handshake is done nobody could read it, so it is dropped. `spare` gives a
    /// buffer to a connection that has nothing else to send.
    pub(crate) fn queue(&mut self, [front, middle, back]: [&[u8]; 3], spare: impl FnOnce() -> Box<Outgoing>) {
        if !self.stage.is_established() {
            return;
        }
        let outgoing = self.outgoing.get_or_insert_with(spare);
        let size = front.len() + middle.len() + back.len();
        let prefix = frame::prefix(size);
        // After a failure there is nobody to read it; the driver has seen the failure when it received.
        if self.stage.write(&[&prefix, front, middle, back], &mut outgoing.bytes).is_ok() {
            let size = u32::try_from(prefix.len() + size).expect("a frame is far below 4 GiB");
            outgoing.frame_bytes = outgoing.frame_bytes.saturating_add(size);
        }
    }

    /// Everything for the socket; `None` when there is nothing. Not again before [`Self::sent`].
    pub(crate) fn take_outgoing(&mut self) -> Option<Box<Outgoing>> {
        if !self.has_outgoing() {
            return None;
        }
        let mut outgoing = self.outgoing.take().unwrap_or_default();
        self.stage.take_outgoing(&mut outgoing.bytes);
        self.frame_bytes_leaving = std::mem::take(&mut outgoing.frame_bytes);
        Some(outgoing)
    }

    /// What was taken has left: the bytes of its frames, before they were sealed.
    pub(crate) fn sent(&mut self) -> u32 {
        std::mem::take(&mut self.frame_bytes_leaving)
    }

    /// Whether [`Self::take_outgoing`] has something.
    pub(crate) fn has_outgoing(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| !outgoing.bytes.is_empty()) || self.stage.wants_to_send()
    }

    /// Nothing follows what was queued but a close_notify; nothing more is received.
    pub(crate) fn finish(&mut self) {
        self.stage.close();
        self.stage.take_outgoing(&mut self.outgoing.get_or_insert_default().bytes);
        self.stage.discard_received();
        (self.kept, self.is_held) = (None, false);
    }

    /// Memory held for what has not arrived whole, or may not be told to the shard yet.
    pub(crate) fn bytes_held(&self) -> usize {
        self.stage.bytes_held() + self.kept.as_ref().map_or(0, |kept| kept.bytes_held())
    }

    /// Since when a frame, or a TLS record, could have arrived whole and has not.
    pub(crate) fn torn_since(&self) -> Option<Instant> {
        let kept = self.kept.as_ref()?;
        let since = match (kept.framer.torn_since(), kept.record_since) {
            (Some(frame), Some(record)) => Some(frame.min(record)),
            (frame, record) => frame.or(record),
        };
        since.map(|since| since.max(kept.read_since))
    }
}

impl Kept {
    fn bytes_held(&self) -> usize {
        self.framer.bytes_held() + self.held.capacity()
    }
}

/// Plaintext on its way to whoever takes frames.
struct FrameCutter {
    now: Instant,
    kept: Kept,
    is_held: bool,
    is_authenticated: bool,
}

impl FrameCutter {
    fn cut(&mut self, input: &[u8], mut take: impl FnMut(&[u8]) -> Flow) -> Result<(), FrameError> {
        let size_max = if self.is_authenticated { FRAME_SIZE_MAX } else { FRAME_SIZE_UNAUTHENTICATED_MAX };
        let mut rest = input;
        while !self.is_held {
            let before = rest;
            let framer = &mut self.kept.framer;
            let frame = framer.next_frame(self.now, &mut rest, size_max).inspect_err(|_| self.is_held = true)?;
            let Some(frame) = frame else { return Ok(()) };
            match take(frame) {
                Flow::Continue => {}
                Flow::Hold => self.is_held = true,
                // It comes again.
                Flow::Retry => {
                    self.is_held = true;
                    if !self.kept.framer.put_back() {
                        rest = before;
                    }
                }
            }
        }
        self.kept.held.extend_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gateway_transport::{ServerIdentity, TlsClient, TlsServer};

    use super::*;

    const NOW: Instant = Instant(1);

    /// A connection and its client, which have shaken hands.
    fn pair() -> (Connection, TlsStage) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        let identity = ServerIdentity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).expect("PEM");
        let server = TlsServer::new(identity).expect("they belong together");
        let client = TlsClient::from_pem(certificate.as_bytes()).expect("PEM");
        let mut client = client.connect("localhost").expect("a DNS name");
        let mut connection = Connection::new(server.accept(), NOW);
        while !client.is_established() || !connection.is_established() {
            let mut hello = Vec::new();
            client.take_outgoing(&mut hello);
            turn(&mut connection, &hello, Flow::Continue);
            let answer = connection.take_outgoing().map_or(Vec::new(), |outgoing| outgoing.bytes);
            client.receive(&answer, &mut Vec::new()).expect("valid TLS");
        }
        connection.set_authenticated();
        (connection, client)
    }

    fn turn(connection: &mut Connection, incoming: &[u8], flow: Flow) {
        connection.receive(NOW, &mut incoming.to_vec(), |_| flow).expect("valid frames");
    }

    fn sealed(client: &mut TlsStage, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        client.seal(&[plaintext], &mut sealed).expect("established");
        sealed
    }

    #[test]
    fn all_memory_that_a_peer_can_make_wait_is_counted() {
        let (mut connection, mut client) = pair();
        assert_eq!(connection.bytes_held(), 0);
        let frame = [&20_000_u32.to_le_bytes()[..], &[7; 20_000]].concat();

        let record = sealed(&mut client, &frame[..10_000]);
        turn(&mut connection, &record[..9_000], Flow::Continue);
        assert!(connection.bytes_held() >= 9_000, "half a record");
        turn(&mut connection, &record[9_000..], Flow::Continue);
        assert!((10_000..18_000).contains(&connection.bytes_held()), "half a frame, and no record any more");

        let rest = [&frame[10_000..], &frame[..], &frame[..]].concat();
        turn(&mut connection, &sealed(&mut client, &rest), Flow::Hold);
        assert!(connection.bytes_held() >= 2 * frame.len(), "whole frames that may not be told yet");
        connection.release(NOW, |_| Flow::Continue).expect("valid frames");
        turn(&mut connection, &[], Flow::Continue);
        assert_eq!(connection.bytes_held(), 0);
    }
}
