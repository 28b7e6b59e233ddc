//! The largest of everything: whatever is allowed fits every frame, page and batch that carries it, and verifies there; a
//! byte more gets its code.

use protocol::client::{Draft, HistoryRange, MemberDraft, RequestId};
use protocol::codes::Code;
use protocol::encode::{FrameBuilder, event_size_max, events};
use protocol::event::{Event, MemberChanged, Message, MessageBytes, Receipt};
use protocol::frame;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Ordinal, Seq, SessionId, StoreIncarnation, UserEpoch,
    UserId, UserSeq,
};
use protocol::limits::{
    BODY_SIZE_MAX, CHANNELS_FOLLOWED_MAX, CONTENT_TYPE_SIZE_MAX, DEVICE_NAME_SIZE_MAX, DEVICES_PAGE_MAX,
    FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX, GROUP_MEMBERS_MAX, HANDLE_SIZE_MAX, HISTORY_LIMIT_MAX,
    MENTIONS_MAX, MESSAGE_FIELDS_SIZE_MAX, MESSAGE_SIZE_MAX, PAGE_SIZE_MAX, RESUME_TICKET_SIZE_MAX, TITLE_SIZE_MAX,
    USER_LOOKUP_MAX,
};
use protocol::link::{
    BATCH_MESSAGES_MAX, BATCH_SIZE_MAX, BATCH_SIZE_TARGET, ConnectionKey, FANOUT_TARGETS_MAX, GatewayMessage, LinkEnd,
    RouterMessage,
};
use protocol::server::{Hello, ServerSession, Step, Welcome};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::{self, ConversationKind, Durability, Encryption, MembershipAction, Role, ServerBody};

const NOW: Now = Now { monotonic: Instant(1_000_000_000_000), wall: WallTime(1_764_000_000_000) };
const CONVERSATION: ConversationId = ConversationId([0xff; 16]);
const USER: UserId = UserId(u64::MAX);
/// Conversations in a Snapshot: what the router sends at most.
const SNAPSHOT_CONVERSATIONS_MAX: usize = 100;

fn id(number: u128) -> ClientMsgId {
    ClientMsgId::new(NOW.wall, number)
}

fn draft() -> Draft {
    Draft {
        conversation: CONVERSATION,
        direct_peer: Some(USER),
        client_msg_id: None,
        content_type: "c".repeat(CONTENT_TYPE_SIZE_MAX),
        encryption: Encryption::EndToEnd,
        body: vec![0xff; BODY_SIZE_MAX],
        reply_to: Some(Seq(u64::MAX)),
        mentions: vec![USER; MENTIONS_MAX],
        expires_in_s: u32::MAX,
    }
}

fn message() -> MessageBytes {
    let draft = draft();
    FrameBuilder::default().message(&Message {
        conversation: draft.conversation,
        seq: Seq(u64::MAX),
        ordinal: Ordinal(u64::MAX),
        direct_peer: draft.direct_peer,
        sender: USER,
        sender_device: DeviceId(u64::MAX),
        client_msg_id: id(1),
        server_time: WallTime(u64::MAX),
        content_type: draft.content_type,
        encryption: draft.encryption,
        body: draft.body,
        reply_to: draft.reply_to,
        mentions: draft.mentions,
        expires_in_s: draft.expires_in_s,
    })
}

fn member_changed() -> Event {
    Event::MemberChanged(MemberChanged {
        conversation: CONVERSATION,
        seq: Seq(u64::MAX),
        ordinal: Ordinal(u64::MAX),
        action: MembershipAction::Created,
        actor: USER,
        actor_device: DeviceId(u64::MAX),
        users: vec![USER; GROUP_MEMBERS_MAX],
        role: Role::Owner,
        kind: ConversationKind::Group,
        title: "t".repeat(TITLE_SIZE_MAX),
        client_op_id: id(1),
        server_time: WallTime(u64::MAX),
    })
}

fn every_event() -> Vec<Event> {
    let receipt = Receipt { conversation: CONVERSATION, up_to: Seq(u64::MAX), by: USER };
    vec![
        Event::MessageNew(message()),
        Event::Echo { client_msg_id: id(1), conversation: CONVERSATION, seq: Seq(u64::MAX), server_time: NOW.wall },
        Event::Void(Some((CONVERSATION, Seq(u64::MAX)))),
        Event::Delivered(receipt),
        Event::Read(receipt),
        Event::SyncRead { conversation: CONVERSATION, up_to: Seq(u64::MAX) },
        member_changed(),
    ]
}

