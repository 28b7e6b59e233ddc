//! The link to the router: credits, breaks, and a router that is wrong.

use std::time::Duration;

use gateway_core::{CloseCause, LinkEvent, OPENS_IN_FLIGHT_MAX, ShardConfig};
use protocol::codes::Code;
use protocol::ids::{SessionId, StoreIncarnation, UserSeq};
use protocol::limits::{BODY_SIZE_MAX, HANDSHAKE_TIMEOUT};
use protocol::link::{
    ConnectionKey, LINK_HEARTBEAT_INTERVAL, LINK_SILENCE_MAX, LINK_WINDOW_BYTES, LinkError, RouterHello, RouterMessage,
};

use crate::support::frames::{self, Hello, ServerFrame};
use crate::support::{ALICE, BOB, LAPTOP, PHONE, World};

#[test]
fn a_link_begins_with_a_hello_that_says_who_comes() {
    let (gateway_id, gateway_incarnation, shard_index, shards_count) = (4, 5, 6, 7);
    let config = ShardConfig { gateway_id, gateway_incarnation, shard_index, shards_count, ..ShardConfig::default() };
    let mut world = World::without_router(config);
    assert!(!world.shard.is_ready());
    world.link_up();
    assert!(world.shard.is_ready());
    let hello = world.router.greeted_by.expect("it came");
    assert_eq!((hello.gateway_id, hello.gateway_incarnation, hello.shard_index), (4, 5, 6));
}

#[test]
fn without_credit_frames_wait_where_they_are_and_leave_in_order() {
    let mut world = World::new();
    let (one, other) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.router.is_lazy = true;
    let mut number = 0;
    while !world.is_held(one) {
        number += 1;
        world.send(one, &frames::message(world.now.wall, number, BODY_SIZE_MAX));
    }
    world.send(other, &frames::message(world.now.wall, 1, BODY_SIZE_MAX));
    world.send(one, &frames::message(world.now.wall, number + 1, 1));
    assert!(world.is_held(other));
    let taken = world.router.requests.len() as u64;
    assert_eq!(taken, number - 1);
    assert!(world.router.unpaid_bytes <= LINK_WINDOW_BYTES);

    world.router.pay_back();
    world.settle();
    assert!(!world.is_held(one) && !world.is_held(other));
    let numbers = |key: ConnectionKey| {
        let of_key = world.router.requests.iter().filter(|request| request.0 == key);
        of_key.map(|request| frames::message_number(&request.1).expect("a message")).collect::<Vec<_>>()
    };
    assert_eq!(numbers(one.into()), (1..=number + 1).collect::<Vec<_>>());
    assert_eq!(numbers(other.into()), [1]);
}

#[test]
fn who_is_gone_takes_no_credit_from_who_waits() {
    let mut world = World::new();
    let connections: Vec<_> = (0..200).map(|_| world.open_with(ALICE, Hello::transient())).collect();
    let last = world.live(BOB, PHONE);
    world.router.is_lazy = true;
    let message = frames::message(world.now.wall, 1, BODY_SIZE_MAX);
    for connection in &connections {
        while !world.is_held(*connection) {
            world.send(*connection, &message);
        }
    }
    world.send(last, &message);
    assert!(world.is_held(last));
    for connection in connections {
        world.driver.end(world.now, &mut world.shard, connection, CloseCause::Lost);
    }
    world.router.pay_back();
    world.settle();
    assert!(!world.is_held(last));
}

#[test]
fn a_small_frame_may_pass_where_a_large_one_waits_and_pings_are_answered() {
    let mut world = World::new();
    let (large, small) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.router.is_lazy = true;
    while !world.is_held(large) {
        world.send(large, &frames::message(world.now.wall, 1, BODY_SIZE_MAX));
    }
    let taken = world.router.requests.len();
    world.send(small, &frames::ack(1));
    assert_eq!(world.router.requests.len(), taken + 1);
    world.send(small, &frames::ping());
    assert!(matches!(world.read(small).as_slice(), [ServerFrame::Pong(..)]));
}

