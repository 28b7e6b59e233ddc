//! A session on its own: every frame that may not come, and what it gets.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use wire::{Capability, ClientBody, ConversationKind, Encryption, MembershipAction, Role};

use super::*;
use crate::client::RequestId;
use crate::encode::FrameBuilder;
use crate::ids::{DeviceGeneration, DeviceId, StoreIncarnation, UserEpoch, UserSeq};
use crate::limits::{
    BODY_SIZE_MAX, CLIENT_MSG_ID_AGE_MAX, CLIENT_MSG_ID_AHEAD_MAX, CONTENT_TYPE_SIZE_MAX, DEVICE_NAME_SIZE_MAX,
    GROUP_MEMBERS_MAX, HANDLE_SIZE_MAX, HISTORY_LIMIT_MAX, MENTIONS_MAX, TITLE_SIZE_MAX, USER_LOOKUP_MAX,
};
use crate::time::WallTime;

type Body = (ClientBody, WIPOffset<UnionWIPOffset>);
type Builder = FlatBufferBuilder<'static>;

const NOW: Now = Now { monotonic: Instant(1_000_000_000_000), wall: WallTime(1_764_000_000_000) };
const CONVERSATION: wire::ConversationId = wire::ConversationId([7; 16]);

fn id() -> ClientMsgId {
    ClientMsgId::new(NOW.wall, 42)
}

fn frame(client_op_id: Option<ClientMsgId>, body: impl FnOnce(&mut Builder) -> Body) -> Vec<u8> {
    FrameBuilder::default().client(client_op_id, body).to_vec()
}

/// The fields of a Hello that a device sends.
struct HelloFields {
    version_min: u16,
    version_max: u16,
    access_token: Option<String>,
    resume_ticket: Option<Vec<u8>>,
    device_id: u64,
    install_id: Option<ClientMsgId>,
    device_name: String,
    capabilities: Capability,
}

impl Default for HelloFields {
    fn default() -> Self {
        HelloFields {
            version_min: 1,
            version_max: 1,
            access_token: Some("token".into()),
            resume_ticket: None,
            device_id: 9,
            install_id: None,
            device_name: "phone".into(),
            capabilities: Capability::empty(),
        }
    }
}

fn hello(fields: HelloFields) -> Vec<u8> {
    frame(None, |fbb| {
        let access_token = fields.access_token.map(|token| fbb.create_string(&token));
        let resume_ticket = fields.resume_ticket.map(|ticket| fbb.create_vector(&ticket));
        let device_name = fbb.create_string(&fields.device_name);
        let install_id = fields.install_id.map(wire::ClientMsgId::from);
        let args = wire::HelloArgs {
            version_min: fields.version_min,
            version_max: fields.version_max,
            access_token,
            resume_ticket,
            device_id: fields.device_id,
            device_generation: 3,
            install_id: install_id.as_ref(),
            device_name: Some(device_name),
            store_incarnation: 4,
            user_epoch: 5,
            user_cursor: 6,
            capabilities: fields.capabilities,
        };
        (ClientBody::Hello, wire::Hello::create(fbb, &args).as_union_value())
    })
}

fn live(capabilities: Capability) -> ServerSession {
    let mut session = ServerSession::new(NOW.monotonic);
    let device_id = if capabilities.contains(Capability::Transient) { 0 } else { 9 };
    let bytes = hello(HelloFields { capabilities, device_id, ..Default::default() });
    assert!(matches!(session.handle_frame(NOW, &bytes, true), Step::Authenticate { .. }));
    session.handle_authenticated();
    session.handle_opened();
    session
}

/// What a live session of a device does with a frame.
#[track_caller]
fn expect(bytes: &[u8], wanted: &Step<'_>) {
    assert_eq!(live(Capability::empty()).handle_frame(NOW, bytes, true), *wanted);
}

fn refusal(code: Code, client_frame: ClientBody) -> Refusal {
    Refusal { code, retry_after_ms: 0, client_frame, client_msg_id: None, request_id: 0 }
}

fn ping() -> Vec<u8> {
    frame(None, |fbb| (ClientBody::Ping, wire::Ping::create(fbb, &wire::PingArgs {}).as_union_value()))
}

struct Send {
    client_msg_id: ClientMsgId,
    body_size: usize,
    content_type_size: usize,
    mentions_count: usize,
    encryption: Encryption,
}

