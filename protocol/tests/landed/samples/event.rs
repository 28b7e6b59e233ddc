//! What happens, each as a Push of its own.

use protocol::encode::FrameBuilder;
use protocol::event::{Event, MemberChanged, Message, Receipt};
use protocol::ids::{DeviceId, Ordinal, Seq, UserSeq};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, Encryption, MembershipAction, Role};

use super::{Sample, client_id, direct, user};

/// Of each kind that there is, the name of its member and one.
pub(super) fn all() -> Vec<Sample> {
    let receipt = |up_to| Receipt { conversation: direct(), up_to: Seq(up_to), by: user(2) };
    let events = [
        ("MessageNew", message()),
        ("Echo", echo()),
        ("Void", Event::Void(Some((direct(), Seq(200))))),
        ("Delivered", Event::Delivered(receipt(201))),
        ("Read", Event::Read(receipt(202))),
        ("SyncRead", Event::SyncRead { conversation: direct(), up_to: Seq(203) }),
        ("MemberChanged", member_changed()),
    ];
    let push = |event: Event| FrameBuilder::default().push(UserSeq(204), &[event]).to_vec();
    events.map(|(member, event)| Sample { union: "EventBody", member, bytes: push(event) }).into()
}

/// For the pages.
pub(super) fn two_events() -> [Event; 2] {
    [message(), Event::Void(Some((direct(), Seq(219))))]
}

fn message() -> Event {
    Event::MessageNew(FrameBuilder::default().message(&Message {
        conversation: direct(),
        seq: Seq(210),
        ordinal: Ordinal(211),
        direct_peer: Some(user(1)),
        sender: user(2),
        sender_device: DeviceId(212),
        client_msg_id: client_id(213),
        server_time: WallTime(214),
        content_type: "text/plain".into(),
        encryption: Encryption::EndToEnd,
        body: b"hello".to_vec(),
        reply_to: Some(Seq(215)),
        mentions: vec![user(216), user(217)],
        expires_in_s: 218,
    }))
}

fn echo() -> Event {
    Event::Echo { client_msg_id: client_id(220), conversation: direct(), seq: Seq(221), server_time: WallTime(222) }
}

fn member_changed() -> Event {
    Event::MemberChanged(MemberChanged {
        conversation: direct(),
        seq: Seq(230),
        ordinal: Ordinal(231),
        action: MembershipAction::Added,
        actor: user(232),
        actor_device: DeviceId(233),
        users: vec![user(234), user(235)],
        role: Role::Member,
        kind: ConversationKind::Group,
        title: "hikers".into(),
        client_op_id: client_id(236),
        server_time: WallTime(237),
    })
}
