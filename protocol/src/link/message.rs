//! The messages of a link as values that borrow from the batch they came in.

use wire::Durability;
use wire::link as schema;

use crate::codes::Code;
use crate::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, SessionId, StoreIncarnation, UserEpoch, UserId,
    UserSeq,
};

/// Names a connection on one link: the gateway's slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(pub u64);

/// First from the gateway, on every new link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayHello {
    /// Must be [`super::LINK_VERSION`].
    pub version: u16,
    /// The gateway's place in the cluster.
    pub gateway_id: u64,
    /// Which of its shards.
    pub shard_index: u16,
    /// New at every start of the process.
    pub gateway_incarnation: u64,
}

/// First from the router, in answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterHello {
    /// Must be [`super::LINK_VERSION`].
    pub version: u16,
    /// New at every start of the process.
    pub router_incarnation: u64,
    /// Which life of the store it serves from.
    pub store_incarnation: StoreIncarnation,
    /// What its acks stand for.
    pub durability: Durability,
}

/// A session that wants to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOpen<'a> {
    /// Names it on this link from now on.
    pub connection: ConnectionKey,
    /// Authenticated.
    pub user: UserId,
    /// 0: register by `install_id`, or transient.
    pub device: DeviceId,
    /// Of the device; 0 where it is being registered.
    pub device_generation: DeviceGeneration,
    /// The client's name for a device it registers: the same one makes one device.
    pub install_id: Option<ClientMsgId>,
    /// For people; at most 64 bytes.
    pub device_name: &'a str,
    /// Gets answers, never events.
    pub transient: bool,
    /// From which store the cursor is.
    pub store_incarnation: StoreIncarnation,
    /// From which rebuild of the user's log the cursor is.
    pub user_epoch: UserEpoch,
    /// Everything up to here is on the device; with a `session`: was written to its socket.
    pub user_cursor: UserSeq,
    /// After a link break: the id under which the client has its Welcome. Of two sessions of a device the higher one is
    /// the newer.
    pub session: Option<SessionId>,
}

/// A session that is served from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOpened<'a> {
    /// Which.
    pub connection: ConnectionKey,
    /// Given by the router at the first open, and kept over breaks. Rises.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// The user's name.
    pub handle: &'a str,
    /// 0 for a transient one.
    pub device: DeviceId,
    /// Of the device.
    pub device_generation: DeviceGeneration,
    /// False: a Snapshot follows.
    pub resumed: bool,
    /// Of the user's log.
    pub user_epoch: UserEpoch,
    /// End of the user's log.
    pub user_head: UserSeq,
}

/// One Push of one event for many connections.
#[derive(Clone, Copy)]
pub struct Fanout<'a> {
    /// Whom, and the user_seq of each.
    pub targets: FanoutTargets<'a>,
    /// Where in the frame the user_seq (u64, little-endian) goes.
    pub user_seq_offset: usize,
    /// The Push with any user_seq.
    pub frame: &'a [u8],
}

/// Iterates over the connections of a [`Fanout`].
#[derive(Clone, Copy)]
pub struct FanoutTargets<'a>(pub(super) flatbuffers::Vector<'a, schema::FanoutTarget>);

impl<'a> FanoutTargets<'a> {
    /// Connection and its user_seq.
    pub fn iter(self) -> impl Iterator<Item = (ConnectionKey, UserSeq)> + 'a {
        self.0.iter().map(|target| (ConnectionKey(target.connection()), UserSeq(target.user_seq())))
    }
}

/// From a gateway shard to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayMessage<'a> {
    /// See [`GatewayHello`].
    Hello(GatewayHello),
    /// See [`SessionOpen`].
    SessionOpen(SessionOpen<'a>),
    /// The connection is gone; its key may come again.
    SessionClose(ConnectionKey),
    /// Connections of which the router has said [`RouterMessage::ChannelJoined`] have stopped.
    ChannelLeft {
        /// Which channel.
        conversation: ConversationId,
        /// How many.
        count: u32,
    },
    /// A verified ClientFrame, byte for byte.
    ClientRequest {
        /// Of whom.
        connection: ConnectionKey,
        /// Verify it again: the link is trusted, the code that reads it is safe.
        frame: &'a [u8],
    },
}

/// From a router to a gateway shard.
#[derive(Clone, Copy)]
pub enum RouterMessage<'a> {
    /// See [`RouterHello`].
    Hello(RouterHello),
    /// See [`SessionOpened`].
    SessionOpened(SessionOpened<'a>),
    /// Close the connection.
    SessionRefused {
        /// Which.
        connection: ConnectionKey,
        /// With which code.
        code: Code,
    },
    /// A whole ServerFrame.
    Deliver {
        /// For whom.
        connection: ConnectionKey,
        /// The last user_seq it carries; 0 for none.
        user_seq_last: UserSeq,
        /// Byte for byte what the client gets.
        frame: &'a [u8],
    },
    /// See [`Fanout`].
    Fanout(Fanout<'a>),
    /// The connection follows a channel from now on, until it is gone or has asked for others.
    ChannelJoined {
        /// Which.
        connection: ConnectionKey,
        /// Of its ChannelFollow.
        request_id: u32,
        /// Which channel.
        conversation: ConversationId,
        /// What was there before.
        head: Seq,
    },
    /// A whole ServerFrame for every connection that follows this channel.
    Publish {
        /// Which channel.
        conversation: ConversationId,
        /// The head that it tells.
        head: Seq,
        /// Byte for byte what the clients get.
        frame: &'a [u8],
    },
}