/// A session that serves.
fn live() -> ServerSession {
    let mut session = ServerSession::new(NOW.monotonic);
    let hello = hello("pocket");
    let hello = FrameBuilder::default().hello(&hello, "token", None).to_vec();
    assert!(matches!(session.handle_frame(NOW, &hello, true), Step::Authenticate { .. }));
    session.handle_authenticated();
    session.handle_opened();
    session
}

fn hello(device_name: &str) -> Hello {
    Hello {
        is_transient: false,
        device: DeviceId(u64::MAX),
        device_generation: DeviceGeneration(u32::MAX),
        install_id: Some(id(2)),
        device_name: device_name.into(),
        store_incarnation: StoreIncarnation(u64::MAX),
        user_epoch: UserEpoch(u64::MAX),
        user_cursor: UserSeq(u64::MAX),
    }
}

/// What a server says to a frame: `None`, it goes to the router.
#[track_caller]
fn verdict(bytes: &[u8]) -> Option<Code> {
    match live().handle_frame(NOW, bytes, true) {
        Step::Forward | Step::Follow(_) => None,
        Step::Refuse(refusal) => Some(refusal.code),
        Step::RefuseOp { code, .. } | Step::Close(code) => Some(code),
        step => panic!("{step:?}"),
    }
}

/// A server may send it and a client can read it.
#[track_caller]
fn fits(bytes: &[u8]) {
    assert!(bytes.len() <= FRAME_SIZE_MAX, "{} bytes", bytes.len());
    frame::server_frame(bytes).expect("a client reads it");
}

fn history_page(entries: &[Event]) -> Vec<u8> {
    let page = |fbb: &mut flatbuffers::FlatBufferBuilder<'static>| {
        let entries = events(fbb, entries);
        let args = wire::HistoryPageArgs {
            request_id: u32::MAX,
            conversation: Some(&CONVERSATION.into()),
            kind: ConversationKind::Group,
            entries: Some(entries),
            head_seq: u64::MAX,
            has_more: true,
        };
        (ServerBody::HistoryPage, wire::HistoryPage::create(fbb, &args).as_union_value())
    };
    FrameBuilder::default().server(page).to_vec()
}

fn sync_page(page: &[Event]) -> Vec<u8> {
    let page = |fbb: &mut flatbuffers::FlatBufferBuilder<'static>| {
        let events = events(fbb, page);
        let args = wire::SyncPageArgs {
            request_id: u32::MAX,
            first_user_seq: u64::MAX,
            events: Some(events),
            has_more: true,
            user_head: u64::MAX,
        };
        (ServerBody::SyncPage, wire::SyncPage::create(fbb, &args).as_union_value())
    };
    FrameBuilder::default().server(page).to_vec()
}

/// As many of it as a page takes.
fn full_page(event: &Event) -> Vec<Event> {
    let count = (PAGE_SIZE_MAX / event_size_max(event)).clamp(1, usize::from(HISTORY_LIMIT_MAX));
    vec![event.clone(); count]
}

#[test]
fn the_largest_message_is_taken_and_one_more_of_anything_is_not() {
    let builder = &mut FrameBuilder::default();
    assert_eq!(verdict(builder.message_send(id(1), u16::MAX, &draft())), None);
    for over in [
        Draft { body: vec![0; BODY_SIZE_MAX + 1], ..draft() },
        Draft { content_type: "c".repeat(CONTENT_TYPE_SIZE_MAX + 1), ..draft() },
        Draft { mentions: vec![USER; MENTIONS_MAX + 1], ..draft() },
    ] {
        assert_eq!(verdict(builder.message_send(id(1), 0, &over)), Some(Code::TooLarge));
    }
    assert_eq!(verdict(&[0; FRAME_SIZE_MAX + 1]), Some(Code::FrameTooLarge));
}

