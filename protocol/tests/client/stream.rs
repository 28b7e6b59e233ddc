//! How the user's log gets to the application: every event once, in order, and the cursor behind it.

use std::time::Duration;

use protocol::client::{ANSWER_TIMEOUT, CURSOR_DELAY, ClientEvent, UNAPPLIED_EVENTS_MAX};
use protocol::codes::Code;
use protocol::encode::{FrameBuilder, Refusal};
use protocol::event::Event;
use protocol::ids::{Seq, StoreIncarnation, UserEpoch, UserSeq};
use protocol::server::Welcome;
use protocol::wire::ClientBody;

use crate::device::{Device, START, view};
use crate::frames::{HEARTBEAT_MS, conversation, message, pull_mode, snapshot, sync_page, usual_welcome};

const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS as u64);

fn push(first: u64, count: u64) -> Vec<u8> {
    let events: Vec<Event> = (first..first + count).map(|seq| message(Seq(seq))).collect();
    FrameBuilder::default().push(UserSeq(first), &events).to_vec()
}

/// The user_seqs the application was given, and whether any of them was a repeat.
fn told(device: &mut Device) -> (Vec<u64>, bool) {
    let (mut seqs, mut any_repeat) = (Vec::new(), false);
    while let Some(event) = device.events.pop_front() {
        if let ClientEvent::Stream { user_seq, is_repeat, .. } = event {
            seqs.push(user_seq.0);
            any_repeat |= is_repeat;
        }
    }
    (seqs, any_repeat)
}

#[track_caller]
fn expect_sync(device: &mut Device, after: u64) -> u32 {
    let frame = device.expect_frame(ClientBody::SyncGet);
    let get = view(&frame).body_as_sync_get().expect("a SyncGet");
    assert_eq!(get.after_user_seq(), after);
    get.request_id()
}

#[test]
fn events_are_told_in_order_and_each_once() {
    let mut device = Device::online();
    device.receive(&push(1, 3));
    device.receive(&push(2, 3));
    device.receive(&push(1, 1));
    device.receive(&push(5, 1));
    assert_eq!(told(&mut device), (vec![1, 2, 3, 4, 5], false));
}

#[test]
fn a_gap_is_asked_for_once_and_nothing_behind_it_is_told() {
    let mut device = Device::online();
    device.receive(&push(1, 1));
    device.receive(&push(3, 2));
    device.receive(&push(5, 1));
    let request_id = expect_sync(&mut device, 1);
    device.expect_nothing_sent();
    assert_eq!(told(&mut device).0, [1]);
    let page: Vec<Event> = (2..6).map(|seq| message(Seq(seq))).collect();
    device.receive(&sync_page(request_id, UserSeq(2), &page, UserSeq(5)));
    assert_eq!(told(&mut device).0, [2, 3, 4, 5]);
    device.receive(&push(7, 1));
    expect_sync(&mut device, 5);
}

#[test]
fn a_log_that_ends_with_the_largest_number_does_no_harm() {
    let mut device = Device::online();
    let ends = |first| FrameBuilder::default().push(UserSeq(first), &[Event::Void(None), Event::Void(None)]).to_vec();
    device.receive(&ends(u64::MAX));
    assert_eq!(told(&mut device).0, []);
    expect_sync(&mut device, 0);
    device.receive(&snapshot(UserSeq(u64::MAX - 1), UserEpoch(3)));
    device.receive(&ends(u64::MAX));
    assert_eq!(told(&mut device).0, [u64::MAX]);
    device.receive(&ends(u64::MAX));
    device.receive(&ends(1));
    assert_eq!(told(&mut device).0, []);
}

#[test]
fn a_page_that_does_not_come_is_asked_for_again() {
    let mut device = Device::online();
    device.receive(&push(2, 1));
    expect_sync(&mut device, 0);
    device.pass(ANSWER_TIMEOUT);
    expect_sync(&mut device, 0);
    device.receive(FrameBuilder::default().resend());
    expect_sync(&mut device, 0);
}

