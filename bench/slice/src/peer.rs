//! One end of a pair, without its socket: bytes in and out, and what it heard.

/// What a peer has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It may send.
    Live,
    /// A message of its own is durable.
    Answered,
    /// A message of the other one, with the numbers that it was sent with.
    Message(Stamp),
    /// The other one has got messages.
    Tick,
    /// The server did not take a message, or closed.
    Refused,
}

/// What a message carries: its place among the messages of its sender, and when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u64,
    /// On the clock of the generator.
    pub(crate) due_ns: u64,
}

/// See the file's head.
pub(crate) trait Peer {
    /// What is to be written; the generator drains it.
    fn outgoing(&mut self) -> &mut Vec<u8>;
    /// Takes what was read.
    fn receive(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> anyhow::Result<()>;
    /// Only when live.
    fn send(&mut self, stamp: Stamp) -> anyhow::Result<()>;
    /// Acknowledges everything that was received, if there is something new.
    fn ack(&mut self) -> anyhow::Result<()>;
}