#[test]
fn the_largest_message_keeps_its_limits_as_a_nested_buffer() {
    let message = message();
    let size = message.as_bytes().len();
    assert!(size <= MESSAGE_SIZE_MAX, "{size}");
    assert!(size - BODY_SIZE_MAX <= MESSAGE_FIELDS_SIZE_MAX, "{}", size - BODY_SIZE_MAX);
    assert_eq!(message.view().body().map(|body| body.len()), Some(BODY_SIZE_MAX));
}

#[test]
fn the_largest_of_every_event_fits_push_and_pages_and_is_no_larger_than_was_reckoned() {
    for event in every_event() {
        let one = [event.clone()];
        fits(FrameBuilder::default().push(UserSeq(u64::MAX), &one));
        fits(FrameBuilder::default().channel_push(CONVERSATION, Seq(u64::MAX), Some(&event)));
        fits(&sync_page(&one));
        fits(&history_page(&one));
        let page = full_page(&event);
        let reckoned = page.len() * event_size_max(&event);
        for (frame, empty) in [(sync_page(&page), sync_page(&[])), (history_page(&page), history_page(&[]))] {
            fits(&frame);
            assert!(frame.len() - empty.len() <= reckoned, "{event:?}: {} over {reckoned}", frame.len() - empty.len());
        }
    }
}

#[test]
fn the_largest_message_fits_the_batches_of_a_link_whatever_was_there_before() {
    let request = FrameBuilder::default().message_send(id(1), u16::MAX, &draft()).to_vec();
    let push = FrameBuilder::default().push(UserSeq(u64::MAX), &[Event::MessageNew(message())]).to_vec();
    let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
    let fill = vec![0; FRAME_SIZE_MAX];
    let connection = ConnectionKey(u64::MAX);
    for _ in 0..BATCH_SIZE_TARGET / (FRAME_SIZE_MAX + 128) {
        gateway.send_to_router(&GatewayMessage::ClientRequest { connection, frame: &fill }).expect("credit");
    }
    gateway.send_to_router(&GatewayMessage::ClientRequest { connection, frame: &request }).expect("credit");
    let mut received = Vec::new();
    while let Some(batch) = gateway.poll_batch() {
        assert!(batch.len() <= BATCH_SIZE_MAX);
        let taken = router.handle_batch_of_gateway(&batch, |_, message| {
            let GatewayMessage::ClientRequest { frame, .. } = message else { panic!("only requests were sent") };
            received.push(frame.to_vec());
        });
        assert_eq!(taken, Ok(()));
    }
    assert_eq!(received.last(), Some(&request));

    let targets = vec![(connection, UserSeq(u64::MAX)); FANOUT_TARGETS_MAX];
    for _ in 0..BATCH_SIZE_TARGET / (FRAME_SIZE_MAX + 128) {
        let deliver = RouterMessage::Deliver { connection, user_seq_last: UserSeq(u64::MAX), frame: &fill };
        router.send_to_gateway(&deliver).expect("credit");
    }
    router.send_fanout(&targets, 8, &push).expect("credit");
    let (mut fanouts, mut targets_count) = (0, 0);
    while let Some(batch) = router.poll_batch() {
        let taken = gateway.handle_batch_of_router(&batch, |_, message| {
            if let RouterMessage::Fanout(fanout) = message {
                assert_eq!(fanout.frame, push);
                (fanouts, targets_count) = (fanouts + 1, targets_count + fanout.targets.iter().count());
            }
        });
        assert_eq!(taken, Ok(()));
    }
    assert_eq!((fanouts, targets_count), (1, FANOUT_TARGETS_MAX));
}

#[test]
fn a_batch_of_as_many_messages_as_there_may_be_is_read() {
    let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
    let mut received = 0;
    for connection in 0..2 * BATCH_MESSAGES_MAX as u64 {
        gateway.send_to_router(&GatewayMessage::SessionClose(ConnectionKey(connection))).expect("it is free");
    }
    while let Some(batch) = gateway.poll_batch() {
        assert_eq!(router.handle_batch_of_gateway(&batch, |_, _| received += 1), Ok(()));
    }
    assert_eq!(received, 2 * BATCH_MESSAGES_MAX);
}