impl Default for Send {
    fn default() -> Self {
        Send {
            client_msg_id: id(),
            body_size: 5,
            content_type_size: 10,
            mentions_count: 0,
            encryption: Encryption::None,
        }
    }
}

fn send(fields: &Send) -> Vec<u8> {
    frame(None, |fbb| {
        let body = fbb.create_vector(&vec![1u8; fields.body_size]);
        let content_type = fbb.create_string(&"t".repeat(fields.content_type_size));
        let mentions = fbb.create_vector(&vec![1u64; fields.mentions_count]);
        let args = wire::MessageSendArgs {
            conversation: Some(&CONVERSATION),
            client_msg_id: Some(&fields.client_msg_id.into()),
            content_type: Some(content_type),
            encryption: fields.encryption,
            body: Some(body),
            mentions: Some(mentions),
            ..Default::default()
        };
        (ClientBody::MessageSend, wire::MessageSend::create(fbb, &args).as_union_value())
    })
}

#[track_caller]
fn expect_send_refused(fields: &Send, code: Code) {
    let wanted = Refusal { client_msg_id: Some(fields.client_msg_id), ..refusal(code, ClientBody::MessageSend) };
    expect(&send(fields), &Step::Refuse(wanted));
}

fn create(client_op_id: Option<ClientMsgId>, kind: ConversationKind, title_size: usize, members: usize) -> Vec<u8> {
    frame(client_op_id, |fbb| {
        let title = fbb.create_string(&"t".repeat(title_size));
        let members = fbb.create_vector(&vec![1u64; members]);
        let args = wire::ConversationCreateArgs { kind, title: Some(title), members: Some(members) };
        (ClientBody::ConversationCreate, wire::ConversationCreate::create(fbb, &args).as_union_value())
    })
}

fn change(client_op_id: Option<ClientMsgId>, action: MembershipAction, role: Role, users: usize) -> Vec<u8> {
    frame(client_op_id, |fbb| {
        let users = fbb.create_vector(&vec![1u64; users]);
        let args = wire::MemberChangeArgs { conversation: Some(&CONVERSATION), action, users: Some(users), role };
        (ClientBody::MemberChange, wire::MemberChange::create(fbb, &args).as_union_value())
    })
}

fn history(limit: u16, before_seq: u64, after_seq: u64) -> Vec<u8> {
    frame(None, |fbb| {
        let args =
            wire::HistoryGetArgs { request_id: 77, conversation: Some(&CONVERSATION), before_seq, after_seq, limit };
        (ClientBody::HistoryGet, wire::HistoryGet::create(fbb, &args).as_union_value())
    })
}

fn lookup(handles: usize, ids: usize, handle_size: usize) -> Vec<u8> {
    frame(None, |fbb| {
        let handle = "h".repeat(handle_size);
        let handles: Vec<_> = (0..handles).map(|_| fbb.create_string(&handle)).collect();
        let handles = fbb.create_vector(&handles);
        let ids = fbb.create_vector(&vec![1u64; ids]);
        let args = wire::UserLookupArgs { request_id: 78, handles: Some(handles), ids: Some(ids) };
        (ClientBody::UserLookup, wire::UserLookup::create(fbb, &args).as_union_value())
    })
}

fn typing() -> Vec<u8> {
    frame(None, |fbb| {
        let args = wire::TypingStartArgs { conversation: Some(&CONVERSATION) };
        (ClientBody::TypingStart, wire::TypingStart::create(fbb, &args).as_union_value())
    })
}

fn ack() -> Vec<u8> {
    frame(None, |fbb| (ClientBody::Ack, wire::Ack::create(fbb, &wire::AckArgs { user_seq: 1 }).as_union_value()))
}

fn read() -> Vec<u8> {
    frame(None, |fbb| {
        let args = wire::MessageReadArgs { conversation: Some(&CONVERSATION), up_to_seq: 1 };
        (ClientBody::MessageRead, wire::MessageRead::create(fbb, &args).as_union_value())
    })
}

fn revoke(client_op_id: Option<ClientMsgId>, device_id: u64, device_generation: u32) -> Vec<u8> {
    frame(client_op_id, |fbb| {
        let args = wire::DeviceRevokeArgs { device_id, device_generation };
        (ClientBody::DeviceRevoke, wire::DeviceRevoke::create(fbb, &args).as_union_value())
    })
}

