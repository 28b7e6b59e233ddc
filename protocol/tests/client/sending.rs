//! How messages and operations get to the server: once, in order, and until they are answered.

use std::time::Duration;

use protocol::client::{
    ANSWER_TIMEOUT, ClientEvent, ClientState, CommandError, Draft, IN_FLIGHT_MAX, MemberDraft, OUTBOX_BYTES_MAX,
    OUTBOX_ENTRIES_MAX, REFUSAL_WAIT_MIN,
};
use protocol::codes::Code;
use protocol::encode::{FrameBuilder, Refusal};
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, MessageId, Seq};
use protocol::limits::{BODY_SIZE_MAX, CLIENT_MSG_ID_AGE_MAX, GROUP_MEMBERS_MAX};
use protocol::time::WallTime;
use protocol::wire::{ClientBody, ConversationKind, MembershipAction, Role};

use crate::device::{Device, START, view};
use crate::frames::{BOB, conversation, message_ack, op_done, usual_welcome};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn refusal(id: ClientMsgId, code: Code, retry_after_ms: u32) -> Vec<u8> {
    let refusal =
        Refusal { code, retry_after_ms, client_frame: ClientBody::MessageSend, client_msg_id: Some(id), request_id: 0 };
    FrameBuilder::default().error(refusal).to_vec()
}

fn outbox_ids(state: &ClientState) -> Vec<ClientMsgId> {
    state.outbox.iter().map(|outgoing| outgoing.id).collect()
}

#[test]
fn a_message_is_on_disk_before_it_is_told_of_and_sent() {
    let mut device = Device::online();
    device.writes_at_once = false;
    let id = device.send("a");
    assert!(device.events.is_empty());
    device.expect_nothing_sent();
    device.write_all();
    let ClientEvent::Queued { client_msg_id, draft, replaces: None } = device.expect_event() else { panic!("queued") };
    assert_eq!((client_msg_id, draft.body.as_slice()), (id, &b"a"[..]));
    assert_eq!(device.expect_send(), (id, 0));
    assert_eq!(outbox_ids(&device.disk), [id]);
}

#[test]
fn a_message_leaves_the_outbox_on_disk_only_when_its_ack_is_applied() {
    let mut device = Device::online();
    device.applies_at_once = false;
    let id = device.send("a");
    device.receive(&message_ack(id, Seq(4)));
    device.receive(&message_ack(id, Seq(4)));
    assert!(matches!(device.expect_event(), ClientEvent::Queued { .. }));
    let ClientEvent::Acked(acked) = device.expect_event() else { panic!("acked") };
    assert_eq!((acked.client_msg_id, acked.seq), (id, Seq(4)));
    assert!(device.events.is_empty(), "an answer that comes twice is told once");
    assert_eq!((outbox_ids(&device.disk), device.session.outbox_len()), (vec![id], 1));
    device.apply_next();
    assert_eq!(device.session.outbox_len(), 1);
    device.apply_next();
    assert_eq!((outbox_ids(&device.disk), device.session.outbox_len()), (vec![], 0));
}

#[test]
fn what_is_not_acked_in_time_is_sent_again_with_the_next_attempt() {
    let mut device = Device::online();
    let id = device.send("a");
    assert_eq!(device.expect_send(), (id, 0));
    device.pass(ANSWER_TIMEOUT - Duration::from_millis(1));
    device.expect_nothing_sent();
    device.pass(Duration::from_millis(1));
    assert_eq!(device.expect_send(), (id, 1));
    device.pass(ANSWER_TIMEOUT);
    device.expect_nothing_sent();
    device.pass(ANSWER_TIMEOUT);
    assert_eq!(device.expect_send(), (id, 2));
    device.receive(&message_ack(id, Seq(1)));
    device.pass(Duration::from_secs(10));
    device.expect_nothing_sent();
}

#[test]
fn a_reconnect_and_a_resend_frame_send_everything_unanswered_again_in_order() {
    let mut device = Device::online();
    let ids = [device.send("a"), device.send("b"), device.send("c")];
    device.receive(&message_ack(ids[1], Seq(1)));
    device.transmitted.clear();
    device.receive(FrameBuilder::default().resend());
    assert_eq!([device.expect_send(), device.expect_send()], [(ids[0], 1), (ids[2], 1)]);
    device.expect_nothing_sent();
    device.lose_connection();
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(device.now.wall)));
    assert_eq!([device.expect_send(), device.expect_send()], [(ids[0], 2), (ids[2], 2)]);
}

