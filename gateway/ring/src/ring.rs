//! What a ring can do: operations go in, completions come out, in any order and as late as it likes.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::socket_id::SocketId;

/// One thread's way to its sockets. Operations are begun with the next [`Ring::turn`], and each completes: all once, but
/// [`Operation::Watch`], which completes as often as there is something to read.
pub trait Ring {
    /// A socket outside of all rings.
    type Descriptor;

    /// Receives of one ring at a time that find a buffer.
    fn buffers_count(&self) -> u32;

    /// Takes an operation. Those on one socket may end in any order.
    fn submit(&mut self, operation: Operation<Self::Descriptor>);

    /// Begins what was submitted and collects what has ended. Waits for that, or for a ring of the bell, at most so long;
    /// not at all where something was submitted and has ended at once.
    fn turn(&mut self, patience: Duration);

    /// What has ended, oldest first.
    fn next_completion(&mut self) -> Option<Completion<Self::Descriptor>>;

    /// What was received.
    fn bytes(&mut self, buffer: &Buffer) -> &mut [u8];

    /// The buffer may be received into again.
    fn give_back(&mut self, buffer: Buffer);
}

/// What a ring is asked to do.
#[derive(Debug)]
pub enum Operation<D = OwnedFd> {
    /// Accept one connection.
    Accept,
    /// Cancel every accept that waits. Completes as their failure.
    StopAccepting,
    /// Say whenever something can be read, until it is cancelled or ends by itself.
    Watch(SocketId),
    /// Receive into a buffer of the ring. Never waits.
    Receive(SocketId),
    /// Send what begins at `from`; waits for room. At most one on a socket at a time.
    Send {
        /// Where.
        socket: SocketId,
        /// Comes back with the completion.
        bytes: Vec<u8>,
        /// How much of it was sent before.
        from: usize,
    },
    /// Tell the peer that nothing follows.
    ShutDown(SocketId),
    /// End the watch on this socket.
    CancelWatch(SocketId),
    /// End the send on this socket.
    CancelSend(SocketId),
    /// Give it a descriptor outside of the ring, beside its place in here.
    Detach(SocketId),
    /// Take a socket in from outside. Its descriptor there is closed.
    Attach {
        /// Comes back with the completion.
        number: u64,
        /// The socket.
        descriptor: D,
    },
    /// Close. Only when nothing is on its way: a close under an armed watch would keep the connection alive.
    Close(SocketId),
}

/// What has ended.
#[derive(Debug)]
pub enum Completion<D = OwnedFd> {
    /// A connection and where it comes from, or why there is none.
    Accepted(Result<(SocketId, SocketAddr), Errno>),
    /// Something can be read; or, not armed any more, maybe not. A watch that is not armed has ended.
    Watched {
        /// Where.
        socket: SocketId,
        /// Whether it goes on.
        is_armed: bool,
        /// Whether the peer is known to send nothing more than what is there.
        has_gone: bool,
    },
    /// A receive.
    Received {
        /// Where.
        socket: SocketId,
        /// `NOBUFS`: there was no buffer; `AGAIN`: there was nothing to read.
        result: Result<Received, Errno>,
    },
    /// A send, of which a part may be missing.
    Sent {
        /// Where.
        socket: SocketId,
        /// As they were given.
        bytes: Vec<u8>,
        /// Likewise.
        from: usize,
        /// How many bytes were sent this time, or why none.
        result: Result<usize, Errno>,
    },
    /// A shutdown, whether it worked or not.
    ShutDown(SocketId),
    /// A cancellation of either kind. What it cancels ends before or after it.
    Cancelled(SocketId),
    /// It has a descriptor outside, or none is to be had.
    Detached {
        /// Which.
        socket: SocketId,
        /// The same connection.
        result: Result<D, Errno>,
    },
    /// It has its place in a ring, or it is closed.
    Attached {
        /// As it was given.
        number: u64,
        /// Its name from now on.
        result: Result<SocketId, Errno>,
    },
    /// A close. The name is worth nothing from now on.
    Closed(SocketId),
}

/// What a receive found.
#[derive(Debug)]
pub enum Received {
    /// Bytes.
    Bytes {
        /// To be given back.
        buffer: Buffer,
        /// Whether there is more at once.
        has_more: bool,
    },
    /// The peer sends nothing more.
    End,
}

/// A buffer that belongs to whoever holds this. It must go back by [`Ring::give_back`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a buffer that is not given back is lost to its ring"]
pub struct Buffer {
    /// Which ring it belongs to.
    pub ring: u16,
    /// Which of its buffers.
    pub index: u16,
    /// What was received, in bytes.
    pub size: u32,
}