/// A frame of a later version: a table of an unknown number.
fn unknown(client_op_id: Option<ClientMsgId>) -> Vec<u8> {
    frame(client_op_id, |fbb| (ClientBody(200), wire::Ping::create(fbb, &wire::PingArgs {}).as_union_value()))
}

#[test]
fn a_hello_is_taken_apart_and_its_token_is_to_be_checked() {
    let mut session = ServerSession::new(NOW.monotonic);
    let bytes = hello(HelloFields::default());
    let wanted = Hello {
        is_transient: false,
        device: DeviceId(9),
        device_generation: DeviceGeneration(3),
        install_id: None,
        device_name: "phone".into(),
        store_incarnation: StoreIncarnation(4),
        user_epoch: UserEpoch(5),
        user_cursor: UserSeq(6),
    };
    let step = session.handle_frame(NOW, &bytes, false);
    assert_eq!(step, Step::Authenticate { access_token: "token", resume_ticket: &[], hello: wanted });
    assert_eq!((session.phase(), session.version()), (Phase::Authenticating, 1));
}

#[test]
fn a_device_is_named_or_registered_and_a_transient_session_has_none() {
    let first = |fields| {
        let mut session = ServerSession::new(NOW.monotonic);
        match session.handle_frame(NOW, &hello(fields), true) {
            Step::Authenticate { hello, .. } => Ok(hello.is_transient),
            Step::Close(code) => Err(code),
            step => panic!("not for a first frame: {step:?}"),
        }
    };
    let (none, some, transient) = (None, Some(id()), Capability::Transient);
    let fields = HelloFields::default;
    assert_eq!(first(HelloFields { device_id: 0, install_id: some, ..fields() }), Ok(false));
    assert_eq!(first(HelloFields { device_id: 0, install_id: none, ..fields() }), Err(Code::FrameInvalid));
    assert_eq!(first(HelloFields { device_id: 0, capabilities: transient, ..fields() }), Ok(true));
    assert_eq!(first(HelloFields { capabilities: transient, ..fields() }), Err(Code::FrameInvalid));
    let registering = HelloFields { device_id: 0, install_id: some, capabilities: transient, ..fields() };
    assert_eq!(first(registering), Err(Code::FrameInvalid));
}

#[test]
fn a_ticket_does_without_a_token() {
    for (access_token, wanted_token) in [(None, ""), (Some("token".into()), "token")] {
        let fields = HelloFields { access_token, resume_ticket: Some(vec![1, 2, 3]), ..Default::default() };
        let (bytes, mut session) = (hello(fields), ServerSession::new(NOW.monotonic));
        let step = session.handle_frame(NOW, &bytes, true);
        let Step::Authenticate { access_token, resume_ticket, .. } = step else { panic!("{step:?}") };
        assert_eq!((access_token, resume_ticket), (wanted_token, &[1, 2, 3][..]));
    }
}

#[test]
fn a_hello_that_cannot_be_served_gets_its_code() {
    let close = |bytes: &[u8]| match ServerSession::new(NOW.monotonic).handle_frame(NOW, bytes, true) {
        Step::Close(code) => code,
        step => panic!("it is to be closed: {step:?}"),
    };
    let fields = HelloFields::default;
    assert_eq!(close(&hello(HelloFields { version_min: 2, version_max: 9, ..fields() })), Code::VersionUnsupported);
    assert_eq!(close(&hello(HelloFields { version_min: 0, version_max: 0, ..fields() })), Code::VersionUnsupported);
    assert_eq!(close(&hello(HelloFields { access_token: None, ..fields() })), Code::TokenInvalid);
    let device_name = "n".repeat(DEVICE_NAME_SIZE_MAX + 1);
    assert_eq!(close(&hello(HelloFields { device_name, ..fields() })), Code::FrameInvalid);
    let access_token = Some("t".repeat(FRAME_SIZE_UNAUTHENTICATED_MAX));
    assert_eq!(close(&hello(HelloFields { access_token, ..fields() })), Code::FrameTooLarge);
    assert_eq!(close(&ping()), Code::HelloExpected);
    assert_eq!(close(&send(&Send::default())), Code::HelloExpected);
    assert_eq!(close(&unknown(Some(id()))), Code::HelloExpected);
    assert_eq!(close(&empty_frame()), Code::HelloExpected);
    assert_eq!(close(b"GET / HTTP/1.1\r\n\r\n"), Code::FrameInvalid);
    assert_eq!(close(&[]), Code::FrameInvalid);
}