#[test]
fn the_cursor_is_stored_after_the_application_and_acked_after_the_disk() {
    let mut device = Device::online();
    (device.applies_at_once, device.writes_at_once) = (false, false);
    device.receive(&push(1, 2));
    device.pass(Duration::from_secs(1));
    assert!(device.unwritten.is_empty(), "nothing was applied");
    device.apply_next();
    assert!(device.unwritten.is_empty(), "it waits for company");
    device.pass(CURSOR_DELAY);
    device.expect_nothing_sent();
    device.write_all();
    assert_eq!(device.disk.position.user_seq, UserSeq(1));
    device.expect_ack(1);
}

#[test]
fn events_that_come_together_share_one_write_and_one_ack() {
    let mut device = Device::online();
    device.writes_at_once = false;
    (1..=50).for_each(|first| device.receive(&push(first, 1)));
    device.pass(CURSOR_DELAY);
    assert_eq!(device.unwritten.len(), 1);
    device.receive(&push(51, 1));
    device.pass(CURSOR_DELAY);
    assert_eq!(device.unwritten.len(), 1, "one write of the cursor at a time");
    device.write_all();
    device.expect_ack(50);
    device.pass(CURSOR_DELAY);
    device.write_all();
    device.expect_ack(51);
    device.expect_nothing_sent();
}

#[test]
fn an_application_may_be_done_out_of_order_and_the_cursor_follows_in_order() {
    let mut device = Device::online();
    device.applies_at_once = false;
    device.receive(&push(1, 3));
    device.unapplied.rotate_left(1);
    device.apply_next();
    device.apply_next();
    device.pass(CURSOR_DELAY);
    device.expect_nothing_sent();
    device.apply_next();
    device.pass(CURSOR_DELAY);
    device.expect_ack(3);
}

#[test]
fn what_the_application_still_has_is_not_told_again_after_a_reconnect() {
    let mut device = Device::online();
    device.applies_at_once = false;
    device.receive(&push(1, 4));
    device.apply_next();
    device.pass(CURSOR_DELAY);
    device.events.clear();
    device.lose_connection();
    device.go_online(&usual_welcome(START.wall));
    device.receive(&push(2, 5));
    assert_eq!(told(&mut device), (vec![5, 6], false));
}

#[test]
fn a_cursor_that_was_stored_while_offline_is_acked_with_the_hello_or_after_it() {
    let mut device = Device::online();
    device.applies_at_once = false;
    device.writes_at_once = false;
    device.receive(&push(1, 2));
    device.lose_connection();
    device.apply_next();
    device.pass(CURSOR_DELAY);
    device.say_hello();
    device.write_all();
    device.expect_nothing_sent();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    device.expect_ack(1);
}

#[test]
fn after_a_restart_what_was_not_stored_is_told_again_and_nothing_is_missed() {
    let mut device = Device::online();
    device.receive(&push(1, 4));
    device.pass(CURSOR_DELAY);
    device.receive(&push(5, 2));
    let mut device = Device::with_state(device.disk);
    let hello = device.say_hello();
    assert_eq!(view(&hello).body_as_hello().expect("a Hello").user_cursor(), 4);
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    device.receive(&push(5, 3));
    assert_eq!(told(&mut device), (vec![5, 6, 7], false));
}

#[test]
fn a_snapshot_moves_the_cursor_and_old_confirmations_do_not() {
    let mut device = Device::online();
    device.applies_at_once = false;
    device.receive(&push(1, 2));
    device.lose_connection();
    let welcome = Welcome { resumed: false, user_epoch: UserEpoch(4), ..usual_welcome(START.wall) };
    device.go_online(&welcome);
    device.receive(&snapshot(UserSeq(40), UserEpoch(4)));
    device.receive(&push(41, 1));
    device.apply_next();
    device.apply_next();
    device.pass(CURSOR_DELAY);
    assert_eq!((device.disk.position.user_epoch, device.disk.position.user_seq), (UserEpoch(3), UserSeq(2)));
    device.expect_nothing_sent();
    device.apply_next();
    device.pass(CURSOR_DELAY);
    assert_eq!((device.disk.position.user_epoch, device.disk.position.user_seq), (UserEpoch(4), UserSeq(40)));
    device.expect_ack(40);
    device.apply_next();
    device.pass(CURSOR_DELAY);
    device.expect_ack(41);
}

