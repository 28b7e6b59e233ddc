//! Entries and events as an outsider sees them, in a form in which what a client saw and what storage holds compare.

use std::fmt;

use protocol::event::{Event, MessageBytes, Receipt};
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Seq, UserId};
use protocol::wire::MembershipAction;
use storage_api::{Entry, EntryBody, UserEvent};

use crate::trace;

/// A place in a conversation.
pub type Place = (ConversationId, Seq);

/// Whose it is and how they call it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Who sent it.
    pub sender: UserId,
    /// From which device.
    pub device: DeviceId,
    /// How the device calls it.
    pub client_id: ClientMsgId,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of user {} on device {}", self.client_id, self.sender, self.device)
    }
}

/// What is left of a body when only sameness counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    size: usize,
    hash: u64,
}

impl Body {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Body {
        Body { size: bytes.len(), hash: trace::hash_bytes(0, bytes) }
    }
}

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Somebody said something.
    Message {
        /// Of the message.
        name: Name,
        /// `None` for who does not get it, as the device that sent it.
        body: Option<Body>,
    },
    /// Somebody changed who is in it.
    Membership {
        /// Of the change.
        name: Name,
        /// What happened to `users`.
        action: MembershipAction,
        /// Whom it happened to.
        users: Vec<UserId>,
    },
    /// Nothing.
    Void,
}

impl Content {
    /// Of what storage holds.
    pub fn of_entry(entry: &Entry) -> Content {
        match &entry.body {
            EntryBody::Message(message) => Content::of_message(message),
            EntryBody::Membership(change) => Content::Membership {
                name: Name { sender: change.actor, device: change.actor_device, client_id: change.client_op_id },
                action: change.action,
                users: change.users.clone(),
            },
            EntryBody::Void => Content::Void,
        }
    }

    fn of_message(message: &MessageBytes) -> Content {
        let view = message.view();
        let name = Name {
            sender: UserId(view.sender()),
            device: DeviceId(view.sender_device()),
            client_id: view.client_msg_id().into(),
        };
        Content::Message { name, body: Some(Body::of(view.body().map_or(&[][..], |body| body.bytes()))) }
    }

    /// `None` for a void.
    pub fn name(&self) -> Option<Name> {
        match self {
            Content::Message { name, .. } | Content::Membership { name, .. } => Some(*name),
            Content::Void => None,
        }
    }

    /// Whether both can be views of one entry.
    pub fn agrees_with(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Message { name, body }, Content::Message { name: other_name, body: other_body }) => {
                name == other_name && (body.is_none() || other_body.is_none() || body == other_body)
            }
            _ => self == other,
        }
    }
}

/// One event of a user's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// Something at a place.
    Entry(Place, Content),
    /// A tick.
    Delivered(Receipt),
    /// A tick.
    Read(Receipt),
    /// One's own other device.
    SyncRead(Place),
    /// A place of the stream that holds nothing.
    Nothing,
}

impl StreamEvent {
    /// As this device got it. `None` for an event that nobody sends.
    pub fn seen(event: &Event, user: UserId, device: DeviceId) -> Option<StreamEvent> {
        Some(match event {
            Event::MessageNew(message) => {
                let view = message.view();
                StreamEvent::Entry((view.conversation().into(), Seq(view.seq())), Content::of_message(message))
            }
            Event::Echo { client_msg_id, conversation, seq, .. } => {
                let name = Name { sender: user, device, client_id: *client_msg_id };
                StreamEvent::Entry((*conversation, *seq), Content::Message { name, body: None })
            }
            Event::MemberChanged(change) => {
                let name = Name { sender: change.actor, device: change.actor_device, client_id: change.client_op_id };
                let users = change.users.clone();
                let content = Content::Membership { name, action: change.action, users };
                StreamEvent::Entry((change.conversation, change.seq), content)
            }
            Event::Void(Some(place)) => StreamEvent::Entry(*place, Content::Void),
            Event::Void(None) => StreamEvent::Nothing,
            Event::Delivered(receipt) => StreamEvent::Delivered(*receipt),
            Event::Read(receipt) => StreamEvent::Read(*receipt),
            Event::SyncRead { conversation, up_to } => StreamEvent::SyncRead((*conversation, *up_to)),
            Event::Unknown(_) => return None,
        })
    }

    /// As storage holds it.
    pub fn stored(event: &UserEvent, entry: Option<&Entry>) -> StreamEvent {
        match event {
            UserEvent::Entry { key, .. } => match entry {
                Some(entry) => StreamEvent::Entry((key.conversation, key.seq), Content::of_entry(entry)),
                None => StreamEvent::Nothing,
            },
            UserEvent::Delivered(receipt) => StreamEvent::Delivered(*receipt),
            UserEvent::Read(receipt) => StreamEvent::Read(*receipt),
            UserEvent::SyncRead { conversation, up_to } => StreamEvent::SyncRead((*conversation, *up_to)),
        }
    }

    /// Where the entry is that it is about.
    pub fn place(&self) -> Option<Place> {
        if let StreamEvent::Entry(place, _) = self { Some(*place) } else { None }
    }

    /// Whether both can be views of one event.
    pub fn agrees_with(&self, other: &StreamEvent) -> bool {
        match (self, other) {
            (StreamEvent::Entry(place, content), StreamEvent::Entry(other_place, other_content)) => {
                place == other_place && content.agrees_with(other_content)
            }
            _ => self == other,
        }
    }
}