#[test]
fn only_so_many_are_in_flight_and_the_next_follow_as_answers_come() {
    let mut device = Device::online();
    let ids: Vec<ClientMsgId> = (0..IN_FLIGHT_MAX + 5).map(|_| device.send("a")).collect();
    assert!(ids.is_sorted_by(|one, other| one < other));
    for id in &ids[..IN_FLIGHT_MAX] {
        assert_eq!(device.expect_send(), (*id, 0));
    }
    device.expect_nothing_sent();
    device.receive(&message_ack(ids[3], Seq(1)));
    assert_eq!(device.expect_send(), (ids[IN_FLIGHT_MAX], 0));
    device.expect_nothing_sent();
}

#[test]
fn the_outbox_is_bounded_and_says_so() {
    let mut device = Device::new();
    let draft = Draft::text(conversation(), None, "a");
    for _ in 0..OUTBOX_ENTRIES_MAX {
        device.session.send_message(device.now, &draft).expect("there is room");
    }
    assert_eq!(device.session.send_message(device.now, &draft), Err(CommandError::OutboxFull));
    let mut device = Device::new();
    let large = Draft { body: vec![0; BODY_SIZE_MAX], ..draft };
    let taken = (0..OUTBOX_ENTRIES_MAX).take_while(|_| device.session.send_message(device.now, &large).is_ok());
    let count = taken.count();
    assert!(count * BODY_SIZE_MAX < OUTBOX_BYTES_MAX && (count + 2) * BODY_SIZE_MAX > OUTBOX_BYTES_MAX, "{count}");
}

#[test]
fn what_the_wire_would_not_take_is_refused_at_once() {
    let mut device = Device::online();
    let draft = Draft::text(conversation(), None, "a");
    let mut refused = |draft: Draft| device.session.send_message(START, &draft).expect_err("it is not allowed");
    assert_eq!(refused(Draft { body: vec![0; BODY_SIZE_MAX + 1], ..draft.clone() }), CommandError::TooLarge);
    assert_eq!(refused(Draft { content_type: "t".repeat(129), ..draft.clone() }), CommandError::TooLarge);
    assert_eq!(refused(Draft { mentions: vec![BOB; 65], ..draft.clone() }), CommandError::TooLarge);
    let no_uuid = Draft { client_msg_id: Some(ClientMsgId([0; 16])), ..draft };
    assert_eq!(refused(no_uuid), CommandError::ClientIdInvalid);
    assert_eq!(
        device.session.conversation_create(START, ConversationKind::Group, &"t".repeat(257), &[]),
        Err(CommandError::TooLarge)
    );
    assert_eq!(
        device.session.conversation_create(START, ConversationKind::Group, "", &[BOB; GROUP_MEMBERS_MAX + 1]),
        Err(CommandError::TooLarge)
    );
}

#[test]
fn a_refusal_for_good_fails_the_message() {
    let mut device = Device::online();
    let id = device.send("a");
    device.receive(&refusal(id, Code::NotPermitted, 0));
    let failed = device.events.pop_back();
    let Some(ClientEvent::Failed { client_msg_id, reason }) = failed else { panic!("failed: {failed:?}") };
    assert_eq!((client_msg_id, reason.code), (id, Code::NotPermitted.number()));
    assert!(device.disk.outbox.is_empty());
}

#[test]
fn a_refusal_for_now_waits_as_told_and_keeps_what_follows_back() {
    let mut device = Device::online();
    let first = device.send("a");
    assert_eq!(device.expect_send(), (first, 0));
    device.receive(&refusal(first, Code::DiskLow, 3_000));
    let second = device.send("b");
    device.pass(Duration::from_millis(2_999));
    device.expect_nothing_sent();
    device.pass(REFUSAL_WAIT_MIN * 2);
    assert_eq!([device.expect_send(), device.expect_send()], [(first, 1), (second, 0)]);
}

#[test]
fn a_refusal_without_a_wait_does_not_become_a_storm() {
    let mut device = Device::online();
    let id = device.send("a");
    device.transmitted.clear();
    device.receive(&refusal(id, Code::TryAgain, 0));
    device.pass(REFUSAL_WAIT_MIN - Duration::from_millis(1));
    device.expect_nothing_sent();
}

