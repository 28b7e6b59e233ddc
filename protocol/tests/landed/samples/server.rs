//! What a server sends, but for the single events.

use protocol::encode::{FrameBuilder, events};
use protocol::wire::{
    self, ChannelPushArgs, ConversationKind, ConversationSummaryArgs, DeviceArgs, DevicesPageArgs, Durability,
    EphemeralArgs, EphemeralBody, ErrorArgs, GoAwayArgs, HistoryPageArgs, MemberArgs, MembersPageArgs, MessageAckArgs,
    OpAckArgs, OpStatus, PongArgs, PullModeArgs, PushArgs, ResendArgs, Role, ServerBody, SnapshotArgs, SyncPageArgs,
    TypingArgs, UserArgs, UserPageArgs, WelcomeArgs,
};

use super::event::two_events;
use super::{Sample, client_id, direct, server_frame, user};

pub(super) fn all() -> Vec<Sample> {
    let mut all = vec![welcome(), message_ack(), op_ack(), error(), snapshot()];
    all.extend(pages_of_events());
    all.extend(pages_of_people());
    all.extend([
        server_frame!(Pong, fbb, PongArgs { user_head: 160, server_time_ms: 161 }),
        server_frame!(PullMode, fbb, PullModeArgs { user_head: 164 }),
        server_frame!(Resend, fbb, ResendArgs {}),
        server_frame!(GoAway, fbb, {
            let text = Some(fbb.create_string("maintenance"));
            GoAwayArgs { code: 3000, retry_after_min_ms: 162, retry_after_max_ms: 163, text }
        }),
    ]);
    // The same frame is that of its union, and of its only event so far.
    all.extend(["ServerBody", "EphemeralBody"].map(typing));
    all
}

fn welcome() -> Sample {
    server_frame!(Welcome, fbb, {
        WelcomeArgs {
            version: 1,
            session_id: 100,
            user_id: user(1).0,
            user_handle: Some(fbb.create_string("alice")),
            device_id: 101,
            device_generation: 102,
            heartbeat_interval_ms: 30_000,
            resumed: true,
            store_incarnation: 103,
            user_epoch: 104,
            user_head: 105,
            resume_ticket: Some(fbb.create_vector(&[106u8, 107])),
            server_time_ms: 1_764_000_000_108,
            durability: Durability::Fsync,
        }
    })
}

fn message_ack() -> Sample {
    server_frame!(MessageAck, fbb, {
        MessageAckArgs {
            client_msg_id: Some(&client_id(110).into()),
            conversation: Some(&direct().into()),
            seq: 111,
            server_time_ms: 112,
            durability: Durability::Quorum,
        }
    })
}

fn op_ack() -> Sample {
    server_frame!(OpAck, fbb, {
        OpAckArgs {
            client_op_id: Some(&client_id(113).into()),
            status: OpStatus::Done,
            code: 114,
            conversation: Some(&direct().into()),
            seq: 115,
            text: Some(fbb.create_string("done")),
        }
    })
}

fn error() -> Sample {
    server_frame!(Error, fbb, {
        ErrorArgs {
            code: 4000,
            temporary: true,
            retry_after_ms: 116,
            client_frame: 117,
            client_msg_id: Some(&client_id(118).into()),
            request_id: 119,
            text: Some(fbb.create_string("later")),
        }
    })
}

fn snapshot() -> Sample {
    server_frame!(Snapshot, fbb, {
        let title = fbb.create_string("hikers");
        let summary = ConversationSummaryArgs {
            conversation: Some(&direct().into()),
            kind: ConversationKind::Group,
            direct_peer: user(2).0,
            title: Some(title),
            head_seq: 120,
            head_ordinal: 121,
            read_seq: 122,
            read_ordinal: 123,
        };
        let summary = wire::ConversationSummary::create(fbb, &summary);
        let conversations = Some(fbb.create_vector(&[summary]));
        SnapshotArgs { user_seq: 124, user_epoch: 125, conversations, has_more: true }
    })
}

fn pages_of_events() -> [Sample; 4] {
    [
        server_frame!(Push, fbb, {
            let events = Some(events(fbb, &two_events()));
            PushArgs { first_user_seq: 130, events }
        }),
        server_frame!(ChannelPush, fbb, {
            let events = Some(events(fbb, &two_events()));
            ChannelPushArgs { conversation: Some(&direct().into()), head_seq: 136, events }
        }),
        server_frame!(SyncPage, fbb, {
            let events = Some(events(fbb, &two_events()));
            SyncPageArgs { request_id: 131, first_user_seq: 132, events, has_more: true, user_head: 133 }
        }),
        server_frame!(HistoryPage, fbb, {
            let entries = Some(events(fbb, &two_events()));
            HistoryPageArgs {
                request_id: 134,
                conversation: Some(&direct().into()),
                kind: ConversationKind::Channel,
                entries,
                head_seq: 135,
                has_more: true,
            }
        }),
    ]
}

fn pages_of_people() -> [Sample; 3] {
    [
        server_frame!(MembersPage, fbb, {
            let title = fbb.create_string("hikers");
            let member = MemberArgs { user: user(3).0, role: Role::Owner, join_seq: 140 };
            let member = wire::Member::create(fbb, &member);
            MembersPageArgs {
                request_id: 141,
                conversation: Some(&direct().into()),
                kind: ConversationKind::Direct,
                title: Some(title),
                head_seq: 142,
                members: Some(fbb.create_vector(&[member])),
            }
        }),
        server_frame!(UserPage, fbb, {
            let handle = fbb.create_string("bob");
            let bob = wire::User::create(fbb, &UserArgs { id: user(2).0, handle: Some(handle) });
            UserPageArgs { request_id: 143, users: Some(fbb.create_vector(&[bob])) }
        }),
        server_frame!(DevicesPage, fbb, {
            let name = fbb.create_string("pocket");
            let device = DeviceArgs {
                id: 144,
                generation: 145,
                revoked: true,
                name: Some(name),
                registered_at_ms: 146,
                last_seen_ms: 147,
                online: true,
            };
            let device = wire::Device::create(fbb, &device);
            DevicesPageArgs { request_id: 148, devices: Some(fbb.create_vector(&[device])) }
        }),
    ]
}

fn typing(union: &'static str) -> Sample {
    let frame = FrameBuilder::default()
        .server(|fbb| {
            let args = TypingArgs { conversation: Some(&direct().into()), user: user(2).0, active: true };
            let typing = wire::Typing::create(fbb, &args).as_union_value();
            let args = EphemeralArgs { body_type: EphemeralBody::Typing, body: Some(typing) };
            (ServerBody::Ephemeral, wire::Ephemeral::create(fbb, &args).as_union_value())
        })
        .to_vec();
    let member = if union == "ServerBody" { "Ephemeral" } else { "Typing" };
    Sample { union, member, bytes: frame }
}
