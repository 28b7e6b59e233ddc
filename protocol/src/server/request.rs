//! The frames of a live session: their limits, field by field.
//!
//! Only what can be said without knowing who is in which conversation.

use core::time::Duration;

use wire::{ClientBody, ClientFrame, ConversationKind, MembershipAction};

use super::{ServerSession, Step};
use crate::codes::Code;
use crate::encode::Refusal;
use crate::ids::ClientMsgId;
use crate::limits::{
    BODY_SIZE_MAX, CHANNELS_FOLLOWED_MAX, CLIENT_MSG_ID_AGE_MAX, CLIENT_MSG_ID_AHEAD_MAX, CONTENT_TYPE_SIZE_MAX,
    GROUP_MEMBERS_MAX, HANDLE_SIZE_MAX, HISTORY_LIMIT_MAX, MENTIONS_MAX, MESSAGE_FIELDS_SIZE_MAX, TITLE_SIZE_MAX,
    USER_LOOKUP_MAX,
};
use crate::time::{Now, WallTime};

/// TypingStart and TypingStop a session may send at once: several conversations in a hurry.
pub const TYPING_BURST: u32 = 20;
/// One more every so often; a person stops and starts more slowly.
pub const TYPING_INTERVAL: Duration = Duration::from_millis(500);
/// UserLookups and ChannelFollows a session may send at once: an address book of 640 names.
pub const LOOKUP_BURST: u32 = 10;
/// One more every so often, so that nobody lists the names of a realm.
pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

/// The fields of a message that are not bounded by their own limits: ids, numbers, offsets, tables of FlatBuffers.
const FIXED_FIELDS_SIZE_MAX: usize = 512;
// The limits of the single fields keep the limit of all of them together.
const _: () = assert!(CONTENT_TYPE_SIZE_MAX + 8 * MENTIONS_MAX + FIXED_FIELDS_SIZE_MAX <= MESSAGE_FIELDS_SIZE_MAX);

/// How a refused frame is named to its sender.
#[derive(Clone, Copy, Default)]
struct Name {
    client_msg_id: Option<ClientMsgId>,
    client_op_id: Option<ClientMsgId>,
    request_id: u32,
}

impl ServerSession {
    pub(super) fn handle_request<'a>(&mut self, now: Now, frame: ClientFrame<'a>, router_can_take: bool) -> Step<'a> {
        let client_op_id = frame.client_op_id().map(ClientMsgId::from);
        match frame.body_type() {
            ClientBody::Hello => return Step::Close(Code::HelloExpected),
            ClientBody::Ping => return Step::Pong,
            known if is_known(known) => {}
            _ => {
                return client_op_id
                    .map_or(Step::Skip, |id| Step::RefuseOp { client_op_id: id, code: Code::Unsupported });
            }
        }
        let name = name_of(frame, client_op_id);
        let refuse = |code, retry_after: Duration| match name.client_op_id {
            Some(client_op_id) => Step::RefuseOp { client_op_id, code },
            None => Step::Refuse(Refusal {
                code,
                retry_after_ms: retry_after.as_millis().try_into().unwrap_or(u32::MAX),
                client_frame: frame.body_type(),
                client_msg_id: name.client_msg_id,
                request_id: name.request_id,
            }),
        };
        if let Err(code) = check(frame, now.wall, client_op_id, self.is_transient) {
            return refuse(code, Duration::ZERO);
        }
        if !router_can_take {
            return Step::Wait;
        }
        match self.take_token(now, frame.body_type()) {
            Ok(()) => frame.body_as_channel_follow().map_or(Step::Forward, |follow| Step::Follow(follow.request_id())),
            Err(retry_after) => refuse(Code::RateLimited, retry_after),
        }
    }

    fn take_token(&mut self, now: Now, body: ClientBody) -> Result<(), Duration> {
        match body {
            ClientBody::TypingStart | ClientBody::TypingStop => {
                self.typing.take(now.monotonic, TYPING_BURST, TYPING_INTERVAL)
            }
            // Each may cost the router reads of its store.
            ClientBody::UserLookup | ClientBody::ChannelFollow => {
                self.lookups.take(now.monotonic, LOOKUP_BURST, LOOKUP_INTERVAL)
            }
            _ => Ok(()),
        }
    }
}

fn is_known(body: ClientBody) -> bool {
    body != ClientBody::NONE && body.variant_name().is_some()
}

/// Only operations are answered by OpAck, whatever else carries a client_op_id.
fn name_of(frame: ClientFrame<'_>, client_op_id: Option<ClientMsgId>) -> Name {
    let none = Name::default();
    match frame.body_type() {
        ClientBody::MessageSend => {
            Name { client_msg_id: frame.body_as_message_send().map(|send| send.client_msg_id().into()), ..none }
        }
        ClientBody::ConversationCreate | ClientBody::MemberChange | ClientBody::DeviceRevoke => {
            Name { client_op_id, ..none }
        }
        ClientBody::SyncGet => request(frame.body_as_sync_get().map(|get| get.request_id())),
        ClientBody::HistoryGet => request(frame.body_as_history_get().map(|get| get.request_id())),
        ClientBody::MembersGet => request(frame.body_as_members_get().map(|get| get.request_id())),
        ClientBody::UserLookup => request(frame.body_as_user_lookup().map(|lookup| lookup.request_id())),
        ClientBody::DevicesGet => request(frame.body_as_devices_get().map(|get| get.request_id())),
        ClientBody::ChannelFollow => request(frame.body_as_channel_follow().map(|follow| follow.request_id())),
        _ => none,
    }
}