#[test]
fn a_message_of_an_earlier_life_is_told_of_again_and_sent_under_its_id() {
    let mut device = Device::online();
    let id = device.send("a");
    let mut device = Device::with_state(device.disk);
    device.settle();
    assert!(matches!(device.expect_event(), ClientEvent::Queued { client_msg_id, .. } if client_msg_id == id));
    device.go_online(&usual_welcome(START.wall));
    let mut device = Device::with_state(device.disk);
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    assert_eq!(device.expect_send(), (id, 1), "it may have been sent before");
}

#[test]
fn ids_rise_over_restarts_and_clock_steps() {
    let mut device = Device::online();
    let mut last = device.send("a");
    device.receive(&message_ack(last, Seq(1)));
    assert!(device.disk.outbox.is_empty(), "only the last id that was used is left");
    for days_back in 1..5 {
        device = Device::with_state(device.disk);
        device.now.wall = START.wall.minus(DAY * days_back);
        let offline = device.send("b");
        assert!(offline > last);
        device.go_online(&usual_welcome(device.now.wall));
        let online = device.send("c");
        assert!(online > offline);
        last = online;
    }
}

#[test]
fn ids_are_of_server_time() {
    let mut device = Device::new();
    device.now.wall = WallTime(77);
    device.go_online(&usual_welcome(START.wall));
    device.pass(Duration::from_secs(3));
    assert_eq!(device.send("a").minted_at(), START.wall.plus(Duration::from_secs(3)));
}

#[test]
fn what_was_never_sent_gets_another_id_when_its_own_has_become_useless() {
    for clock_error in [DAY * 10, DAY * 300] {
        let mut device = Device::new();
        device.now.wall = START.wall.minus(clock_error);
        let late = [device.send("a"), device.send("b")];
        device.events.clear();
        device.say_hello();
        device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
        let sent = [device.expect_send(), device.expect_send()];
        assert!(sent[0].0 < sent[1].0 && sent[0].1 == 0 && sent[0].0.minted_at() >= START.wall);
        let renamed: Vec<_> = device
            .events
            .iter()
            .filter_map(|event| match event {
                ClientEvent::Queued { client_msg_id, replaces, .. } => Some((*client_msg_id, *replaces)),
                _ => None,
            })
            .collect();
        assert_eq!(renamed, [(sent[0].0, Some(late[0])), (sent[1].0, Some(late[1]))]);
        assert_eq!(outbox_ids(&device.disk), [sent[0].0, sent[1].0]);
    }
}

#[test]
fn a_clock_that_was_far_ahead_does_not_spoil_later_ids() {
    let mut device = Device::new();
    device.now.wall = START.wall.plus(DAY * 365);
    device.send("a");
    device.writes_at_once = false;
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    device.expect_nothing_sent();
    device.write_all();
    let (id, _) = device.expect_send();
    assert_eq!(id.minted_at(), START.wall);
    assert_eq!(device.send("b").minted_at(), START.wall);
}

#[test]
fn an_id_is_final_once_it_may_have_been_sent() {
    let mut device = Device::new();
    let id = device.send("a");
    device.go_online(&usual_welcome(START.wall));
    let mut device = Device::with_state(device.disk);
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall.plus(DAY * 5))));
    assert_eq!(device.expect_send(), (id, 1));
}

#[test]
fn what_was_sent_and_not_answered_for_six_days_fails() {
    let mut device = Device::online();
    let id = device.send("a");
    device.lose_connection();
    device.events.clear();
    for _ in 0..24 * 6 {
        device.now.monotonic = device.now.monotonic + Duration::from_secs(3600);
        device.session.handle_timeout(device.now);
        device.session.handle_disconnected(device.now);
        device.settle();
    }
    let failed = |device: &Device| {
        device.events.iter().any(|event| {
            matches!(event, ClientEvent::Failed { client_msg_id, reason }
                if *client_msg_id == id && reason.code == Code::ClientIdTooOld.number())
        })
    };
    assert!(!failed(&device));
    device.now.monotonic = device.now.monotonic + Duration::from_secs(3600);
    device.session.handle_timeout(device.now);
    device.settle();
    assert!(failed(&device) && device.disk.outbox.is_empty());
}