/// A frame without a body.
fn empty_frame() -> Vec<u8> {
    let mut fbb = Builder::new();
    let frame = wire::ClientFrame::create(&mut fbb, &wire::ClientFrameArgs::default());
    fbb.finish(frame, None);
    fbb.finished_data().to_vec()
}

#[test]
fn a_newer_client_speaks_the_version_that_both_know() {
    let mut session = ServerSession::new(NOW.monotonic);
    let bytes = hello(HelloFields { version_min: 1, version_max: 7, ..Default::default() });
    assert!(matches!(session.handle_frame(NOW, &bytes, true), Step::Authenticate { .. }));
    assert_eq!(session.version(), 1);
}

#[test]
fn a_live_session_is_closed_for_what_cannot_be_read_and_for_a_second_hello() {
    expect(&hello(HelloFields::default()), &Step::Close(Code::HelloExpected));
    expect(&[0xff; 40], &Step::Close(Code::FrameInvalid));
    expect(&vec![0; crate::limits::FRAME_SIZE_MAX + 1], &Step::Close(Code::FrameTooLarge));
    let whole = send(&Send::default());
    let torn = whole.get(..whole.len() / 2).expect("half of it");
    expect(torn, &Step::Close(Code::FrameInvalid));
}

#[test]
fn the_largest_message_is_forwarded_and_each_field_has_its_limit() {
    let largest = Send {
        body_size: BODY_SIZE_MAX,
        content_type_size: CONTENT_TYPE_SIZE_MAX,
        mentions_count: MENTIONS_MAX,
        ..Send::default()
    };
    let bytes = send(&largest);
    assert!(bytes.len() <= crate::limits::MESSAGE_SIZE_MAX);
    expect(&bytes, &Step::Forward);
    expect_send_refused(&Send { body_size: BODY_SIZE_MAX + 1, ..Send::default() }, Code::TooLarge);
    expect_send_refused(&Send { content_type_size: CONTENT_TYPE_SIZE_MAX + 1, ..Send::default() }, Code::TooLarge);
    expect_send_refused(&Send { mentions_count: MENTIONS_MAX + 1, ..Send::default() }, Code::TooLarge);
    expect_send_refused(&Send { encryption: Encryption(99), ..Send::default() }, Code::Malformed);
}

#[test]
fn a_client_msg_id_is_a_uuid_v7_of_these_days() {
    let minted = |wall| Send { client_msg_id: ClientMsgId::new(wall, 1), ..Send::default() };
    let millisecond = Duration::from_millis(1);
    expect_send_refused(&Send { client_msg_id: ClientMsgId([0x40; 16]), ..Send::default() }, Code::Malformed);
    let oldest = NOW.wall.minus(CLIENT_MSG_ID_AGE_MAX);
    expect(&send(&minted(oldest)), &Step::Forward);
    expect_send_refused(&minted(oldest.minus(millisecond)), Code::ClientIdTooOld);
    let newest = NOW.wall.plus(CLIENT_MSG_ID_AHEAD_MAX);
    expect(&send(&minted(newest)), &Step::Forward);
    expect_send_refused(&minted(newest.plus(millisecond)), Code::ClientIdInFuture);
}

#[test]
fn an_operation_has_an_id_by_which_it_is_refused() {
    let refuse_op = |code| Step::RefuseOp { client_op_id: id(), code };
    let group = |title_size, members| create(Some(id()), ConversationKind::Group, title_size, members);
    expect(&group(TITLE_SIZE_MAX, GROUP_MEMBERS_MAX), &Step::Forward);
    expect(&group(TITLE_SIZE_MAX + 1, 1), &refuse_op(Code::TooLarge));
    expect(&group(1, GROUP_MEMBERS_MAX + 1), &refuse_op(Code::TooLarge));
    expect(&create(Some(id()), ConversationKind::Direct, 1, 1), &refuse_op(Code::Malformed));
    let malformed = Refusal { code: Code::Malformed, ..refusal(Code::Malformed, ClientBody::ConversationCreate) };
    expect(&create(None, ConversationKind::Group, 1, 1), &Step::Refuse(malformed));
    let old = ClientMsgId::new(NOW.wall.minus(2 * CLIENT_MSG_ID_AGE_MAX), 1);
    let too_old = Step::RefuseOp { client_op_id: old, code: Code::ClientIdTooOld };
    expect(&create(Some(old), ConversationKind::Group, 1, 1), &too_old);

    expect(&change(Some(id()), MembershipAction::Added, Role::Member, GROUP_MEMBERS_MAX), &Step::Forward);
    let too_many = change(Some(id()), MembershipAction::Added, Role::Member, GROUP_MEMBERS_MAX + 1);
    expect(&too_many, &refuse_op(Code::TooLarge));
    expect(&change(Some(id()), MembershipAction::Created, Role::Member, 1), &refuse_op(Code::Malformed));
    expect(&change(Some(id()), MembershipAction::Added, Role(99), 1), &refuse_op(Code::Malformed));
}

