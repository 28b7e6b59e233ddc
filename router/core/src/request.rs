//! What a client asks, decoded from its verified frame: every field that an owner relies on is checked here.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::event::{MessageDraft, nonzero};
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Realm, Seq, SessionId, StoreIncarnation, UserEpoch,
    UserId, UserSeq,
};
use protocol::limits;
use protocol::link::SessionOpen;
use protocol::time::WallTime;
use protocol::wire::{self, ClientBody, ConversationKind, MembershipAction, Role};

use crate::links::PageSlot;
use crate::mail::SessionRef;

/// A session that wants to be served, owned.
#[derive(Clone, Debug)]
pub(crate) struct OpenRequest {
    pub(crate) device_generation: DeviceGeneration,
    pub(crate) install_id: Option<ClientMsgId>,
    pub(crate) device_name: String,
    pub(crate) transient: bool,
    pub(crate) store_incarnation: StoreIncarnation,
    pub(crate) user_epoch: UserEpoch,
    pub(crate) user_cursor: UserSeq,
    /// After a link break: the id it had.
    pub(crate) session: Option<SessionId>,
}

impl From<&SessionOpen<'_>> for OpenRequest {
    fn from(open: &SessionOpen<'_>) -> Self {
        OpenRequest {
            device_generation: open.device_generation,
            install_id: open.install_id,
            device_name: open.device_name.to_string(),
            transient: open.transient,
            store_incarnation: open.store_incarnation,
            user_epoch: open.user_epoch,
            user_cursor: open.user_cursor,
            session: open.session,
        }
    }
}

/// A request that its conversation's owner serves, in order of arrival.
#[derive(Debug)]
pub(crate) enum ConversationRequest {
    Send {
        message: MessageDraft,
        attempt: u16,
    },
    Create {
        client_op_id: ClientMsgId,
        kind: ConversationKind,
        title: String,
        members: Vec<UserId>,
    },
    Change {
        client_op_id: ClientMsgId,
        action: MembershipAction,
        users: Vec<UserId>,
        role: Role,
    },
    History {
        request_id: u32,
        /// `None`: the first ones after `after`.
        before: Option<Seq>,
        after: Seq,
        limit: usize,
        page: PageSlot,
    },
    Members {
        request_id: u32,
    },
    Typing {
        active: bool,
    },
    /// Of a channel.
    Follow {
        request_id: u32,
    },
}

impl ConversationRequest {
    /// How its answer finds it, and which frame it was.
    pub(crate) fn reference(&self) -> (ClientBody, Option<ClientMsgId>, u32) {
        match self {
            ConversationRequest::Send { message, .. } => {
                (ClientBody::MessageSend, Some(message.head().client_msg_id), 0)
            }
            ConversationRequest::Create { client_op_id, .. } => {
                (ClientBody::ConversationCreate, Some(*client_op_id), 0)
            }
            ConversationRequest::Change { client_op_id, .. } => (ClientBody::MemberChange, Some(*client_op_id), 0),
            ConversationRequest::History { request_id, .. } => (ClientBody::HistoryGet, None, *request_id),
            ConversationRequest::Members { request_id } => (ClientBody::MembersGet, None, *request_id),
            ConversationRequest::Typing { .. } => (ClientBody::TypingStart, None, 0),
            ConversationRequest::Follow { request_id } => (ClientBody::ChannelFollow, None, *request_id),
        }
    }

    /// Whether it is an operation, answered by OpAck also when refused.
    pub(crate) fn is_operation(&self) -> bool {
        matches!(self, ConversationRequest::Create { .. } | ConversationRequest::Change { .. })
    }
}

/// Everything a live session may ask.
pub(crate) enum ClientRequest {
    Conversation(ConversationId, ConversationRequest),
    /// Each of these channels.
    Follow {
        request_id: u32,
        channels: Vec<ConversationId>,
    },
    Ack(UserSeq),
    Read {
        conversation: ConversationId,
        up_to: Seq,
    },
    Sync {
        request_id: u32,
        after: UserSeq,
        bytes_max: usize,
        page: PageSlot,
    },
    Lookup {
        request_id: u32,
        realm: Realm,
        handles: Vec<String>,
        ids: Vec<UserId>,
    },
    ListDevices {
        request_id: u32,
    },
    Revoke {
        client_op_id: ClientMsgId,
        device: DeviceId,
        generation: DeviceGeneration,
    },
    /// Of a later version, or not for the router.
    Nothing,
}

