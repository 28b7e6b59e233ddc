//! What a client wants to be done, as the frame that asks for it.
//!
//! A message or an operation is kept as its own first frame: it is what is written to disk, and what is sent.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use wire::{ClientBody, Encryption};

use super::action::CommandError;
use super::request::MemberDraft;
use crate::encode::FrameBuilder;
use crate::event::nonzero;
use crate::frame::{self, FrameError};
use crate::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserId};
use crate::limits::{BODY_SIZE_MAX, CONTENT_TYPE_SIZE_MAX, MENTIONS_MAX};

/// A message that is to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where.
    pub conversation: ConversationId,
    /// The other user of a direct conversation, which then begins with its first message.
    pub direct_peer: Option<UserId>,
    /// An id that may have been tried before: the same message under the same id makes one entry. `None`: a new one.
    pub client_msg_id: Option<ClientMsgId>,
    /// At most 128 bytes.
    pub content_type: String,
    /// Who can read the body.
    pub encryption: Encryption,
    /// At most 48 KiB.
    pub body: Vec<u8>,
    /// The entry it answers.
    pub reply_to: Option<Seq>,
    /// At most 64.
    pub mentions: Vec<UserId>,
    /// Seconds until it disappears; 0 for never.
    pub expires_in_s: u32,
}

impl Draft {
    /// A plain text. `direct_peer` for a direct conversation.
    pub fn text(conversation: ConversationId, direct_peer: Option<UserId>, text: &str) -> Draft {
        Draft {
            conversation,
            direct_peer,
            client_msg_id: None,
            content_type: "text/plain".to_string(),
            encryption: Encryption::None,
            body: text.as_bytes().to_vec(),
            reply_to: None,
            mentions: Vec::new(),
            expires_in_s: 0,
        }
    }

    pub(super) fn check(&self) -> Result<(), CommandError> {
        let fits = self.body.len() <= BODY_SIZE_MAX
            && self.content_type.len() <= CONTENT_TYPE_SIZE_MAX
            && self.mentions.len() <= MENTIONS_MAX;
        if !fits {
            return Err(CommandError::TooLarge);
        }
        match self.client_msg_id {
            Some(id) if !id.is_uuid_v7() => Err(CommandError::ClientIdInvalid),
            _ => Ok(()),
        }
    }

    fn decode(send: wire::MessageSend<'_>, client_msg_id: Option<ClientMsgId>) -> Draft {
        Draft {
            conversation: send.conversation().into(),
            direct_peer: nonzero(send.direct_peer()).map(UserId),
            client_msg_id,
            content_type: send.content_type().unwrap_or_default().to_string(),
            encryption: send.encryption(),
            body: send.body().map(|body| body.bytes().to_vec()).unwrap_or_default(),
            reply_to: nonzero(send.reply_to_seq()).map(Seq),
            mentions: send.mentions().iter().flatten().map(UserId).collect(),
            expires_in_s: send.expires_in_s(),
        }
    }
}

// Never the text of people.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} bytes to {})", self.body.len(), self.conversation)
    }
}

/// A message or an operation in the outbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its `client_msg_id` or `client_op_id`.
    pub id: ClientMsgId,
    /// Whether the application chose the id, which then says nothing of our clock.
    pub is_given: bool,
    /// Whether it may have been sent: then its id stands, and it may be there already.
    pub is_attempted: bool,
    frame: Arc<[u8]>,
}

impl Outgoing {
    /// A message, or an operation, as its frame.
    pub(super) fn new(id: ClientMsgId, frame: &[u8]) -> Outgoing {
        Outgoing { id, is_given: false, is_attempted: false, frame: frame.into() }
    }

    /// From disk, where [`Outgoing::frame`] was written. An error: it is not one of ours.
    pub fn decode(frame: &[u8], is_given: bool, is_attempted: bool) -> Result<Outgoing, FrameError> {
        let view = frame::client_frame(frame)?;
        let id = match view.body_type() {
            ClientBody::MessageSend => view.body_as_message_send().map(|send| send.client_msg_id().into()),
            ClientBody::ConversationCreate | ClientBody::MemberChange | ClientBody::DeviceRevoke => {
                view.client_op_id().map(ClientMsgId::from)
            }
            _ => None,
        };
        let id = id.ok_or(FrameError::Invalid)?;
        Ok(Outgoing { id, is_given, is_attempted, frame: frame.into() })
    }

    /// Its first attempt.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Where a message is for; `None` for an operation.
    pub fn draft(&self) -> Option<Draft> {
        let send = self.view().body_as_message_send()?;
        Some(Draft::decode(send, self.is_given.then_some(self.id)))
    }

    /// The frame of the nth attempt, from 0. That of an operation is always the same.
    pub(super) fn attempt(&self, attempt: u16, builder: &mut FrameBuilder) -> Vec<u8> {
        let draft = if attempt > 0 { self.draft() } else { None };
        draft.map_or_else(|| self.frame.to_vec(), |draft| builder.message_send(self.id, attempt, &draft).to_vec())
    }

    /// The same under another id.
    pub(super) fn renamed(&self, id: ClientMsgId, builder: &mut FrameBuilder) -> Outgoing {
        let view = self.view();
        let frame = if let Some(draft) = self.draft() {
            builder.message_send(id, 0, &draft)
        } else if let Some(create) = view.body_as_conversation_create() {
            let members: Vec<UserId> = create.members().iter().flatten().map(UserId).collect();
            builder.conversation_create(id, create.kind(), create.title().unwrap_or_default(), &members)
        } else if let Some(revoke) = view.body_as_device_revoke() {
            builder.device_revoke(id, DeviceId(revoke.device_id()), DeviceGeneration(revoke.device_generation()))
        } else {
            let change = view.body_as_member_change().expect("there is no other kind of outgoing frame");
            let draft = MemberDraft {
                conversation: change.conversation().into(),
                action: change.action(),
                users: change.users().iter().flatten().map(UserId).collect(),
                role: change.role(),
            };
            builder.member_change(id, &draft)
        };
        Outgoing { id, frame: frame.into(), ..self.clone() }
    }

    fn view(&self) -> wire::ClientFrame<'_> {
        frame::client_frame(&self.frame).expect("built here, or verified when decoded")
    }
}

// Never the text of people.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({}, {} bytes)", self.id, self.frame.len())
    }
}