#[test]
fn a_revoke_is_an_operation_that_names_a_device_and_its_generation() {
    expect(&revoke(Some(id()), 7, 1), &Step::Forward);
    assert_eq!(live(Capability::Transient).handle_frame(NOW, &revoke(Some(id()), 7, 1), true), Step::Forward);
    for (device, generation) in [(0, 1), (7, 0)] {
        let malformed = Step::RefuseOp { client_op_id: id(), code: Code::Malformed };
        expect(&revoke(Some(id()), device, generation), &malformed);
    }
    expect(&revoke(None, 7, 1), &Step::Refuse(refusal(Code::Malformed, ClientBody::DeviceRevoke)));
}

#[test]
fn a_question_is_refused_by_its_request_id() {
    let refused = |code, client_frame, request_id| Step::Refuse(Refusal { request_id, ..refusal(code, client_frame) });
    let page = ClientBody::HistoryGet;
    expect(&history(HISTORY_LIMIT_MAX, 0, 5), &Step::Forward);
    expect(&history(HISTORY_LIMIT_MAX + 1, 0, 0), &refused(Code::TooLarge, page, 77));
    expect(&history(0, 0, 0), &refused(Code::Malformed, page, 77));
    expect(&history(1, 3, 5), &refused(Code::Malformed, page, 77));
    let users = ClientBody::UserLookup;
    expect(&lookup(USER_LOOKUP_MAX - 1, 1, HANDLE_SIZE_MAX), &Step::Forward);
    expect(&lookup(USER_LOOKUP_MAX, 1, 1), &refused(Code::TooLarge, users, 78));
    expect(&lookup(1, 0, HANDLE_SIZE_MAX + 1), &refused(Code::TooLarge, users, 78));
}

#[test]
fn a_frame_of_a_later_version_is_unsupported_with_an_id_and_skipped_without() {
    expect(&unknown(Some(id())), &Step::RefuseOp { client_op_id: id(), code: Code::Unsupported });
    expect(&unknown(None), &Step::Skip);
    expect(&empty_frame(), &Step::Skip);
}

#[test]
fn a_transient_session_has_no_cursor_to_move() {
    for (bytes, body) in [(ack(), ClientBody::Ack), (read(), ClientBody::MessageRead)] {
        let step = live(Capability::Transient).handle_frame(NOW, &bytes, true);
        assert_eq!(step, Step::Refuse(refusal(Code::NotForTransient, body)));
        expect(&bytes, &Step::Forward);
    }
}

#[test]
fn a_transient_session_that_asks_for_its_log_is_told_that_it_has_none() {
    let question = FrameBuilder::default().sync_get(RequestId(78), UserSeq(0)).to_vec();
    let step = live(Capability::Transient).handle_frame(NOW, &question, true);
    let wanted = Refusal { request_id: 78, ..refusal(Code::NotForTransient, ClientBody::SyncGet) };
    assert_eq!(step, Step::Refuse(wanted));
    expect(&question, &Step::Forward);
}

#[test]
fn typing_and_lookups_are_limited_in_rate_and_nothing_else_is() {
    let mut session = live(Capability::empty());
    (0..TYPING_BURST).for_each(|_| assert_eq!(session.handle_frame(NOW, &typing(), true), Step::Forward));
    let retry_after_ms = TYPING_INTERVAL.as_millis() as u32;
    let wanted = Refusal { retry_after_ms, ..refusal(Code::RateLimited, ClientBody::TypingStart) };
    assert_eq!(session.handle_frame(NOW, &typing(), true), Step::Refuse(wanted));
    (0..LOOKUP_BURST).for_each(|_| assert_eq!(session.handle_frame(NOW, &lookup(1, 1, 5), true), Step::Forward));
    let one_more = lookup(1, 1, 5);
    let refused = session.handle_frame(NOW, &one_more, true);
    assert!(matches!(refused, Step::Refuse(Refusal { code: Code::RateLimited, request_id: 78, .. })));
    (0..100).for_each(|_| assert_eq!(session.handle_frame(NOW, &send(&Send::default()), true), Step::Forward));
    let later = Now { monotonic: NOW.monotonic + LOOKUP_INTERVAL, ..NOW };
    assert_eq!(session.handle_frame(later, &lookup(1, 1, 5), true), Step::Forward);
}