#[test]
fn a_snapshot_that_is_lost_on_the_way_is_made_up_for_by_the_whole_log() {
    let mut device = Device::new();
    device.go_online(&Welcome { resumed: false, user_head: UserSeq(2), ..usual_welcome(START.wall) });
    device.receive(&push(1, 2));
    assert_eq!(told(&mut device).0, [1, 2]);
    let mut device = Device::new();
    device.go_online(&Welcome { resumed: false, user_head: UserSeq(7), ..usual_welcome(START.wall) });
    device.receive(&push(7, 1));
    expect_sync(&mut device, 0);
}

#[test]
fn an_entry_that_the_log_holds_twice_is_marked_also_after_a_restart() {
    let mut device = Device::online();
    let builder = &mut FrameBuilder::default();
    device.receive(&push(1, 2));
    device.receive(builder.push(UserSeq(3), &[message(Seq(2))]));
    assert_eq!(told(&mut device), (vec![1, 2, 3], true));
    device.pass(CURSOR_DELAY);
    let mut device = Device::with_state(device.disk);
    device.go_online(&usual_welcome(START.wall));
    device.receive(builder.push(UserSeq(4), &[message(Seq(1))]));
    assert_eq!(told(&mut device), (vec![4], true));
    device.receive(builder.push(UserSeq(5), &[message(Seq(3))]));
    assert_eq!(told(&mut device), (vec![5], false));
}

#[test]
fn what_is_read_before_the_first_snapshot_is_applied_is_told_when_it_is() {
    let mut device = Device::new();
    device.applies_at_once = false;
    device.go_online(&Welcome { resumed: false, ..usual_welcome(START.wall) });
    device.receive(&snapshot(UserSeq(7), UserEpoch(3)));
    device.read(Seq(5));
    device.pass(Duration::from_secs(1));
    device.expect_nothing_sent();
    device.apply_next();
    device.pass(CURSOR_DELAY);
    device.expect_ack(7);
    let frame = device.expect_frame(ClientBody::MessageRead);
    assert_eq!(view(&frame).body_as_message_read().expect("a MessageRead").up_to_seq(), 5);
    assert_eq!(device.disk.marks.first().map(|mark| mark.read), Some(Seq(5)));
}

#[test]
fn in_another_life_of_the_store_a_place_may_hold_something_else() {
    let mut device = Device::online();
    device.receive(&push(1, 5));
    device.pass(CURSOR_DELAY);
    device.lose_connection();
    let restored = StoreIncarnation(12);
    let welcome = Welcome { resumed: false, store_incarnation: restored, ..usual_welcome(START.wall) };
    device.go_online(&welcome);
    device.receive(&snapshot(UserSeq(3), UserEpoch(3)));
    device.receive(FrameBuilder::default().push(UserSeq(4), &[message(Seq(4))]));
    assert_eq!(told(&mut device), (vec![4], false));
    device.pass(CURSOR_DELAY);
    assert_eq!(device.disk.position.store_incarnation, restored);
    assert_eq!(device.disk.marks.first().map(|mark| mark.held), Some(Seq(4)));
}

#[test]
fn a_slow_application_bounds_what_is_taken_and_gets_the_rest_later() {
    let mut device = Device::online();
    device.applies_at_once = false;
    let bound = UNAPPLIED_EVENTS_MAX as u64;
    (1..=bound + 10).for_each(|first| device.receive(&push(first, 1)));
    assert_eq!(told(&mut device).0.len(), UNAPPLIED_EVENTS_MAX);
    (0..bound / 2 - 1).for_each(|_| device.apply_next());
    device.expect_nothing_sent();
    device.apply_next();
    expect_sync(&mut device, bound);
}