#[test]
fn the_largest_requests_are_taken_and_one_more_of_anything_is_not() {
    let builder = &mut FrameBuilder::default();
    let (title, members) = ("t".repeat(TITLE_SIZE_MAX), vec![USER; GROUP_MEMBERS_MAX]);
    assert_eq!(verdict(builder.conversation_create(id(1), ConversationKind::Channel, &title, &members)), None);
    let over = "t".repeat(TITLE_SIZE_MAX + 1);
    assert_eq!(
        verdict(builder.conversation_create(id(1), ConversationKind::Group, &over, &members)),
        Some(Code::TooLarge)
    );
    let more = vec![USER; GROUP_MEMBERS_MAX + 1];
    assert_eq!(
        verdict(builder.conversation_create(id(1), ConversationKind::Group, &title, &more)),
        Some(Code::TooLarge)
    );
    let change = |users: &[UserId]| MemberDraft {
        conversation: CONVERSATION,
        action: MembershipAction::Added,
        users: users.to_vec(),
        role: Role::Member,
    };
    assert_eq!(verdict(builder.member_change(id(1), &change(&members))), None);
    assert_eq!(verdict(builder.member_change(id(1), &change(&more))), Some(Code::TooLarge));

    let question = RequestId(u32::MAX);
    let handles = vec!["h".repeat(HANDLE_SIZE_MAX); USER_LOOKUP_MAX];
    assert_eq!(verdict(builder.user_lookup(question, &handles, &[])), None);
    assert_eq!(verdict(builder.user_lookup(question, &handles, &[USER])), Some(Code::TooLarge));
    let over = vec!["h".repeat(HANDLE_SIZE_MAX + 1)];
    assert_eq!(verdict(builder.user_lookup(question, &over, &[])), Some(Code::TooLarge));
    assert_eq!(verdict(builder.devices_get(question)), None);
    let channels = vec![CONVERSATION; CHANNELS_FOLLOWED_MAX];
    assert_eq!(verdict(builder.channel_follow(question, &channels)), None);
    let more = vec![CONVERSATION; CHANNELS_FOLLOWED_MAX + 1];
    assert_eq!(verdict(builder.channel_follow(question, &more)), Some(Code::TooLarge));
    let (device, generation) = (DeviceId(u64::MAX), DeviceGeneration(u32::MAX));
    assert_eq!(verdict(builder.device_revoke(id(1), device, generation)), None);
    assert_eq!(verdict(builder.device_revoke(id(1), DeviceId(0), generation)), Some(Code::Malformed));
    assert_eq!(verdict(builder.device_revoke(id(1), device, DeviceGeneration(0))), Some(Code::Malformed));
    let range = HistoryRange::After(Seq(u64::MAX));
    assert_eq!(verdict(builder.history_get(question, CONVERSATION, range, HISTORY_LIMIT_MAX)), None);
    let over = builder.history_get(question, CONVERSATION, range, HISTORY_LIMIT_MAX + 1);
    assert_eq!(verdict(over), Some(Code::TooLarge));
}

#[test]
fn the_largest_hello_is_taken_and_one_byte_more_is_not() {
    let builder = &mut FrameBuilder::default();
    let hello = hello(&"d".repeat(DEVICE_NAME_SIZE_MAX));
    let besides = builder.hello(&hello, "", None).len();
    // The token makes it as large as it may be; what is sent is padded to whole words.
    let token = "t".repeat((FRAME_SIZE_UNAUTHENTICATED_MAX - besides) / 8 * 8);
    let largest = builder.hello(&hello, &token, None).to_vec();
    assert!((FRAME_SIZE_UNAUTHENTICATED_MAX - 8..=FRAME_SIZE_UNAUTHENTICATED_MAX).contains(&largest.len()));
    let first = |bytes: &[u8]| match ServerSession::new(NOW.monotonic).handle_frame(NOW, bytes, true) {
        Step::Authenticate { .. } => None,
        Step::Close(code) => Some(code),
        step => panic!("{step:?}"),
    };
    assert_eq!(first(&largest), None);
    assert_eq!(first(&[&largest[..], &[0; 9]].concat()), Some(Code::FrameTooLarge));
    let over = Hello { device_name: "d".repeat(DEVICE_NAME_SIZE_MAX + 1).into(), ..hello };
    assert_eq!(first(builder.hello(&over, "token", None)), Some(Code::FrameInvalid));
}