#[test]
fn a_frame_that_waits_takes_no_token_and_a_wrong_one_is_refused_without_a_router() {
    let mut session = live(Capability::empty());
    (0..100).for_each(|_| assert_eq!(session.handle_frame(NOW, &lookup(1, 0, 5), false), Step::Wait));
    assert_eq!(session.handle_frame(NOW, &lookup(1, 0, 5), true), Step::Forward);
    assert_eq!(session.handle_frame(NOW, &ping(), false), Step::Pong);
    let malformed = history(0, 0, 0);
    let refused = session.handle_frame(NOW, &malformed, false);
    assert!(matches!(refused, Step::Refuse(Refusal { code: Code::Malformed, .. })));
}

#[test]
fn a_session_is_silent_until_a_frame_comes() {
    let timeout = Duration::from_secs(60);
    let mut session = live(Capability::empty());
    let later = Now { monotonic: NOW.monotonic + timeout + Duration::from_secs(1), ..NOW };
    assert!(session.is_silent(later.monotonic, timeout) && !session.is_silent(NOW.monotonic + timeout, timeout));
    assert_eq!(session.handle_frame(later, &ping(), true), Step::Pong);
    assert!(!session.is_silent(later.monotonic, timeout));
}

#[test]
#[should_panic(expected = "no frame is brought while a session is Authenticating")]
fn a_frame_behind_the_hello_must_be_held_back() {
    let mut session = ServerSession::new(NOW.monotonic);
    assert!(matches!(session.handle_frame(NOW, &hello(HelloFields::default()), true), Step::Authenticate { .. }));
    session.handle_frame(NOW, &ping(), true);
}

#[test]
fn the_answers_of_a_session_verify_and_say_what_they_should() {
    let mut builder = FrameBuilder::default();
    let welcome = Welcome {
        version: 1,
        session: crate::ids::SessionId(2),
        user: crate::ids::UserId(3),
        user_handle: "alice",
        device: DeviceId(4),
        device_generation: DeviceGeneration(5),
        heartbeat_interval_ms: 30_000,
        resumed: true,
        store_incarnation: StoreIncarnation(6),
        user_epoch: UserEpoch(7),
        user_head: UserSeq(8),
        resume_ticket: Some(&[11, 12]),
        server_time: NOW.wall,
        durability: wire::Durability::Fsync,
    };
    let view = frame::server_frame(builder.welcome(&welcome)).expect("it verifies");
    let view = view.body_as_welcome().expect("a Welcome");
    assert_eq!((view.version(), view.session_id(), view.user_id(), view.user_handle()), (1, 2, 3, Some("alice")));
    assert_eq!((view.device_id(), view.device_generation(), view.resumed()), (4, 5, true));
    assert_eq!((view.store_incarnation(), view.user_epoch(), view.user_head()), (6, 7, 8));
    assert_eq!((view.server_time_ms(), view.heartbeat_interval_ms()), (NOW.wall.0, 30_000));
    assert_eq!(view.resume_ticket().map(|ticket| ticket.bytes()), Some(&[11, 12][..]));

    let view = frame::server_frame(builder.pong(UserSeq(9), NOW.wall)).expect("it verifies");
    assert_eq!(view.body_as_pong().map(|pong| (pong.user_head(), pong.server_time_ms())), Some((9, NOW.wall.0)));
    assert!(frame::server_frame(builder.resend()).expect("it verifies").body_as_resend().is_some());
    for (code, status) in [(Code::Unsupported, wire::OpStatus::Unsupported), (Code::TooLarge, wire::OpStatus::Refused)]
    {
        let view = frame::server_frame(builder.op_refused(id(), code)).expect("it verifies");
        let ack = view.body_as_op_ack().expect("an OpAck");
        assert_eq!((ClientMsgId::from(ack.client_op_id()), ack.status(), ack.code()), (id(), status, code.number()));
    }
}