#[test]
fn who_is_held_is_not_taken_for_dead() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    world.link_down();
    world.send(connection, &frames::ack(1));
    assert!(world.is_held(connection));
    world.wait(Duration::from_secs(600));
    world.link_up();
    assert!(!world.is_held(connection));
    world.wait(Duration::from_secs(50));
    assert_eq!(world.goodbye(connection), None);
}

#[test]
fn a_break_holds_requests_answers_pings_and_delivers_nothing() {
    let mut world = World::new();
    let (asking, idle) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.link_down();
    assert!(!world.shard.is_ready());
    world.send(asking, &frames::ack(95));
    world.send(idle, &frames::ping());
    world.wait(Duration::from_secs(5));
    assert_eq!(world.read(asking), []);
    assert!(matches!(world.read(idle).as_slice(), [ServerFrame::Pong(..)]));
    assert!(world.is_held(asking) && !world.is_held(idle));
    assert_eq!(world.router.requests, []);
}

#[test]
fn after_a_break_sessions_are_opened_again_from_what_was_written_and_told_to_resend() {
    let mut world = World::new();
    let (phone, laptop) = (world.live(ALICE, PHONE), world.live(ALICE, LAPTOP));
    let transient = world.open_with(BOB, Hello::transient());
    world.read(transient).clear();
    let frame = frames::push(UserSeq(101));
    world.push(&RouterMessage::Deliver { connection: phone.into(), user_seq_last: UserSeq(101), frame: &frame });
    assert_eq!(world.read(phone), [ServerFrame::Push(UserSeq(101))]);
    world.link_down();
    world.send(phone, &frames::ack(101));
    world.router.opens.clear();
    world.link_up();

    let again: Vec<_> =
        world.router.opens.iter().map(|open| (open.connection, open.user_cursor, open.session)).collect();
    let wanted = [(phone, 101, 1), (laptop, 90, 2), (transient, 90, 3)];
    assert_eq!(again, wanted.map(|(id, cursor, session)| (id.into(), UserSeq(cursor), Some(SessionId(session)))));
    assert!(world.router.opens.iter().all(|open| open.transient == (open.user == BOB)));
    for connection in [phone, laptop, transient] {
        assert_eq!(world.read(connection), [ServerFrame::Resend]);
    }
    assert_eq!(world.router.requests, [(phone.into(), frames::ack(101))]);
    assert_eq!(world.shard.counters().sessions_reopened, 3);
}

#[test]
fn a_session_that_is_not_open_again_yet_gets_nothing_and_stays_held() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    world.router.is_lazy = true;
    while !world.is_held(connection) {
        world.send(connection, &frames::message(world.now.wall, 1, BODY_SIZE_MAX));
    }
    world.link_down();
    world.link_up();
    let frame = frames::push(UserSeq(101));
    world.push(&RouterMessage::Deliver { connection: connection.into(), user_seq_last: UserSeq(101), frame: &frame });
    assert_eq!(world.read(connection), []);
    assert_eq!((world.is_held(connection), world.shard.counters().frames_held), (true, 1));
    assert!(world.router.answer_next());
    world.settle();
    assert_eq!(world.read(connection), [ServerFrame::Resend]);
    assert!(!world.is_held(connection));
}

#[test]
fn a_session_that_cannot_go_on_after_a_break_begins_anew_from_its_snapshot() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    for resumes in [false, true] {
        world.link_down();
        world.router.resumes = resumes;
        world.link_up();
    }
    let cursors: Vec<_> = world.router.opens.iter().map(|open| (open.session.is_some(), open.user_cursor)).collect();
    assert_eq!(cursors, [(false, UserSeq(90)), (true, UserSeq(90)), (true, UserSeq(0))]);
    assert_eq!(world.read(connection), [ServerFrame::Resend, ServerFrame::Resend]);
}

