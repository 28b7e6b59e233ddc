//! The frames of a client.

use alloc::string::String;
use alloc::vec::Vec;

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use wire::{Capability, ClientBody, ConversationKind, MembershipAction, Role};

use super::action::{HistoryRange, RequestId};
use super::outgoing::Draft;
use crate::encode::{FrameBuilder, user_ids};
use crate::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserId, UserSeq};
use crate::limits::{PAGE_SIZE_MAX, VERSION_MAX, VERSION_MIN};
use crate::server::Hello;

type Body = (ClientBody, WIPOffset<UnionWIPOffset>);

/// A change of who is in a conversation that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDraft {
    /// Where.
    pub conversation: ConversationId,
    /// `Added`, `Removed`, `Left` or `RoleChanged`.
    pub action: MembershipAction,
    /// Whom it is to happen to; for `Left` oneself.
    pub users: Vec<UserId>,
    /// What they are to be.
    pub role: Role,
}

impl FrameBuilder {
    /// The first frame of a session. The token is looked at where the ticket is of no use.
    pub fn hello(&mut self, hello: &Hello, access_token: &str, resume_ticket: Option<&[u8]>) -> &[u8] {
        self.client(None, |fbb| {
            let resume_ticket = resume_ticket.map(|ticket| fbb.create_vector(ticket));
            let access_token = fbb.create_string(access_token);
            let device_name = fbb.create_string(&hello.device_name);
            let install_id = hello.install_id.map(wire::ClientMsgId::from);
            let args = wire::HelloArgs {
                version_min: VERSION_MIN,
                version_max: VERSION_MAX,
                access_token: Some(access_token),
                resume_ticket,
                device_id: hello.device.0,
                device_generation: hello.device_generation.0,
                install_id: install_id.as_ref(),
                device_name: Some(device_name),
                store_incarnation: hello.store_incarnation.0,
                user_epoch: hello.user_epoch.0,
                user_cursor: hello.user_cursor.0,
                capabilities: if hello.is_transient { Capability::Transient } else { Capability::empty() },
            };
            (ClientBody::Hello, wire::Hello::create(fbb, &args).as_union_value())
        })
    }

    /// The nth attempt, from 0, to send a message under this id.
    pub fn message_send(&mut self, client_msg_id: ClientMsgId, attempt: u16, draft: &Draft) -> &[u8] {
        self.client(None, |fbb| {
            let content_type = fbb.create_string(&draft.content_type);
            let body = fbb.create_vector(&draft.body);
            let mentions = (!draft.mentions.is_empty()).then(|| user_ids(fbb, &draft.mentions));
            let args = wire::MessageSendArgs {
                conversation: Some(&draft.conversation.into()),
                direct_peer: draft.direct_peer.map_or(0, |peer| peer.0),
                client_msg_id: Some(&client_msg_id.into()),
                attempt,
                content_type: Some(content_type),
                encryption: draft.encryption,
                body: Some(body),
                reply_to_seq: draft.reply_to.map_or(0, |seq| seq.0),
                mentions,
                expires_in_s: draft.expires_in_s,
            };
            (ClientBody::MessageSend, wire::MessageSend::create(fbb, &args).as_union_value())
        })
    }

    /// A new group of these users and oneself.
    pub fn conversation_create(
        &mut self,
        client_op_id: ClientMsgId,
        kind: ConversationKind,
        title: &str,
        members: &[UserId],
    ) -> &[u8] {
        self.client(Some(client_op_id), |fbb| {
            let title = fbb.create_string(title);
            let members = user_ids(fbb, members);
            let args = wire::ConversationCreateArgs { kind, title: Some(title), members: Some(members) };
            (ClientBody::ConversationCreate, wire::ConversationCreate::create(fbb, &args).as_union_value())
        })
    }

    /// Members come, go, or get another role.
    pub fn member_change(&mut self, client_op_id: ClientMsgId, draft: &MemberDraft) -> &[u8] {
        self.client(Some(client_op_id), |fbb| {
            let users = user_ids(fbb, &draft.users);
            let args = wire::MemberChangeArgs {
                conversation: Some(&draft.conversation.into()),
                action: draft.action,
                users: Some(users),
                role: draft.role,
            };
            (ClientBody::MemberChange, wire::MemberChange::create(fbb, &args).as_union_value())
        })
    }

    /// Everything up to here is on the device.
    pub fn ack(&mut self, user_seq: UserSeq) -> &[u8] {
        self.client(None, |fbb| {
            (ClientBody::Ack, wire::Ack::create(fbb, &wire::AckArgs { user_seq: user_seq.0 }).as_union_value())
        })
    }

