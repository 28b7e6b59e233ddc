//! Entries of a conversation, acks and receipts as scripts read them. Fields are only ever added.

use client::{Acked, User};
use protocol::event::{Event, MemberChanged, Message};
use protocol::ids::{MessageId, UserId};
use protocol::wire::{Durability, Encryption, MembershipAction};
use serde::Serialize;

/// Names by id. Who is not among them is called by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(std::collections::HashMap<UserId, String>);

impl Names {
    pub(crate) fn learn(&mut self, id: UserId, name: &str) {
        self.0.insert(id, name.to_owned());
    }

    /// Those that were asked for and are not among `users` are gone for good.
    pub(crate) fn learn_all(&mut self, asked: &[UserId], users: Vec<User>) {
        self.0.extend(users.into_iter().map(|user| (user.id, user.handle)));
        for id in asked {
            self.0.entry(*id).or_insert_with(|| format!("user {id}"));
        }
    }

    pub(crate) fn of(&self, id: UserId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("user {id}"))
    }

    pub(crate) fn unknown(&self, ids: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let mut unknown: Vec<UserId> = ids.into_iter().filter(|id| !self.0.contains_key(id)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }
}

/// A message.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MessageLine {
    pub(crate) conversation: String,
    pub(crate) seq: u64,
    pub(crate) ordinal: u64,
    pub(crate) client_msg_id: String,
    pub(crate) sender: String,
    pub(crate) kind: &'static str,
    /// `None` for what is no readable text; `content_type` and `size_bytes` then say what it is.
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_bytes: Option<usize>,
    pub(crate) server_time_ms: u64,
}

impl MessageLine {
    pub(crate) fn new(message: &Message, names: &Names) -> MessageLine {
        let is_readable = message.encryption == Encryption::None && message.content_type.starts_with("text/plain");
        let text = if is_readable { String::from_utf8(message.body.clone()).ok() } else { None };
        let is_opaque = text.is_none();
        MessageLine {
            conversation: message.conversation.to_string(),
            seq: message.seq.0,
            ordinal: message.ordinal.0,
            client_msg_id: message.client_msg_id.to_string(),
            sender: names.of(message.sender),
            kind: "message",
            text,
            content_type: is_opaque.then(|| message.content_type.clone()),
            size_bytes: is_opaque.then_some(message.body.len()),
            server_time_ms: message.server_time.0,
        }
    }

    /// For a person.
    pub(crate) fn shown_text(&self) -> String {
        match (&self.text, &self.content_type, self.size_bytes) {
            (Some(text), ..) => text.clone(),
            (None, content_type, size) => {
                format!("[{}, {} bytes]", content_type.as_deref().unwrap_or("no type"), size.unwrap_or_default())
            }
        }
    }
}

/// Who came, went, or got another role.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MembershipLine {
    pub(crate) conversation: String,
    pub(crate) seq: u64,
    pub(crate) ordinal: u64,
    pub(crate) client_msg_id: String,
    pub(crate) sender: String,
    pub(crate) kind: &'static str,
    pub(crate) members: Vec<String>,
    pub(crate) server_time_ms: u64,
}

impl MembershipLine {
    pub(crate) fn new(change: &MemberChanged, names: &Names) -> MembershipLine {
        MembershipLine {
            conversation: change.conversation.to_string(),
            seq: change.seq.0,
            ordinal: change.ordinal.0,
            client_msg_id: change.client_op_id.to_string(),
            sender: names.of(change.actor),
            kind: match change.action {
                MembershipAction::Created => "created",
                MembershipAction::Added => "added",
                MembershipAction::Removed => "removed",
                MembershipAction::Left => "left",
                MembershipAction::RoleChanged => "role_changed",
                _ => "unknown",
            },
            members: change.users.iter().map(|user| names.of(*user)).collect(),
            server_time_ms: change.server_time.0,
        }
    }

    /// For a person.
    pub(crate) fn shown_text(&self) -> String {
        let members = self.members.join(", ");
        match self.kind {
            "created" => format!("{} made it, with {members}", self.sender),
            "left" => format!("{} left", self.sender),
            "role_changed" => format!("{} changed the role of {members}", self.sender),
            kind => format!("{} {kind} {members}", self.sender),
        }
    }
}

/// A place that holds nothing, or what only a later version knows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VoidLine {
    pub(crate) conversation: String,
    pub(crate) seq: u64,
    pub(crate) kind: &'static str,
}

/// One entry of a history.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum EntryLine {
    Message(MessageLine),
    Membership(MembershipLine),
    Void(VoidLine),
}

impl EntryLine {
    /// `None` for what has no place in a history.
    pub(crate) fn new(event: &Event, names: &Names) -> Option<EntryLine> {
        Some(match event {
            Event::MessageNew(message) => EntryLine::Message(MessageLine::new(&Message::from(message), names)),
            Event::MemberChanged(change) => EntryLine::Membership(MembershipLine::new(change, names)),
            Event::Void(Some((conversation, seq))) => {
                EntryLine::Void(VoidLine { conversation: conversation.to_string(), seq: seq.0, kind: "void" })
            }
            _ => return None,
        })
    }
}

/// Everybody who is named in an entry.
pub(crate) fn users_of(event: &Event) -> Vec<UserId> {
    match event {
        Event::MessageNew(message) => vec![UserId(message.view().sender())],
        Event::MemberChanged(change) => change.users.iter().copied().chain([change.actor]).collect(),
        _ => Vec::new(),
    }
}

/// A message that is durable.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AckedLine {
    pub(crate) client_msg_id: String,
    pub(crate) conversation: String,
    pub(crate) seq: u64,
    pub(crate) message_id: String,
    pub(crate) server_time_ms: u64,
    pub(crate) durability: &'static str,
}

impl From<&Acked> for AckedLine {
    fn from(acked: &Acked) -> AckedLine {
        AckedLine {
            client_msg_id: acked.client_msg_id.to_string(),
            conversation: acked.conversation.to_string(),
            seq: acked.seq.0,
            message_id: MessageId { conversation: acked.conversation, seq: acked.seq }.to_string(),
            server_time_ms: acked.server_time.0,
            durability: durability(acked.durability),
        }
    }
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "memory",
        Durability::Fsync => "fsync",
        Durability::Quorum => "quorum",
        Durability::QuorumSync => "quorum+sync",
        _ => "unknown",
    }
}

/// An operation that is done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DoneLine {
    pub(crate) conversation: String,
    pub(crate) seq: u64,
    pub(crate) message_id: String,
}

impl From<MessageId> for DoneLine {
    fn from(place: MessageId) -> DoneLine {
        let MessageId { conversation, seq } = place;
        DoneLine { conversation: conversation.to_string(), seq: seq.0, message_id: place.to_string() }
    }
}
