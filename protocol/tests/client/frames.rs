//! The frames of a server that have no builder of their own in the crate.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use protocol::encode::{FrameBuilder, events};
use protocol::event::{Event, Message, MessageBytes};
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, MessageId, Ordinal, Seq, SessionId, StoreIncarnation,
    UserEpoch, UserId, UserSeq,
};
use protocol::server::Welcome;
use protocol::time::WallTime;
use protocol::wire::{self, ConversationKind, Durability, Encryption, OpStatus, ServerBody};

pub(crate) const ALICE: UserId = UserId(1);
pub(crate) const BOB: UserId = UserId(2);
pub(crate) const DEVICE: DeviceId = DeviceId(77);
pub(crate) const HEARTBEAT_MS: u32 = 30_000;

pub(crate) fn conversation() -> ConversationId {
    ConversationId::direct(ALICE, BOB)
}

/// That of a server in its first life.
pub(crate) fn usual_welcome(server_time: WallTime) -> Welcome<'static> {
    Welcome {
        version: 1,
        session: SessionId(5),
        user: ALICE,
        user_handle: "alice",
        device: DEVICE,
        device_generation: DeviceGeneration(1),
        heartbeat_interval_ms: HEARTBEAT_MS,
        resumed: true,
        store_incarnation: StoreIncarnation(11),
        user_epoch: UserEpoch(3),
        user_head: UserSeq(0),
        resume_ticket: None,
        server_time,
        durability: Durability::Fsync,
    }
}

pub(crate) fn message_ack(id: ClientMsgId, seq: Seq) -> Vec<u8> {
    let args = wire::MessageAckArgs {
        client_msg_id: Some(&id.into()),
        conversation: Some(&conversation().into()),
        seq: seq.0,
        server_time_ms: 5,
        durability: Durability::Fsync,
    };
    server(|fbb| (ServerBody::MessageAck, wire::MessageAck::create(fbb, &args).as_union_value()))
}

pub(crate) fn op_done(id: ClientMsgId, place: Option<MessageId>) -> Vec<u8> {
    let conversation = place.map(|place| place.conversation.into());
    let args = wire::OpAckArgs {
        client_op_id: Some(&id.into()),
        status: OpStatus::Done,
        code: 0,
        conversation: conversation.as_ref(),
        seq: place.map_or(0, |place| place.seq.0),
        text: None,
    };
    server(|fbb| (ServerBody::OpAck, wire::OpAck::create(fbb, &args).as_union_value()))
}

pub(crate) fn sync_page(request_id: u32, first: UserSeq, page: &[Event], user_head: UserSeq) -> Vec<u8> {
    server(|fbb| {
        let events = events(fbb, page);
        let args = wire::SyncPageArgs {
            request_id,
            first_user_seq: first.0,
            events: Some(events),
            has_more: first.0 + page.len() as u64 <= user_head.0,
            user_head: user_head.0,
        };
        (ServerBody::SyncPage, wire::SyncPage::create(fbb, &args).as_union_value())
    })
}

pub(crate) fn pull_mode(user_head: UserSeq) -> Vec<u8> {
    let args = wire::PullModeArgs { user_head: user_head.0 };
    server(|fbb| (ServerBody::PullMode, wire::PullMode::create(fbb, &args).as_union_value()))
}

pub(crate) fn snapshot(user_seq: UserSeq, user_epoch: UserEpoch) -> Vec<u8> {
    let args =
        wire::SnapshotArgs { user_seq: user_seq.0, user_epoch: user_epoch.0, conversations: None, has_more: false };
    server(|fbb| (ServerBody::Snapshot, wire::Snapshot::create(fbb, &args).as_union_value()))
}

pub(crate) fn history_page(request_id: u32, entries: &[Event]) -> Vec<u8> {
    server(|fbb| {
        let entries = events(fbb, entries);
        let args = wire::HistoryPageArgs {
            request_id,
            conversation: Some(&conversation().into()),
            kind: ConversationKind::Direct,
            entries: Some(entries),
            head_seq: 9,
            has_more: true,
        };
        (ServerBody::HistoryPage, wire::HistoryPage::create(fbb, &args).as_union_value())
    })
}

/// What Bob says.
pub(crate) fn message(seq: Seq) -> Event {
    Event::MessageNew(message_bytes(seq))
}

fn message_bytes(seq: Seq) -> MessageBytes {
    FrameBuilder::default().message(&Message {
        conversation: conversation(),
        seq,
        ordinal: Ordinal(seq.0),
        direct_peer: Some(ALICE),
        sender: BOB,
        sender_device: DeviceId(1),
        client_msg_id: ClientMsgId::new(WallTime(seq.0), 1),
        server_time: WallTime(7),
        content_type: "text/plain".into(),
        encryption: Encryption::None,
        body: seq.0.to_le_bytes().into(),
        reply_to: None,
        mentions: Vec::new(),
        expires_in_s: 0,
    })
}

type Body = (ServerBody, WIPOffset<UnionWIPOffset>);

fn server(body: impl FnOnce(&mut FlatBufferBuilder<'static>) -> Body) -> Vec<u8> {
    FrameBuilder::default().server(body).to_vec()
}