#[test]
fn who_does_not_keep_up_asks_for_page_after_page_as_its_application_applies() {
    let mut device = Device::online();
    device.applies_at_once = false;
    device.receive(&push(1, 2));
    device.receive(&pull_mode(UserSeq(6)));
    device.apply_next();
    device.expect_nothing_sent();
    device.apply_next();
    let page = |request_id, events: std::ops::Range<u64>, head| {
        let first = UserSeq(events.start);
        sync_page(request_id, first, &events.map(|seq| message(Seq(seq))).collect::<Vec<_>>(), UserSeq(head))
    };
    let request_id = expect_sync(&mut device, 2);
    device.receive(&page(request_id, 3..5, 6));
    device.apply_next();
    device.expect_nothing_sent();
    device.apply_next();
    let request_id = expect_sync(&mut device, 4);
    device.receive(&page(request_id, 5..7, 6));
    (0..2).for_each(|_| device.apply_next());
    device.expect_nothing_sent();
    device.receive(&push(7, 1));
    assert_eq!(told(&mut device).0, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_page_that_is_refused_to_who_pulls_is_asked_for_again() {
    let mut device = Device::online();
    device.receive(&pull_mode(UserSeq(3)));
    let request_id = expect_sync(&mut device, 0);
    let refusal = Refusal {
        code: Code::TryAgain,
        retry_after_ms: 100,
        client_frame: ClientBody::SyncGet,
        client_msg_id: None,
        request_id,
    };
    device.receive(FrameBuilder::default().error(refusal));
    device.expect_nothing_sent();
    device.pass(ANSWER_TIMEOUT);
    expect_sync(&mut device, 0);
}

#[test]
fn nobody_pulls_on_a_session_that_is_served_anew() {
    let mut device = Device::online();
    device.receive(&pull_mode(UserSeq(3)));
    expect_sync(&mut device, 0);
    device.lose_connection();
    device.go_online(&usual_welcome(START.wall));
    device.receive(&push(1, 3));
    device.expect_nothing_sent();
    device.receive(&pull_mode(UserSeq(4)));
    expect_sync(&mut device, 3);
    device.receive(FrameBuilder::default().resend());
    expect_sync(&mut device, 3);
    device.receive(&push(4, 1));
    device.receive(&sync_page(0, UserSeq(5), &[], UserSeq(9)));
    device.transmitted.clear();
    device.receive(&push(5, 1));
    device.expect_nothing_sent();
    assert_eq!(told(&mut device).0, [1, 2, 3, 4, 5]);
}

#[test]
fn a_lost_tail_is_noticed_by_the_head_in_a_pong() {
    let mut device = Device::online();
    device.receive(&push(1, 1));
    device.pass(HEARTBEAT);
    device.expect_ack(1);
    device.expect_frame(ClientBody::Ping);
    device.receive(FrameBuilder::default().pong(UserSeq(2), device.now.wall));
    expect_sync(&mut device, 1);
}

#[test]
fn a_head_ahead_of_what_is_still_on_its_way_is_no_lost_tail() {
    let mut device = Device::online();
    device.pass(HEARTBEAT);
    device.expect_frame(ClientBody::Ping);
    device.receive(&push(1, 1));
    device.receive(FrameBuilder::default().pong(UserSeq(2), device.now.wall));
    device.expect_nothing_sent();
    device.applies_at_once = false;
    device.pass(HEARTBEAT - Duration::from_secs(1));
    device.receive(&push(2, 1));
    device.transmitted.clear();
    device.pass(Duration::from_secs(1));
    device.expect_frame(ClientBody::Ping);
    device.receive(FrameBuilder::default().pong(UserSeq(9), device.now.wall));
    device.expect_nothing_sent();
}

#[test]
fn a_read_mark_is_told_until_the_server_confirms_it() {
    let mut device = Device::online();
    device.receive(&push(1, 3));
    device.read(Seq(2));
    device.read(Seq(3));
    device.pass(CURSOR_DELAY);
    device.expect_ack(3);
    let frame = device.expect_frame(ClientBody::MessageRead);
    assert_eq!(view(&frame).body_as_message_read().expect("a MessageRead").up_to_seq(), 3);
    device.expect_nothing_sent();

    let mut device = Device::with_state(device.disk);
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    device.expect_frame(ClientBody::MessageRead);
    let confirmed = Event::SyncRead { conversation: conversation(), up_to: Seq(3) };
    device.receive(FrameBuilder::default().push(UserSeq(4), &[confirmed]));
    device.pass(CURSOR_DELAY);
    device.expect_ack(4);
    device.receive(FrameBuilder::default().resend());
    device.expect_ack(4);
    device.expect_nothing_sent();
}

#[test]
fn a_resend_frame_has_the_cursor_told_again() {
    let mut device = Device::online();
    device.receive(&push(1, 3));
    device.pass(CURSOR_DELAY);
    device.expect_ack(3);
    device.receive(FrameBuilder::default().resend());
    device.expect_ack(3);
}
