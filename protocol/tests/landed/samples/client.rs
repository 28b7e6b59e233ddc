//! What a client sends.

use protocol::wire::{
    self, AckArgs, Capability, ChannelFollowArgs, ConversationCreateArgs, ConversationKind, DeviceRevokeArgs,
    DevicesGetArgs, Encryption, HelloArgs, HistoryGetArgs, MemberChangeArgs, MembersGetArgs, MembershipAction,
    MessageReadArgs, MessageSendArgs, PingArgs, Role, SyncGetArgs, TypingStartArgs, TypingStopArgs, UserLookupArgs,
};

use super::{Sample, client_frame, client_id, direct, user};

pub(super) fn all() -> Vec<Sample> {
    let mut all = vec![hello(), message_send(), conversation_create(), member_change()];
    all.extend(cursors());
    all.extend(questions());
    all
}

fn hello() -> Sample {
    client_frame!(None, Hello, fbb, {
        HelloArgs {
            version_min: 1,
            version_max: 2,
            access_token: Some(fbb.create_string("alice")),
            resume_ticket: Some(fbb.create_vector(&[3u8, 4, 5])),
            device_id: 6,
            device_generation: 7,
            install_id: Some(&client_id(8).into()),
            device_name: Some(fbb.create_string("pocket")),
            store_incarnation: 9,
            user_epoch: 10,
            user_cursor: 11,
            capabilities: Capability::CanRedirect,
        }
    })
}

fn message_send() -> Sample {
    client_frame!(None, MessageSend, fbb, {
        MessageSendArgs {
            conversation: Some(&direct().into()),
            direct_peer: user(2).0,
            client_msg_id: Some(&client_id(20).into()),
            attempt: 21,
            content_type: Some(fbb.create_string("text/plain")),
            encryption: Encryption::EndToEnd,
            body: Some(fbb.create_vector(b"hello")),
            reply_to_seq: 22,
            mentions: Some(fbb.create_vector(&[23u64, 24])),
            expires_in_s: 25,
        }
    })
}

fn conversation_create() -> Sample {
    client_frame!(Some(client_id(30)), ConversationCreate, fbb, {
        ConversationCreateArgs {
            kind: ConversationKind::Group,
            title: Some(fbb.create_string("hikers")),
            members: Some(fbb.create_vector(&[user(2).0, user(3).0])),
        }
    })
}

fn member_change() -> Sample {
    client_frame!(Some(client_id(40)), MemberChange, fbb, {
        MemberChangeArgs {
            conversation: Some(&direct().into()),
            action: MembershipAction::RoleChanged,
            users: Some(fbb.create_vector(&[user(2).0])),
            role: Role::Admin,
        }
    })
}

fn cursors() -> [Sample; 5] {
    [
        client_frame!(None, Ack, fbb, AckArgs { user_seq: 50 }),
        client_frame!(None, MessageRead, fbb, {
            MessageReadArgs { conversation: Some(&direct().into()), up_to_seq: 51 }
        }),
        client_frame!(None, TypingStart, fbb, TypingStartArgs { conversation: Some(&direct().into()) }),
        client_frame!(None, TypingStop, fbb, TypingStopArgs { conversation: Some(&direct().into()) }),
        client_frame!(None, SyncGet, fbb, SyncGetArgs { request_id: 52, after_user_seq: 53, bytes_max: 54 }),
    ]
}

fn questions() -> [Sample; 7] {
    [
        // Of the two seqs a server takes one at a time.
        client_frame!(None, HistoryGet, fbb, {
            HistoryGetArgs {
                request_id: 60,
                conversation: Some(&direct().into()),
                before_seq: 61,
                after_seq: 62,
                limit: 63,
            }
        }),
        client_frame!(None, MembersGet, fbb, {
            MembersGetArgs { request_id: 64, conversation: Some(&direct().into()) }
        }),
        client_frame!(None, UserLookup, fbb, {
            let handles = [fbb.create_string("bob"), fbb.create_string("carol")];
            UserLookupArgs {
                request_id: 65,
                handles: Some(fbb.create_vector(&handles)),
                ids: Some(fbb.create_vector(&[user(1).0])),
            }
        }),
        client_frame!(None, DevicesGet, fbb, DevicesGetArgs { request_id: 66 }),
        client_frame!(Some(client_id(67)), DeviceRevoke, fbb, {
            DeviceRevokeArgs { device_id: 68, device_generation: 69 }
        }),
        client_frame!(None, ChannelFollow, fbb, {
            let channels = Some(fbb.create_vector::<wire::ConversationId>(&[direct().into()]));
            ChannelFollowArgs { request_id: 70, channels }
        }),
        client_frame!(None, Ping, fbb, PingArgs {}),
    ]
}
