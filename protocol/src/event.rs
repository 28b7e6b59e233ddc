//! What happened in a conversation or to a user, as values: decoded from the wire, and encoded by [`crate::encode`].

mod message_bytes;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use wire::{ConversationKind, Encryption, EventBody, MembershipAction, Role};

use crate::frame::FrameError;
use crate::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal, Seq, UserId};
use crate::time::WallTime;

pub use message_bytes::{MessageBytes, MessageDraft, MessageHead, PUSH_USER_SEQ_OFFSET};

/// The fields of a message, owned: what an SDK hands to its application.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Its place among the entries that count as unread.
    pub ordinal: Ordinal,
    /// In a direct conversation: the user that the sender writes to.
    pub direct_peer: Option<UserId>,
    /// Who said it.
    pub sender: UserId,
    /// On which device; [`DeviceId`] 0 for a transient session.
    pub sender_device: DeviceId,
    /// The sender's name for it.
    pub client_msg_id: ClientMsgId,
    /// When it was ordered.
    pub server_time: WallTime,
    /// At most 128 bytes, opaque to the server.
    pub content_type: String,
    /// Who can read the body.
    pub encryption: Encryption,
    /// At most 48 KiB, opaque to the server.
    pub body: Vec<u8>,
    /// The entry it answers.
    pub reply_to: Option<Seq>,
    /// At most 64.
    pub mentions: Vec<UserId>,
    /// Seconds until it disappears; 0 for never.
    pub expires_in_s: u32,
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Message({}/{} {} from {})", self.conversation, self.seq, self.client_msg_id, self.sender)
    }
}

impl From<&MessageBytes> for Message {
    fn from(bytes: &MessageBytes) -> Message {
        let view = bytes.view();
        Message {
            conversation: view.conversation().into(),
            seq: Seq(view.seq()),
            ordinal: Ordinal(view.ordinal()),
            direct_peer: nonzero(view.direct_peer()).map(UserId),
            sender: UserId(view.sender()),
            sender_device: DeviceId(view.sender_device()),
            client_msg_id: view.client_msg_id().into(),
            server_time: WallTime(view.server_time_ms()),
            content_type: view.content_type().unwrap_or_default().to_string(),
            encryption: view.encryption(),
            body: view.body().map(|body| body.bytes().to_vec()).unwrap_or_default(),
            reply_to: nonzero(view.reply_to_seq()).map(Seq),
            mentions: view.mentions().iter().flatten().map(UserId).collect(),
            expires_in_s: view.expires_in_s(),
        }
    }
}

/// A change of who belongs to a conversation, an entry of its sequence. `Created` is the first entry of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChanged {
    /// Where.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// The running count after it; membership does not count as unread.
    pub ordinal: Ordinal,
    /// What happened to `users`.
    pub action: MembershipAction,
    /// Who did it.
    pub actor: UserId,
    /// The device it was done on.
    pub actor_device: DeviceId,
    /// Whom it happened to; for `Created` all first members, the creator among them.
    pub users: Vec<UserId>,
    /// What they are now.
    pub role: Role,
    /// With `Created` and `Added`, so that a newcomer knows what it joined.
    pub kind: ConversationKind,
    /// As `kind`.
    pub title: String,
    /// The operation that did it.
    pub client_op_id: ClientMsgId,
    /// When it was ordered.
    pub server_time: WallTime,
}

/// One event of a user's log, or one entry of a conversation's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of somebody, or of another device of one's own.
    MessageNew(MessageBytes),
    /// This device's own message, without its body.
    Echo {
        /// The sender's name for it.
        client_msg_id: ClientMsgId,
        /// Where it was said.
        conversation: ConversationId,
        /// Its place there.
        seq: Seq,
        /// When it was ordered.
        server_time: WallTime,
    },
    /// A place that holds nothing. In a history with conversation and seq.
    Void(Option<(ConversationId, Seq)>),
    /// A device of `by` has everything up to here.
    Delivered(Receipt),
    /// `by` has opened everything up to here.
    Read(Receipt),
    /// Another device of one's own has read up to here.
    SyncRead {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        up_to: Seq,
    },
    /// See [`MemberChanged`].
    MemberChanged(MemberChanged),
    /// Of a later version: moves the cursor, means nothing here.
    Unknown(u8),
}

/// How far somebody is in a conversation. Cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Where.
    pub conversation: ConversationId,
    /// Up to and with this entry.
    pub up_to: Seq,
    /// Who.
    pub by: UserId,
}

impl Event {
    /// Its place in a conversation, where it is one.
    pub fn entry_seq(&self) -> Option<Seq> {
        match self {
            Event::MessageNew(message) => Some(message.head().seq),
            Event::Echo { seq, .. } | Event::Void(Some((_, seq))) => Some(*seq),
            Event::MemberChanged(change) => Some(change.seq),
            _ => None,
        }
    }

    /// Decodes a verified event; a nested message is verified here.
    pub fn decode(event: wire::Event<'_>) -> Result<Event, FrameError> {
        use FrameError::Invalid;
        Ok(match event.body_type() {
            EventBody::MessageNew => {
                let bytes = event.body_as_message_new().ok_or(Invalid)?.message().bytes();
                Event::MessageNew(MessageBytes::new(bytes)?)
            }
            EventBody::Echo => {
                let echo = event.body_as_echo().ok_or(Invalid)?;
                Event::Echo {
                    client_msg_id: echo.client_msg_id().into(),
                    conversation: echo.conversation().into(),
                    seq: Seq(echo.seq()),
                    server_time: WallTime(echo.server_time_ms()),
                }
            }
            EventBody::Void => {
                let void = event.body_as_void().ok_or(Invalid)?;
                Event::Void(void.conversation().map(|conversation| (conversation.into(), Seq(void.seq()))))
            }
            EventBody::Delivered => {
                let receipt = event.body_as_delivered().ok_or(Invalid)?;
                Event::Delivered(Receipt {
                    conversation: receipt.conversation().into(),
                    up_to: Seq(receipt.up_to_seq()),
                    by: UserId(receipt.by()),
                })
            }
            EventBody::Read => {
                let receipt = event.body_as_read().ok_or(Invalid)?;
                Event::Read(Receipt {
                    conversation: receipt.conversation().into(),
                    up_to: Seq(receipt.up_to_seq()),
                    by: UserId(receipt.by()),
                })
            }
            EventBody::SyncRead => {
                let read = event.body_as_sync_read().ok_or(Invalid)?;
                Event::SyncRead { conversation: read.conversation().into(), up_to: Seq(read.up_to_seq()) }
            }
            EventBody::MemberChanged => {
                Event::MemberChanged(MemberChanged::decode(event.body_as_member_changed().ok_or(Invalid)?))
            }
            EventBody(number) => Event::Unknown(number),
        })
    }
}

impl MemberChanged {
    fn decode(change: wire::MemberChanged<'_>) -> MemberChanged {
        MemberChanged {
            conversation: change.conversation().into(),
            seq: Seq(change.seq()),
            ordinal: Ordinal(change.ordinal()),
            action: change.action(),
            actor: UserId(change.actor()),
            actor_device: DeviceId(change.actor_device()),
            users: change.users().iter().flatten().map(UserId).collect(),
            role: change.role(),
            kind: change.kind(),
            title: change.title().unwrap_or_default().to_string(),
            client_op_id: change.client_op_id().map_or(ClientMsgId([0; 16]), ClientMsgId::from),
            server_time: WallTime(change.server_time_ms()),
        }
    }
}

/// The wire writes 0 for "none".
pub fn nonzero(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}
