//! One connection without its socket: TLS, frames, and what waits to be sent.
//!
//! Sans-IO like its parts, so that every driver uses it. Frames of one turn leave as one run of TLS records.

use gateway_transport::{Framer, TlsError, TlsStage};
use protocol::frame::{self, FrameError};
use protocol::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX};
use protocol::time::Instant;

/// Bytes for the socket.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// What the frames in it had before they were sealed, prefixes included.
    pub(crate) frame_bytes: u32,
}

/// See the file's head.
pub(crate) struct Connection {
    stage: TlsStage,
    framer: Framer,
    /// Decrypted and not cut yet. Empty between turns unless the connection is held.
    plaintext: Vec<u8>,
    cut: usize,
    cut_before: usize,
    record_since: Option<Instant>,
    is_authenticated: bool,
    /// Frames with their prefixes.
    unsealed: Vec<u8>,
    sealed: Vec<u8>,
    sealed_frame_bytes: u32,
}

impl Connection {
    pub(crate) fn new(stage: TlsStage) -> Connection {
        Connection {
            stage,
            framer: Framer::default(),
            plaintext: Vec::new(),
            cut: 0,
            cut_before: 0,
            record_since: None,
            is_authenticated: false,
            unsealed: Vec::new(),
            sealed: Vec::new(),
            sealed_frame_bytes: 0,
        }
    }

    /// Takes what the socket gave. `scratch` lends its memory for the turn; [`Self::end_turn`] gives it back.
    pub(crate) fn receive(&mut self, now: Instant, incoming: &[u8], scratch: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.plaintext.is_empty() {
            self.plaintext = std::mem::take(scratch);
        }
        let was_inside_record = self.stage.is_inside_record();
        let size_before = self.plaintext.len();
        let result = self.stage.receive(incoming, &mut self.plaintext);
        let is_new_record = !was_inside_record || self.plaintext.len() > size_before;
        self.record_since = match self.record_since {
            _ if !self.stage.is_inside_record() => None,
            Some(since) if !is_new_record => Some(since),
            _ => Some(now),
        };
        self.stage.take_outgoing(&mut self.sealed);
        result
    }

    /// The next whole frame.
    pub(crate) fn next_frame(&mut self, now: Instant) -> Result<Option<&[u8]>, FrameError> {
        let size_max = if self.is_authenticated { FRAME_SIZE_MAX } else { FRAME_SIZE_UNAUTHENTICATED_MAX };
        let mut input = self.plaintext.get(self.cut..).expect("the cut never passes the end");
        let frame = self.framer.next_frame(now, &mut input, size_max);
        self.cut_before = self.cut;
        self.cut = self.plaintext.len() - input.len();
        frame
    }

    /// The last frame was not taken: it comes again.
    pub(crate) fn put_back(&mut self) {
        if !self.framer.put_back() {
            self.cut = self.cut_before;
        }
    }

    /// Keeps only what was not cut, in memory of its own.
    pub(crate) fn end_turn(&mut self, scratch: &mut Vec<u8>) {
        let rest = self.plaintext.get(self.cut..).expect("the cut never passes the end").to_vec();
        self.cut = 0;
        let mut used = std::mem::replace(&mut self.plaintext, rest);
        if used.capacity() > scratch.capacity() {
            used.clear();
            *scratch = used;
        }
    }

    /// From now on frames may have their full size.
    pub(crate) fn set_authenticated(&mut self) {
        self.is_authenticated = true;
    }

    /// Whether frames can be sent.
    pub(crate) fn is_established(&self) -> bool {
        self.stage.is_established()
    }

    /// Whether the peer has ended its side in order.
    pub(crate) fn peer_has_closed(&self) -> bool {
        self.stage.peer_has_closed()
    }

    /// Queues a frame, given in parts. Before the handshake is done nobody could read it, so it is dropped.
    pub(crate) fn queue(&mut self, parts: [&[u8]; 3]) {
        if !self.stage.is_established() {
            return;
        }
        let start = self.unsealed.len();
        self.unsealed.extend_from_slice(&[0; FRAME_PREFIX_SIZE]);
        parts.iter().for_each(|part| self.unsealed.extend_from_slice(part));
        let (_, queued) = self.unsealed.split_at_mut(start);
        let (prefix, frame) = queued.split_at_mut(FRAME_PREFIX_SIZE);
        prefix.copy_from_slice(&frame::prefix(frame));
    }

    /// Everything for the socket; `None` when there is nothing.
    pub(crate) fn take_outgoing(&mut self) -> Option<Outgoing> {
        self.seal();
        if self.sealed.is_empty() {
            return None;
        }
        let frame_bytes = std::mem::take(&mut self.sealed_frame_bytes);
        Some(Outgoing { bytes: std::mem::take(&mut self.sealed), frame_bytes })
    }

    /// Whether [`Self::take_outgoing`] has something.
    pub(crate) fn has_outgoing(&self) -> bool {
        !self.sealed.is_empty() || !self.unsealed.is_empty()
    }

    /// Nothing follows what was queued but a close_notify; nothing more is received.
    pub(crate) fn finish(&mut self) {
        self.seal();
        self.stage.close();
        self.stage.take_outgoing(&mut self.sealed);
        self.stage.discard_received();
        self.framer = Framer::default();
        self.plaintext = Vec::new();
        self.cut = 0;
        self.record_since = None;
    }

    /// Memory held for what has not arrived whole, or may not be told to the shard yet.
    pub(crate) fn bytes_held(&self) -> usize {
        self.stage.bytes_held() + self.framer.bytes_held() + self.plaintext.capacity()
    }

    /// When the frame, or the TLS record, began that has not arrived whole.
    pub(crate) fn torn_since(&self) -> Option<Instant> {
        match (self.framer.torn_since(), self.record_since) {
            (Some(frame), Some(record)) => Some(frame.min(record)),
            (frame, record) => frame.or(record),
        }
    }

    fn seal(&mut self) {
        if self.unsealed.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.unsealed);
        // After a failure there is nobody to read it; the driver has seen the failure when it received.
        if self.stage.seal(&[&frames], &mut self.sealed).is_ok() {
            let size = u32::try_from(frames.len()).expect("a shard queues less than 4 GiB for a connection");
            self.sealed_frame_bytes = self.sealed_frame_bytes.saturating_add(size);
        }
    }
}