#[test]
fn what_has_become_too_old_in_the_meantime_is_not_sent_any_more() {
    let mut device = Device::online();
    device.send("a");
    let mut device = Device::with_state(device.disk);
    device.say_hello();
    let later = START.wall.plus(CLIENT_MSG_ID_AGE_MAX + Duration::from_secs(1));
    device.receive(FrameBuilder::default().welcome(&usual_welcome(later)));
    device.expect_nothing_sent();
    assert!(matches!(device.events.pop_back(), Some(ClientEvent::Failed { .. })));
}

#[test]
fn a_given_id_is_sent_as_one_that_was_tried_before_and_only_once_at_a_time() {
    let mut device = Device::online();
    let given = ClientMsgId::new(START.wall.minus(DAY), 9);
    let draft = Draft { client_msg_id: Some(given), ..Draft::text(conversation(), Some(BOB), "a") };
    assert_eq!(device.session.send_message(device.now, &draft), Ok(given));
    assert_eq!(device.session.send_message(device.now, &draft), Err(CommandError::ClientIdInvalid));
    device.settle();
    assert_eq!(device.expect_send(), (given, 1));
    assert_eq!(device.disk.last_used_id, None, "it says nothing of our own ids");
}

#[test]
fn operations_survive_a_reconnect_and_a_restart() {
    let mut device = Device::online();
    let create = device
        .session
        .conversation_create(device.now, ConversationKind::Channel, "team", &[BOB])
        .expect("there is room");
    let draft = MemberDraft {
        conversation: conversation(),
        action: MembershipAction::Added,
        users: vec![BOB],
        role: Role::Member,
    };
    let change = device.session.member_change(device.now, &draft).expect("there is room");
    device.settle();
    let mut device = Device::with_state(device.disk);
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    let frame = device.expect_frame(ClientBody::ConversationCreate);
    assert_eq!(view(&frame).client_op_id().map(ClientMsgId::from), Some(create));
    assert_eq!(view(&frame).body_as_conversation_create().and_then(|create| create.title()), Some("team"));
    let frame = device.expect_frame(ClientBody::MemberChange);
    assert_eq!(view(&frame).client_op_id().map(ClientMsgId::from), Some(change));
    device.events.clear();

    let group = ConversationId([9; 16]);
    let place = Some(MessageId { conversation: group, seq: Seq(1) });
    device.receive(&op_done(create, place));
    let done = ClientEvent::OpDone { client_op_id: create, place };
    assert_eq!(device.expect_event(), done);
    device.receive(FrameBuilder::default().op_refused(change, Code::TryAgain));
    assert!(device.events.is_empty());
    device.pass(Duration::from_secs(1));
    device.expect_frame(ClientBody::MemberChange);
    device.receive(FrameBuilder::default().op_refused(change, Code::Unsupported));
    assert!(matches!(device.expect_event(), ClientEvent::Failed { client_msg_id, .. } if client_msg_id == change));
    assert!(device.disk.outbox.is_empty());
}

#[test]
fn typing_goes_out_now_or_never() {
    let mut device = Device::new();
    device.session.typing(conversation(), true);
    device.go_online(&usual_welcome(START.wall));
    device.expect_nothing_sent();
    device.session.typing(conversation(), true);
    device.session.typing(conversation(), false);
    device.settle();
    device.expect_frame(ClientBody::TypingStart);
    device.expect_frame(ClientBody::TypingStop);
}

#[test]
fn a_revoke_outlives_its_process_and_may_get_another_id_before_it_is_sent() {
    let mut device = Device::new();
    let first = device.session.device_revoke(device.now, DeviceId(8), DeviceGeneration(3)).expect("taken");
    device.settle();
    let mut device = Device::with_state(device.disk);
    // Days later the server would not take the first id.
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall.plus(4 * DAY))));
    let frame = device.expect_frame(ClientBody::DeviceRevoke);
    let id = view(&frame).client_op_id().map(ClientMsgId::from).expect("an operation");
    assert_ne!(id, first);
    let revoke = view(&frame).body_as_device_revoke().expect("a revoke");
    assert_eq!((revoke.device_id(), revoke.device_generation()), (8, 3));
    device.events.clear();
    device.receive(&op_done(id, None));
    assert_eq!(device.expect_event(), ClientEvent::OpDone { client_op_id: id, place: None });
}
