//! What the sequences hold: entries of a conversation, events of a user.

use alloc::sync::Arc;

use protocol::event::{Event, MemberChanged, MessageBytes, Receipt};
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Seq, UserId};
use protocol::time::WallTime;

/// Names an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// Where.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
}

/// Whose it is and how they call it: at most one entry of a conversation has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Who sent it.
    pub sender: UserId,
    /// From which device; 0 for a transient session.
    pub device: DeviceId,
    /// client_msg_id or client_op_id.
    pub client_id: ClientMsgId,
}

/// One place in the sequence of a conversation. Of two with the same key the one with the higher epoch counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub key: EntryKey,
    /// Under which ownership it was written.
    pub epoch: Epoch,
    /// Count of unread-worthy entries up to and with this one.
    pub ordinal: Ordinal,
    /// What it holds.
    pub body: EntryBody,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryBody {
    /// A message as it travels.
    Message(MessageBytes),
    /// A change of membership; the store keeps the members that follow from it.
    Membership(Arc<MemberChanged>),
    /// Nothing: fills a place that was given and never used.
    Void,
}

impl Entry {
    /// Whose it is, and when it was ordered. `None` for a void.
    pub fn stamp(&self) -> Option<(Identity, WallTime)> {
        match &self.body {
            EntryBody::Message(message) => {
                let head = message.head();
                let identity =
                    Identity { sender: head.sender, device: head.sender_device, client_id: head.client_msg_id };
                Some((identity, head.server_time))
            }
            EntryBody::Membership(change) => {
                let (sender, device, client_id) = (change.actor, change.actor_device, change.client_op_id);
                Some((Identity { sender, device, client_id }, change.server_time))
            }
            EntryBody::Void => None,
        }
    }

    /// `None` for a void.
    pub fn identity(&self) -> Option<Identity> {
        self.stamp().map(|(identity, _)| identity)
    }

    /// When it was ordered; 1970 for a void.
    pub fn server_time(&self) -> WallTime {
        self.stamp().map_or(WallTime(0), |(_, time)| time)
    }

    /// As everybody but its own device sees it.
    pub fn event(&self) -> Event {
        match &self.body {
            EntryBody::Message(message) => Event::MessageNew(message.clone()),
            EntryBody::Membership(change) => Event::MemberChanged(MemberChanged::clone(change)),
            EntryBody::Void => Event::Void(Some((self.key.conversation, self.key.seq))),
        }
    }

    /// As the device that sent it sees it in its own stream: a message without its body.
    pub fn event_for(&self, user: UserId, device: DeviceId) -> Event {
        match (&self.body, self.identity()) {
            (EntryBody::Message(_), Some(identity))
                if device != DeviceId(0) && identity.sender == user && identity.device == device =>
            {
                Event::Echo {
                    client_msg_id: identity.client_id,
                    conversation: self.key.conversation,
                    seq: self.key.seq,
                    server_time: self.server_time(),
                }
            }
            _ => self.event(),
        }
    }
}

/// One place in a user's log. Entries are named here and held by their conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserEvent {
    /// An entry this user may see.
    Entry {
        /// Which.
        key: EntryKey,
        /// Who sent it.
        sender: UserId,
    },
    /// Somebody's device has what this user sent.
    Delivered(Receipt),
    /// Somebody has read what this user sent.
    Read(Receipt),
    /// This user has read, on one of its devices.
    SyncRead {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        up_to: Seq,
    },
}