#[test]
fn a_hello_during_a_break_waits_for_the_link() {
    let mut world = World::without_router(ShardConfig::default());
    let connection = world.open_with(ALICE, Hello::default());
    world.wait(Duration::from_secs(5));
    assert_eq!(world.read(connection), []);
    world.link_up();
    assert!(matches!(world.read(connection).as_slice(), [ServerFrame::Welcome(_)]));
    assert!(world.router.opens.iter().all(|open| open.session.is_none()));

    world.link_down();
    let too_long = world.open_with(BOB, Hello::default());
    world.wait(HANDSHAKE_TIMEOUT);
    assert_eq!(world.goodbye(too_long), Some(Code::RouterUnavailable));
}

#[test]
fn a_hello_that_was_under_way_when_the_link_broke_is_asked_for_again() {
    let mut world = World::new();
    world.router.is_lazy = true;
    let connection = world.open_with(ALICE, Hello::default());
    world.link_down();
    world.router.is_lazy = false;
    world.link_up();
    assert!(matches!(world.read(connection).as_slice(), [ServerFrame::Welcome(_)]));
    let asked: Vec<_> = world.router.opens.iter().map(|open| (open.connection, open.session.is_some())).collect();
    assert_eq!(asked, [(connection.into(), false); 2]);
}

#[test]
fn opens_come_in_bounded_numbers_and_newcomers_first() {
    let mut world = World::new();
    let sessions = OPENS_IN_FLIGHT_MAX as usize + 500;
    for _ in 0..sessions {
        world.open_with(ALICE, Hello::transient());
    }
    world.link_down();
    let newcomer = world.open_with(BOB, Hello::default());
    world.router.is_lazy = true;
    world.router.opens.clear();
    world.link_up();
    assert_eq!(world.router.asked.len(), OPENS_IN_FLIGHT_MAX as usize);
    assert_eq!(world.router.asked.front().map(|open| open.connection), Some(newcomer.into()));
    (0..100).for_each(|_| assert!(world.router.answer_next()));
    world.settle();
    assert_eq!(world.router.asked.len(), OPENS_IN_FLIGHT_MAX as usize);
    world.link_down();
    world.router.opens.clear();
    world.link_up();
    assert_eq!(world.router.asked.len(), OPENS_IN_FLIGHT_MAX as usize);
    while world.router.answer_next() {
        world.settle();
    }
    assert_eq!((world.router.sessions.len(), world.router.opens.len()), (sessions + 1, sessions + 1));
}

#[test]
fn who_goes_unanswered_makes_room_for_another_open() {
    let mut world = World::new();
    world.router.is_lazy = true;
    for _ in 0..OPENS_IN_FLIGHT_MAX {
        let connection = world.open_with(ALICE, Hello::transient());
        world.driver.end(world.now, &mut world.shard, connection, CloseCause::Lost);
    }
    let connection = world.open_with(BOB, Hello::default());
    assert_eq!(world.router.asked.back().map(|open| open.connection), Some(connection.into()));
}

#[test]
fn a_restored_store_sends_everybody_away_to_be_welcomed_anew() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    world.link_down();
    world.router.hello.store_incarnation = StoreIncarnation(8);
    world.link_up();
    assert_eq!(world.goodbye(connection), Some(Code::RouterUnavailable));
    assert_eq!(world.router.sessions.len(), 0);
}

#[test]
fn who_goes_during_a_break_is_not_mentioned_after_it() {
    let mut world = World::new();
    let gone = world.live(ALICE, PHONE);
    world.link_down();
    world.driver.end(world.now, &mut world.shard, gone, CloseCause::Lost);
    world.link_up();
    assert_eq!((world.router.opens.len(), world.router.farewells.len()), (1, 0));
}

