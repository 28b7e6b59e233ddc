//! What a client session asks its shell to do, and what it tells the application.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use wire::{ConversationKind, Durability, Role};

use super::outgoing::Draft;
use super::state::{Change, Position};
use crate::event::Event;
use crate::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, MessageId, Ordinal, Seq, UserId, UserSeq};
use crate::time::WallTime;

/// Names an event of one session, so that the application can say that it is done with it. Rises from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventNumber(pub u64);

/// Names a change of one session. Dense, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeNumber(pub u64);

/// Names a question of one session to the server. Rises from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// What to do next, in this order.
#[derive(PartialEq, Eq)]
pub enum Action {
    /// Dial; then `handle_connected`, or `handle_disconnected` where it failed. The only connection there is.
    Connect,
    /// Send this frame, still without its length prefix.
    Transmit(Vec<u8>),
    /// Give up the connection, or the attempt at one. What was to be transmitted before may still go out; whatever
    /// comes in is not reported, and neither is the end.
    Disconnect,
    /// Write it to disk after all earlier ones, then `handle_persisted`. Several may share one sync.
    Persist(ChangeNumber, Change),
    /// For the application, which says `handle_applied` for each one when it has made it its own.
    Event(EventNumber, ClientEvent),
}

// The bytes of a frame hold what people say.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Connect => f.write_str("Connect"),
            Action::Transmit(frame) => write!(f, "Transmit({} bytes)", frame.len()),
            Action::Disconnect => f.write_str("Disconnect"),
            Action::Persist(number, change) => write!(f, "Persist({}, {change:?})", number.0),
            Action::Event(number, event) => write!(f, "Event({}, {event:?})", number.0),
        }
    }
}

/// What an application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The connection.
    State(ConnectionState),
    /// A message is in the outbox on disk. Told again for what is still there when a session begins.
    Queued {
        /// Its name in every later event.
        client_msg_id: ClientMsgId,
        /// The message. Its own `client_msg_id` is as the application gave it.
        draft: Draft,
        /// Its name until now. It was never sent, and the server would not take that one: it waited for too long, or
        /// the clock was wrong.
        replaces: Option<ClientMsgId>,
    },
    /// A message is durable and has its place. It leaves the outbox when the application is done with this event.
    Acked(Acked),
    /// An operation is done. It leaves the outbox as a message does.
    OpDone {
        /// Of the operation.
        client_op_id: ClientMsgId,
        /// The entry it made, or the end of the conversation where everything was as wished; for a new conversation this
        /// is how its id is learnt. `None` for what is not done in a conversation.
        place: Option<MessageId>,
    },
    /// An operation that was never sent has another id now, for the same reasons as a message.
    OpRenamed {
        /// Until now.
        from: ClientMsgId,
        /// From now on.
        to: ClientMsgId,
    },
    /// A message or an operation was refused for good, or not answered for as long as it may be sent. It leaves the
    /// outbox when the application is done with this event.
    Failed {
        /// Of the message or the operation.
        client_msg_id: ClientMsgId,
        /// Why.
        reason: Reason,
    },
    /// The next event of the user's log. The cursor moves over it when the application is done with it.
    Stream {
        /// One more than the one before, but after a snapshot.
        user_seq: UserSeq,
        /// What happened.
        event: Event,
        /// An entry of a conversation that has come before, at another user_seq: to be counted, not shown.
        is_repeat: bool,
    },
    /// The cursor was of no use: there is a hole in the stream, which goes on after `position`. What is missing is in
    /// the histories of the conversations; what they show may come again in the stream, and is then for the
    /// application to recognise by conversation and seq.
    Snapshot(Snapshot),
    /// The next entry of a channel that the session follows, of those that hold something; or a void in the place of one
    /// that was told, whose content is gone. More comes as the application is done with these.
    Channel {
        /// Which.
        conversation: ConversationId,
        /// `MessageNew` or `Void`; for those who write in it `MemberChanged` too.
        event: Event,
    },
    /// Somebody has begun or stopped to type. Droppable.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        by: UserId,
        /// Begun or stopped.
        active: bool,
    },
    /// The answer to a question.
    Answer(RequestId, Answer),
}

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being made.
    Connecting,
    /// The server serves the session.
    Online(Me),
    /// It was lost or refused, and is tried again after a while.
    Offline(Option<Reason>),
    /// It was closed from this side, or for a reason that has to be removed first. The session does nothing any more.
    Closed(Option<Reason>),
}