/// Decodes a verified frame of `session`; `builder` builds the message that it brings. The code says what is wrong with it.
pub(crate) fn decode(
    frame: &wire::ClientFrame<'_>,
    session: SessionRef,
    page: PageSlot,
    builder: &mut FrameBuilder,
) -> Result<ClientRequest, Code> {
    use Code::Malformed;
    let client_op_id = || frame.client_op_id().map(ClientMsgId::from).ok_or(Malformed);
    let in_conversation = |id: &wire::ConversationId, request| ClientRequest::Conversation(id.into(), request);
    Ok(match frame.body_type() {
        ClientBody::MessageSend => {
            let send = frame.body_as_message_send().ok_or(Malformed)?;
            check_message(&send, session)?;
            let message = builder.draft(&send, session.user, session.device);
            in_conversation(send.conversation(), ConversationRequest::Send { message, attempt: send.attempt() })
        }
        ClientBody::ConversationCreate => {
            let create = frame.body_as_conversation_create().ok_or(Malformed)?;
            let client_op_id = client_op_id()?;
            let request = ConversationRequest::Create {
                client_op_id,
                kind: create.kind(),
                title: create.title().unwrap_or_default().to_string(),
                members: create.members().iter().flatten().map(UserId).collect(),
            };
            ClientRequest::Conversation(ConversationId::created_by(session.user, session.device, client_op_id), request)
        }
        ClientBody::MemberChange => {
            let change = frame.body_as_member_change().ok_or(Malformed)?;
            let request = ConversationRequest::Change {
                client_op_id: client_op_id()?,
                action: change.action(),
                users: change.users().iter().flatten().map(UserId).collect(),
                role: change.role(),
            };
            in_conversation(change.conversation(), request)
        }
        ClientBody::HistoryGet => {
            let history = frame.body_as_history_get().ok_or(Malformed)?;
            let request = ConversationRequest::History {
                request_id: history.request_id(),
                before: nonzero(history.before_seq()).map(Seq),
                after: Seq(history.after_seq()),
                limit: usize::from(history.limit().clamp(1, limits::HISTORY_LIMIT_MAX)),
                page,
            };
            in_conversation(history.conversation(), request)
        }
        ClientBody::MembersGet => {
            let members = frame.body_as_members_get().ok_or(Malformed)?;
            in_conversation(members.conversation(), ConversationRequest::Members { request_id: members.request_id() })
        }
        ClientBody::TypingStart => {
            let typing = frame.body_as_typing_start().ok_or(Malformed)?;
            in_conversation(typing.conversation(), ConversationRequest::Typing { active: true })
        }
        ClientBody::TypingStop => {
            let typing = frame.body_as_typing_stop().ok_or(Malformed)?;
            in_conversation(typing.conversation(), ConversationRequest::Typing { active: false })
        }
        _ => return decode_of_user(frame, session, page),
    })
}

fn decode_of_user(frame: &wire::ClientFrame<'_>, session: SessionRef, page: PageSlot) -> Result<ClientRequest, Code> {
    use Code::Malformed;
    Ok(match frame.body_type() {
        ClientBody::ChannelFollow => {
            let follow = frame.body_as_channel_follow().ok_or(Malformed)?;
            let mut channels: Vec<_> = follow.channels().iter().flatten().map(ConversationId::from).collect();
            if channels.len() > limits::CHANNELS_FOLLOWED_MAX {
                return Err(Code::TooLarge);
            }
            channels.sort_unstable();
            channels.dedup();
            ClientRequest::Follow { request_id: follow.request_id(), channels }
        }
        ClientBody::Ack => ClientRequest::Ack(UserSeq(frame.body_as_ack().ok_or(Malformed)?.user_seq())),
        ClientBody::MessageRead => {
            let read = frame.body_as_message_read().ok_or(Malformed)?;
            ClientRequest::Read { conversation: read.conversation().into(), up_to: Seq(read.up_to_seq()) }
        }
        ClientBody::SyncGet => {
            let sync = frame.body_as_sync_get().ok_or(Malformed)?;
            ClientRequest::Sync {
                request_id: sync.request_id(),
                after: UserSeq(sync.after_user_seq()),
                bytes_max: (sync.bytes_max() as usize).min(limits::PAGE_SIZE_MAX),
                page,
            }
        }
        ClientBody::UserLookup => {
            let lookup = frame.body_as_user_lookup().ok_or(Malformed)?;
            let handles: Vec<String> = lookup.handles().iter().flatten().map(ToString::to_string).collect();
            let ids: Vec<UserId> = lookup.ids().iter().flatten().map(UserId).collect();
            if handles.len() + ids.len() > limits::USER_LOOKUP_MAX {
                return Err(Code::TooLarge);
            }
            ClientRequest::Lookup { request_id: lookup.request_id(), realm: session.user.realm(), handles, ids }
        }
        ClientBody::DevicesGet => {
            ClientRequest::ListDevices { request_id: frame.body_as_devices_get().ok_or(Malformed)?.request_id() }
        }
        ClientBody::DeviceRevoke => {
            let revoke = frame.body_as_device_revoke().ok_or(Malformed)?;
            ClientRequest::Revoke {
                client_op_id: frame.client_op_id().ok_or(Malformed)?.into(),
                device: DeviceId(revoke.device_id()),
                generation: DeviceGeneration(revoke.device_generation()),
            }
        }
        _ => ClientRequest::Nothing,
    })
}

fn check_message(send: &wire::MessageSend<'_>, session: SessionRef) -> Result<(), Code> {
    let conversation = ConversationId::from(send.conversation());
    let direct_peer = nonzero(send.direct_peer()).map(UserId);
    if let Some(peer) = direct_peer
        && (peer == session.user
            || peer.realm() != session.user.realm()
            || ConversationId::direct(session.user, peer) != conversation)
    {
        return Err(Code::Malformed);
    }
    if ClientMsgId::from(send.client_msg_id()).is_uuid_v7() { Ok(()) } else { Err(Code::Malformed) }
}

/// Whether a client id is young enough to be found again, and not from the future.
pub(crate) fn check_age(client_id: ClientMsgId, wall: WallTime) -> Result<(), Code> {
    if client_id.minted_at() < wall.minus(limits::CLIENT_MSG_ID_AGE_MAX) {
        return Err(Code::ClientIdTooOld);
    }
    if client_id.minted_at() > wall.plus(limits::CLIENT_MSG_ID_AHEAD_MAX) {
        return Err(Code::ClientIdInFuture);
    }
    Ok(())
}