fn request(request_id: Option<u32>) -> Name {
    Name { request_id: request_id.unwrap_or_default(), ..Name::default() }
}

fn check(
    frame: ClientFrame<'_>,
    wall: WallTime,
    client_op_id: Option<ClientMsgId>,
    is_transient: bool,
) -> Result<(), Code> {
    match frame.body_type() {
        ClientBody::MessageSend => check_send(frame.body_as_message_send().ok_or(Code::Malformed)?, wall),
        ClientBody::ConversationCreate => {
            check_client_id(client_op_id.ok_or(Code::Malformed)?, wall)?;
            check_create(frame.body_as_conversation_create().ok_or(Code::Malformed)?)
        }
        ClientBody::MemberChange => {
            check_client_id(client_op_id.ok_or(Code::Malformed)?, wall)?;
            check_change(frame.body_as_member_change().ok_or(Code::Malformed)?)
        }
        ClientBody::DeviceRevoke => {
            check_client_id(client_op_id.ok_or(Code::Malformed)?, wall)?;
            let revoke = frame.body_as_device_revoke().ok_or(Code::Malformed)?;
            only_if(revoke.device_id() != 0 && revoke.device_generation() != 0)
        }
        ClientBody::Ack | ClientBody::MessageRead | ClientBody::SyncGet if is_transient => Err(Code::NotForTransient),
        ClientBody::HistoryGet => check_history(frame.body_as_history_get().ok_or(Code::Malformed)?),
        ClientBody::UserLookup => check_lookup(frame.body_as_user_lookup().ok_or(Code::Malformed)?),
        ClientBody::ChannelFollow => {
            let follow = frame.body_as_channel_follow().ok_or(Code::Malformed)?;
            at_most(follow.channels().map_or(0, |channels| channels.len()), CHANNELS_FOLLOWED_MAX)
        }
        _ => Ok(()),
    }
}

fn check_send(send: wire::MessageSend<'_>, wall: WallTime) -> Result<(), Code> {
    check_client_id(send.client_msg_id().into(), wall)?;
    at_most(send.body().map_or(0, |body| body.len()), BODY_SIZE_MAX)?;
    at_most(send.content_type().map_or(0, str::len), CONTENT_TYPE_SIZE_MAX)?;
    at_most(send.mentions().map_or(0, |mentions| mentions.len()), MENTIONS_MAX)?;
    only_if(send.encryption().variant_name().is_some())
}

fn check_client_id(id: ClientMsgId, wall: WallTime) -> Result<(), Code> {
    only_if(id.is_uuid_v7())?;
    if id.minted_at() < wall.minus(CLIENT_MSG_ID_AGE_MAX) {
        return Err(Code::ClientIdTooOld);
    }
    if id.minted_at() > wall.plus(CLIENT_MSG_ID_AHEAD_MAX) {
        return Err(Code::ClientIdInFuture);
    }
    Ok(())
}

fn check_create(create: wire::ConversationCreate<'_>) -> Result<(), Code> {
    at_most(create.title().map_or(0, str::len), TITLE_SIZE_MAX)?;
    at_most(create.members().map_or(0, |members| members.len()), GROUP_MEMBERS_MAX)?;
    only_if(matches!(create.kind(), ConversationKind::Group | ConversationKind::Channel))
}

fn check_change(change: wire::MemberChange<'_>) -> Result<(), Code> {
    use MembershipAction as Action;
    at_most(change.users().map_or(0, |users| users.len()), GROUP_MEMBERS_MAX)?;
    only_if(change.role().variant_name().is_some())?;
    only_if(matches!(change.action(), Action::Added | Action::Removed | Action::Left | Action::RoleChanged))
}

fn check_history(get: wire::HistoryGet<'_>) -> Result<(), Code> {
    at_most(usize::from(get.limit()), usize::from(HISTORY_LIMIT_MAX))?;
    only_if(get.limit() > 0 && (get.before_seq() == 0 || get.after_seq() == 0))
}

fn check_lookup(lookup: wire::UserLookup<'_>) -> Result<(), Code> {
    let handles_count = lookup.handles().map_or(0, |handles| handles.len());
    let ids_count = lookup.ids().map_or(0, |ids| ids.len());
    at_most(handles_count + ids_count, USER_LOOKUP_MAX)?;
    lookup.handles().iter().flatten().try_for_each(|handle| at_most(handle.len(), HANDLE_SIZE_MAX))
}

fn at_most(value: usize, value_max: usize) -> Result<(), Code> {
    if value > value_max { Err(Code::TooLarge) } else { Ok(()) }
}

fn only_if(is_allowed: bool) -> Result<(), Code> {
    if is_allowed { Ok(()) } else { Err(Code::Malformed) }
}