/// As whom the server knows this session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Oneself.
    pub user: UserId,
    /// One's name.
    pub handle: String,
    /// 0 for a transient session.
    pub device: DeviceId,
    /// Of the device.
    pub device_generation: DeviceGeneration,
}

/// A code with its text. The number may be of a later version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// See [`crate::codes::Code`].
    pub code: u16,
    /// What happened and what to do.
    pub text: String,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Of the message.
    pub client_msg_id: ClientMsgId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// When it was ordered.
    pub server_time: WallTime,
    /// What the acknowledgement stands for.
    pub durability: Durability,
}

/// What there is, instead of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream goes on after it.
    pub position: Position,
    /// The newest ones.
    pub conversations: Vec<ConversationSummary>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationSummary {
    /// Which.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// The other user of a direct one.
    pub direct_peer: Option<UserId>,
    /// Of a group.
    pub title: String,
    /// Its newest entry.
    pub head: Seq,
    /// The count of entries that count as unread, up to it.
    pub head_ordinal: Ordinal,
    /// Read up to here.
    pub read: Seq,
    /// The same as a count: `head_ordinal` less this is unread.
    pub read_ordinal: Ordinal,
}

/// What a question was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `history`.
    History(HistoryPage),
    /// To `members`.
    Members(MembersPage),
    /// To `user_lookup`: those that exist.
    Users(Vec<User>),
    /// To `devices`.
    Devices(Vec<Device>),
    /// To `follow`: each of them has said how far it is.
    Following,
    /// It was refused for good.
    Refused(Reason),
}

/// Which entries of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRange {
    /// The last ones.
    Newest,
    /// The last ones before this one.
    Before(Seq),
    /// The first ones after this one; after 0 from the very first on.
    After(Seq),
}

/// A run of entries, in order of seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// `MessageNew`, `MemberChanged` or `Void`; fewer than asked for where they are large.
    pub entries: Vec<Event>,
    /// The newest entry one may see.
    pub head: Seq,
    /// Whether there is more on either side.
    pub has_more: bool,
}

/// Who is in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersPage {
    /// Which.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// Of a group.
    pub title: String,
    /// Its newest entry.
    pub head: Seq,
    /// Present ones.
    pub members: Vec<Member>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// The entry with which they came.
    pub join: Seq,
}

/// A user and their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Unique in the realm.
    pub handle: String,
}

/// A device of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// Of what was issued to it last.
    pub generation: DeviceGeneration,
    /// Not served any more, until it is linked anew.
    pub is_revoked: bool,
    /// For people.
    pub name: String,
    /// By the server's clock, where it is known.
    pub registered_at: Option<WallTime>,
    /// When its last session ended, where that is known.
    pub last_seen: Option<WallTime>,
    /// It has a session.
    pub is_online: bool,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The outbox is at a bound. Again when something has left it.
    OutboxFull,
    /// As many questions as there may be are open. Again after an answer.
    RequestsFull,
    /// A field, or a list, is larger than the wire allows.
    TooLarge,
    /// A client id that is no UUIDv7, or is in the outbox already.
    ClientIdInvalid,
    /// Only a device can do this.
    NotForTransient,
    /// The session is closed, or closing.
    Closed,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::OutboxFull => "the outbox is full; wait until the server has taken something",
            CommandError::RequestsFull => "too many questions are open; wait for an answer",
            CommandError::TooLarge => "a field is larger than allowed",
            CommandError::ClientIdInvalid => "the client id is no UUIDv7, or is in use for something not yet sent",
            CommandError::NotForTransient => "a transient session cannot do this; connect as a device",
            CommandError::Closed => "the session is closed",
        })
    }
}

impl core::error::Error for CommandError {}