#[test]
fn a_router_that_breaks_the_rules_loses_its_link_and_no_session() {
    let hello = |version| {
        let hello = RouterHello { version, ..World::new().router.hello };
        RouterMessage::Hello(hello)
    };
    let deliver = RouterMessage::Deliver { connection: ConnectionKey(1), user_seq_last: UserSeq(0), frame: b"" };
    for (message, error) in [(hello(1), LinkError::HelloExpected), (deliver, LinkError::Invalid)] {
        let mut world = World::new();
        let connection = world.live(ALICE, PHONE);
        assert_eq!(world.push_wrong(&message), Err(error));
        assert!(!world.shard.is_ready());
        world.link_down();
        world.link_up();
        assert_eq!(world.read(connection), [ServerFrame::Resend]);
        assert_eq!(world.shard.counters().link_downs, 1, "it is down once");
    }
    let mut world = World::without_router(ShardConfig::default());
    world.shard.handle_link(world.now, LinkEvent::Up);
    assert_eq!(world.push_wrong(&hello(99)), Err(LinkError::HelloExpected));
    world.shard.handle_link(world.now, LinkEvent::Up);
    assert_eq!(world.push_wrong(&deliver), Err(LinkError::HelloExpected));
    assert_eq!(
        world.shard.handle_link_batch(world.now, b"garbage".to_vec().into()),
        Err(LinkError::HelloExpected),
        "it is down"
    );
    world.shard.handle_link(world.now, LinkEvent::Up);
    assert_eq!(world.shard.handle_link_batch(world.now, b"garbage".to_vec().into()), Err(LinkError::Invalid));
}

#[test]
fn a_link_with_nothing_to_say_beats_and_is_kept() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    for _ in 0..10 {
        world.wait(LINK_SILENCE_MAX);
        world.send(connection, &frames::ping());
    }
    assert!(world.shard.is_ready());
    assert_eq!((world.shard.counters().link_ups, world.shard.counters().link_downs), (1, 0));
}

#[test]
fn a_router_that_was_not_heard_of_for_three_seconds_delivers_nothing() {
    let deliver = |world: &mut World, connection| {
        let frame = frames::push(UserSeq(101));
        let message = RouterMessage::Deliver { connection, user_seq_last: UserSeq(101), frame: &frame };
        world.router.end.send_to_gateway(&message).expect("the window is open");
        world.router.end.poll_batch().expect("it was just put in")
    };
    for (silence, is_delivered) in [(LINK_SILENCE_MAX - Duration::from_millis(1), true), (LINK_SILENCE_MAX, false)] {
        let mut world = World::new();
        let connection = world.live(ALICE, PHONE);
        let batch = deliver(&mut world, connection.into());
        // The process stands still while the batch waits in a queue: no timer has run before it is taken.
        world.now.monotonic = world.now.monotonic + silence;
        let result = world.shard.handle_link_batch(world.now, batch);
        assert_eq!(result, if is_delivered { Ok(()) } else { Err(LinkError::Silent) });
        assert_eq!(world.shard.has_link(), is_delivered);
        world.driver.drain(world.now, &mut world.shard);
        assert_eq!(world.read(connection) == [ServerFrame::Push(UserSeq(101))], is_delivered);
    }
}

#[test]
fn a_silent_router_loses_its_link_by_the_clock_and_no_session() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    let start = world.now.monotonic;
    while world.shard.has_link() {
        let due = world.shard.poll_timeout().expect("a link has deadlines");
        world.now.monotonic = due;
        world.shard.handle_timeout(world.now);
        // Its beats are sent and never answered.
        while world.shard.poll_batch().is_some() {}
    }
    assert_eq!(world.now.monotonic.since(start), LINK_SILENCE_MAX);
    assert!(LINK_SILENCE_MAX >= 2 * LINK_HEARTBEAT_INTERVAL, "one late beat is no silence");
    assert_eq!((world.shard.counters().link_downs, world.shard.counters().links_silent), (1, 1));
    world.link_down();
    world.link_up();
    assert_eq!(world.read(connection), [ServerFrame::Resend]);
}

#[test]
fn what_comes_for_a_connection_that_is_gone_is_dropped_and_paid_for() {
    let mut world = World::new();
    let frame = vec![1; 60_000];
    for _ in 0..500 {
        world.push(&RouterMessage::Deliver { connection: ConnectionKey(77), user_seq_last: UserSeq(1), frame: &frame });
        let sent = world.router.end.send_fanout(&[(ConnectionKey(77), UserSeq(1))], 0, &frame);
        assert_eq!(sent, Ok(()));
    }
    world.settle();
    assert_eq!(world.shard.counters().deliveries_late, 1_000);
}
