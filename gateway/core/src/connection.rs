//! One connection of a shard: all that it costs while it is idle.

use core::mem::size_of;

use protocol::ids::{DeviceGeneration, DeviceId, SessionId, UserEpoch, UserId, UserSeq};
use protocol::link::ConnectionKey;
use protocol::server::{Phase, ServerSession};
use protocol::time::{Instant, WallTime};

use crate::slab::Slot;

/// Names a connection of one shard, from `Shard::handle_open` to `Shard::handle_closed`. The generation tells apart who
/// has had the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// The slot.
    pub index: u32,
    /// How often the slot was given away; never 0 at first.
    pub generation: u32,
}

impl From<ConnectionId> for ConnectionKey {
    fn from(id: ConnectionId) -> Self {
        ConnectionKey(u64::from(id.generation) << 32 | u64::from(id.index))
    }
}

impl From<ConnectionKey> for ConnectionId {
    fn from(key: ConnectionKey) -> Self {
        ConnectionId { index: key.0 as u32, generation: (key.0 >> 32) as u32 }
    }
}

/// What the router knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Nothing, on this link.
    None,
    /// It has been asked to open it.
    Sent,
    /// It serves it.
    Opened,
}

/// Before the Hello only the first five fields mean something.
pub(crate) struct Connection {
    pub(crate) session: ServerSession,
    /// Given to the driver and not reported as sent.
    pub(crate) send_queue_bytes: u32,
    /// When the sweep first saw that something waits to be sent, unless something was sent since: seconds of the monotonic
    /// clock; 0: it has not.
    pub(crate) stalled_since_s: u32,
    /// The driver waits for a Release.
    pub(crate) is_held: bool,
    pub(crate) registration: Registration,
    pub(crate) device_generation: DeviceGeneration,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    /// Of the router, from its Welcome on.
    pub(crate) session_id: SessionId,
    pub(crate) user_epoch: UserEpoch,
    /// The end of the user's log, as far as is known here.
    pub(crate) user_head: UserSeq,
    /// The last user_seq given to the driver: the socket has it, or the connection is gone.
    pub(crate) user_seq_written: UserSeq,
    pub(crate) token_expires_at: WallTime,
}

// At a million connections a byte here is a megabyte, and this is the whole of an idle one: it owns no heap, no timer
// and no buffer. Its place in the index of sessions, 5 to 10 bytes, comes on top.
const _: () = assert!(size_of::<Slot<Connection>>() <= 104);

impl Connection {
    pub(crate) fn new(now: Instant) -> Connection {
        Connection {
            session: ServerSession::new(now),
            send_queue_bytes: 0,
            stalled_since_s: 0,
            is_held: false,
            registration: Registration::None,
            device_generation: DeviceGeneration(0),
            user: UserId(0),
            device: DeviceId(0),
            session_id: SessionId(0),
            user_epoch: UserEpoch(0),
            user_head: UserSeq(0),
            user_seq_written: UserSeq(0),
            token_expires_at: WallTime(0),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.session.phase() == Phase::Live
    }

    /// Closed by the shard; the driver has not reported its end.
    pub(crate) fn is_closed(&self) -> bool {
        self.session.phase() == Phase::Closed
    }
}
