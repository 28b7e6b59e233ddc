//! One of those who write, without a socket: bytes in and out, and what it heard.
//!
//! A million of them idle at a time, so none owns a buffer: what they work with lies on a [`Desk`] that all share, and
//! what is to be written goes to a buffer of the caller.

use anyhow::Result;
use protocol::encode::FrameBuilder;

/// What a peer has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its TLS handshake has resumed a session.
    SessionResumed,
    /// It may send.
    Live,
    /// A message of its own is durable.
    Answered,
    /// A message of another one, with the numbers that it was sent with.
    Message(Stamp),
    /// The other one has got messages.
    Tick,
    /// The server did not take a message, or closed; with the code that it gave.
    Refused(u16),
}

/// What a message carries: its place among the messages of its sender, and when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// From 1.
    pub number: u64,
    /// See [`crate::now_ns`].
    pub due_ns: u64,
}

/// What peers work with, one at a time.
#[derive(Default)]
pub struct Desk {
    pub(crate) builder: FrameBuilder,
    pub(crate) plaintext: Vec<u8>,
    /// Of what is sent next.
    pub(crate) body: Vec<u8>,
}

/// See the file's head.
pub trait Peer {
    /// Begins a connection, the first or a further one.
    fn arrive(&mut self, desk: &mut Desk, outgoing: &mut Vec<u8>, heard: &mut Vec<Heard>) -> Result<()>;
    /// Takes what was read.
    fn receive(&mut self, bytes: &[u8], desk: &mut Desk, outgoing: &mut Vec<u8>, heard: &mut Vec<Heard>) -> Result<()>;
    /// Only when live.
    fn send(&mut self, stamp: Stamp, desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()>;
    /// Acknowledges everything that was received, if there is something new.
    fn ack(&mut self, desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()>;
    /// Is heard of, so that the server keeps it. Only when live.
    fn ping(&mut self, desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()>;
}