#[test]
fn the_largest_pages_of_people_and_conversations_fit() {
    let builder = &mut FrameBuilder::default();
    fits(builder.server(|fbb| {
        let users: Vec<_> = (0..USER_LOOKUP_MAX)
            .map(|_| {
                let handle = Some(fbb.create_string(&"h".repeat(HANDLE_SIZE_MAX)));
                wire::User::create(fbb, &wire::UserArgs { id: u64::MAX, handle })
            })
            .collect();
        let users = Some(fbb.create_vector(&users));
        let args = wire::UserPageArgs { request_id: u32::MAX, users };
        (ServerBody::UserPage, wire::UserPage::create(fbb, &args).as_union_value())
    }));
    fits(builder.server(|fbb| {
        let args = wire::MemberArgs { user: u64::MAX, role: Role::Owner, join_seq: u64::MAX };
        let members: Vec<_> = (0..GROUP_MEMBERS_MAX).map(|_| wire::Member::create(fbb, &args)).collect();
        let (members, title) = (fbb.create_vector(&members), fbb.create_string(&"t".repeat(TITLE_SIZE_MAX)));
        let args = wire::MembersPageArgs {
            request_id: u32::MAX,
            conversation: Some(&CONVERSATION.into()),
            kind: ConversationKind::Group,
            title: Some(title),
            head_seq: u64::MAX,
            members: Some(members),
        };
        (ServerBody::MembersPage, wire::MembersPage::create(fbb, &args).as_union_value())
    }));
    fits(builder.server(|fbb| {
        let conversations: Vec<_> = (0..SNAPSHOT_CONVERSATIONS_MAX)
            .map(|_| {
                let title = fbb.create_string(&"t".repeat(TITLE_SIZE_MAX));
                let args = wire::ConversationSummaryArgs {
                    conversation: Some(&CONVERSATION.into()),
                    kind: ConversationKind::Group,
                    direct_peer: u64::MAX,
                    title: Some(title),
                    head_seq: u64::MAX,
                    head_ordinal: u64::MAX,
                    read_seq: u64::MAX,
                    read_ordinal: u64::MAX,
                };
                wire::ConversationSummary::create(fbb, &args)
            })
            .collect();
        let conversations = Some(fbb.create_vector(&conversations));
        let args = wire::SnapshotArgs { user_seq: u64::MAX, user_epoch: u64::MAX, conversations, has_more: true };
        (ServerBody::Snapshot, wire::Snapshot::create(fbb, &args).as_union_value())
    }));
    fits(builder.welcome(&Welcome {
        version: u16::MAX,
        session: SessionId(u64::MAX),
        user: USER,
        user_handle: &"h".repeat(HANDLE_SIZE_MAX),
        device: DeviceId(u64::MAX),
        device_generation: DeviceGeneration(u32::MAX),
        heartbeat_interval_ms: u32::MAX,
        resumed: true,
        store_incarnation: StoreIncarnation(u64::MAX),
        user_epoch: UserEpoch(u64::MAX),
        user_head: UserSeq(u64::MAX),
        resume_ticket: Some(&[0xff; RESUME_TICKET_SIZE_MAX]),
        server_time: WallTime(u64::MAX),
        durability: Durability::QuorumSync,
    }));
}

#[test]
fn the_largest_page_of_devices_fits() {
    fits(FrameBuilder::default().server(|fbb| {
        let devices: Vec<_> = (0..DEVICES_PAGE_MAX)
            .map(|_| {
                let name = Some(fbb.create_string(&"d".repeat(DEVICE_NAME_SIZE_MAX)));
                let args = wire::DeviceArgs {
                    id: u64::MAX,
                    generation: u32::MAX,
                    revoked: true,
                    name,
                    registered_at_ms: u64::MAX,
                    last_seen_ms: u64::MAX,
                    online: true,
                };
                wire::Device::create(fbb, &args)
            })
            .collect();
        let devices = Some(fbb.create_vector(&devices));
        let args = wire::DevicesPageArgs { request_id: u32::MAX, devices };
        (ServerBody::DevicesPage, wire::DevicesPage::create(fbb, &args).as_union_value())
    }));
}

#[test]
fn every_page_of_two_hundred_entries_fits() {
    let two_hundred = usize::from(HISTORY_LIMIT_MAX);
    fits(&history_page(&vec![Event::Void(Some((CONVERSATION, Seq(u64::MAX)))); two_hundred]));
    fits(&sync_page(&full_page(&Event::Void(None))));
}