    /// Everything up to here has been opened.
    pub fn message_read(&mut self, conversation: ConversationId, up_to: Seq) -> &[u8] {
        self.client(None, |fbb| {
            let args = wire::MessageReadArgs { conversation: Some(&conversation.into()), up_to_seq: up_to.0 };
            (ClientBody::MessageRead, wire::MessageRead::create(fbb, &args).as_union_value())
        })
    }

    /// Somebody has begun, or stopped, to type.
    pub fn typing(&mut self, conversation: ConversationId, active: bool) -> &[u8] {
        self.client(None, |fbb| {
            let conversation = Some(&conversation.into());
            if active {
                let start = wire::TypingStart::create(fbb, &wire::TypingStartArgs { conversation });
                (ClientBody::TypingStart, start.as_union_value())
            } else {
                let stop = wire::TypingStop::create(fbb, &wire::TypingStopArgs { conversation });
                (ClientBody::TypingStop, stop.as_union_value())
            }
        })
    }

    /// A page of the user's log.
    pub fn sync_get(&mut self, request_id: RequestId, after: UserSeq) -> &[u8] {
        self.client(None, |fbb| {
            let args = wire::SyncGetArgs {
                request_id: request_id.0,
                after_user_seq: after.0,
                bytes_max: PAGE_SIZE_MAX as u32,
            };
            (ClientBody::SyncGet, wire::SyncGet::create(fbb, &args).as_union_value())
        })
    }

    /// A page of a conversation.
    pub fn history_get(
        &mut self,
        request_id: RequestId,
        conversation: ConversationId,
        range: HistoryRange,
        limit: u16,
    ) -> &[u8] {
        self.client(None, |fbb| {
            let (before_seq, after_seq) = match range {
                HistoryRange::Newest => (u64::MAX, 0),
                HistoryRange::Before(seq) => (seq.0, 0),
                HistoryRange::After(seq) => (0, seq.0),
            };
            let args = wire::HistoryGetArgs {
                request_id: request_id.0,
                conversation: Some(&conversation.into()),
                before_seq,
                after_seq,
                limit,
            };
            (ClientBody::HistoryGet, wire::HistoryGet::create(fbb, &args).as_union_value())
        })
    }

    /// Who is in a conversation.
    pub fn members_get(&mut self, request_id: RequestId, conversation: ConversationId) -> &[u8] {
        self.client(None, |fbb| {
            let args = wire::MembersGetArgs { request_id: request_id.0, conversation: Some(&conversation.into()) };
            (ClientBody::MembersGet, wire::MembersGet::create(fbb, &args).as_union_value())
        })
    }

    /// Names to ids and ids to names.
    pub fn user_lookup(&mut self, request_id: RequestId, handles: &[String], ids: &[UserId]) -> &[u8] {
        self.client(None, |fbb| {
            let handles: Vec<_> = handles.iter().map(|handle| fbb.create_string(handle)).collect();
            let handles = fbb.create_vector(&handles);
            let ids = user_ids(fbb, ids);
            let args = wire::UserLookupArgs { request_id: request_id.0, handles: Some(handles), ids: Some(ids) };
            (ClientBody::UserLookup, wire::UserLookup::create(fbb, &args).as_union_value())
        })
    }

    /// Which devices there are.
    pub fn channel_follow(&mut self, request_id: RequestId, channels: &[ConversationId]) -> &[u8] {
        self.client(None, |fbb| {
            let channels =
                fbb.create_vector_from_iter(channels.iter().map(|channel| wire::ConversationId::from(*channel)));
            let args = wire::ChannelFollowArgs { request_id: request_id.0, channels: Some(channels) };
            (ClientBody::ChannelFollow, wire::ChannelFollow::create(fbb, &args).as_union_value())
        })
    }

    /// Which devices the user has.
    pub fn devices_get(&mut self, request_id: RequestId) -> &[u8] {
        self.client(None, |fbb| {
            let args = wire::DevicesGetArgs { request_id: request_id.0 };
            (ClientBody::DevicesGet, wire::DevicesGet::create(fbb, &args).as_union_value())
        })
    }

    /// A device is not to be served any more.
    pub fn device_revoke(
        &mut self,
        client_op_id: ClientMsgId,
        device: DeviceId,
        generation: DeviceGeneration,
    ) -> &[u8] {
        self.client(Some(client_op_id), |fbb| {
            let args = wire::DeviceRevokeArgs { device_id: device.0, device_generation: generation.0 };
            (ClientBody::DeviceRevoke, wire::DeviceRevoke::create(fbb, &args).as_union_value())
        })
    }

    /// A sign of life.
    pub fn ping(&mut self) -> &[u8] {
        self.client(None, |fbb: &mut FlatBufferBuilder<'static>| -> Body {
            (ClientBody::Ping, wire::Ping::create(fbb, &wire::PingArgs {}).as_union_value())
        })
    }
}
