//! From the first frame to the last: what a session is, and what its client gets.

use std::time::Duration;

use gateway_core::{CloseCause, Flow, Identity, ShardConfig};
use protocol::codes::Code;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId, StoreIncarnation, UserSeq};
use protocol::link::{ConnectionKey, RouterMessage};
use protocol::time::WallTime;
use protocol::wire::Durability;

use crate::support::frames::{self, Hello, ServerFrame, Welcome};
use crate::support::router::{USER_EPOCH, USER_HEAD};
use crate::support::{ALICE, BOB, LAPTOP, PHONE, World};

#[test]
fn a_hello_is_authenticated_opened_and_welcomed() {
    let mut world = World::new();
    let connection = world.open_with(ALICE, Hello::default());
    let [ServerFrame::Welcome(welcome)] = &world.read(connection)[..] else { panic!("one Welcome") };
    let wanted = Welcome {
        version: 1,
        session: welcome.session,
        user: ALICE,
        handle: World::name_of(ALICE),
        device: PHONE,
        device_generation: DeviceGeneration(1),
        heartbeat_interval_ms: 30_000,
        resumed: true,
        store_incarnation: StoreIncarnation(7),
        user_epoch: USER_EPOCH,
        user_head: USER_HEAD,
        resume_ticket: None,
        server_time: world.now.wall,
        durability: Durability::Fsync,
    };
    assert_eq!(*welcome, wanted);
    let open = world.router.opens.first().expect("it was asked");
    assert_eq!((open.user, open.device, open.user_cursor, open.session.is_some()), (ALICE, PHONE, UserSeq(90), false));
    assert_eq!((open.device_name.as_str(), open.user_epoch), ("pocket", USER_EPOCH));
}

#[test]
fn nothing_is_read_between_hello_and_welcome_and_what_was_pipelined_follows() {
    let mut world = World::new();
    world.router.is_lazy = true;
    let connection = world.open();
    world.send(connection, &Hello::default().frame());
    world.send(connection, &frames::ping());
    world.send(connection, &frames::ack(1));
    assert!(world.is_held(connection));
    world.accept(connection, ALICE);
    assert!(world.is_held(connection));
    assert!(world.router.answer_next());
    world.settle();
    let received: Vec<_> = world.read(connection);
    assert!(matches!(received.as_slice(), [ServerFrame::Welcome(_), ServerFrame::Pong(..)]), "{received:?}");
    assert_eq!(world.router.requests, [(connection.into(), frames::ack(1))]);
}

#[test]
fn a_device_registers_and_gets_its_id_and_a_transient_session_has_none() {
    let mut world = World::new();
    let install_id = Some(ClientMsgId([9; 16]));
    let registering =
        Hello { device: DeviceId(0), device_generation: DeviceGeneration(0), install_id, ..Hello::default() };
    let connection = world.open_with(ALICE, registering);
    let [ServerFrame::Welcome(welcome)] = &world.read(connection)[..] else { panic!("one Welcome") };
    assert_eq!((welcome.device, welcome.device_generation), (DeviceId(500), DeviceGeneration(1)));
    assert_eq!(world.router.opens.last().map(|open| open.install_id), Some(install_id));

    let connection = world.open_with(ALICE, Hello::transient());
    let [ServerFrame::Welcome(welcome)] = &world.read(connection)[..] else { panic!("one Welcome") };
    assert_eq!(welcome.device, DeviceId(0));
    assert!(world.router.opens.last().is_some_and(|open| open.transient));
}

#[test]
fn the_newcomer_of_a_device_wins_and_others_stay() {
    let mut world = World::new();
    let old = world.live(ALICE, PHONE);
    let laptop = world.live(ALICE, LAPTOP);
    let of_bob = world.live(BOB, PHONE);
    let new = world.live(ALICE, PHONE);
    assert_eq!(world.goodbye(old), Some(Code::Replaced));
    assert_eq!(world.router.farewells, [old.into()]);
    for connection in [laptop, of_bob, new] {
        world.send(connection, &frames::ping());
        assert!(matches!(world.read(connection).as_slice(), [ServerFrame::Pong(..)]));
    }
}

#[test]
fn a_newcomer_that_the_router_refuses_replaces_nobody() {
    let mut world = World::new();
    let old = world.live(ALICE, PHONE);
    world.router.is_lazy = true;
    let new = world.open_with(ALICE, Hello::default());
    world.router.refuse(new.into(), Code::DeviceRevoked);
    world.settle();
    assert_eq!(world.goodbye(new), Some(Code::DeviceRevoked));
    assert_eq!(world.goodbye(old), None);
    assert_eq!(world.router.farewells, [], "the router has forgotten it by itself");
}

#[test]
fn transient_sessions_replace_nobody() {
    let mut world = World::new();
    let connections = [(); 3].map(|()| world.open_with(ALICE, Hello::transient()));
    for connection in connections {
        assert_eq!(world.goodbye(connection), None);
    }
}

#[test]
fn a_token_that_is_not_good_here_closes() {
    let mut world = World::new();
    let expires_at = world.now.wall.plus(Duration::from_secs(60));
    let generation = DeviceGeneration;
    for (device, wanted) in [
        (None, None),
        (Some((PHONE, generation(1))), None),
        (Some((PHONE, generation(2))), Some(Code::TokenInvalid)),
        (Some((LAPTOP, generation(1))), Some(Code::TokenInvalid)),
    ] {
        let connection = world.open();
        world.send(connection, &Hello::default().frame());
        world.shard.handle_authenticated(world.now, connection, Ok(Identity { user: ALICE, device, expires_at }));
        world.settle();
        assert_eq!(world.goodbye(connection), wanted, "{device:?}");
    }
    let connection = world.open();
    world.send(connection, &Hello::default().frame());
    let expired = Identity { user: ALICE, device: None, expires_at: world.now.wall };
    world.shard.handle_authenticated(world.now, connection, Ok(expired));
    world.settle();
    assert_eq!(world.goodbye(connection), Some(Code::TokenExpired));
}

#[test]
fn a_verdict_that_comes_too_late_changes_nothing() {
    let mut world = World::new();
    let closed = world.open();
    world.send(closed, &Hello::default().frame());
    world.shard.handle_violation(world.now, closed, Code::FrameTimeout);
    world.settle();
    world.accept(closed, ALICE);
    assert_eq!(world.goodbye(closed), Some(Code::FrameTimeout));
    world.driver.end(world.now, &mut world.shard, closed, CloseCause::ByShard);
    let next = world.open();
    assert_eq!(next.index, closed.index);
    world.accept(closed, ALICE);
    assert_eq!((world.goodbye(next), world.router.opens.len()), (None, 0));
}

#[test]
fn a_pong_tells_the_end_of_the_log_as_far_as_it_was_delivered() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    world.send(connection, &frames::ping());
    assert_eq!(world.read(connection), [ServerFrame::Pong(USER_HEAD, world.now.wall)]);
    let frame = frames::push(UserSeq(101));
    world.push(&RouterMessage::Deliver { connection: connection.into(), user_seq_last: UserSeq(101), frame: &frame });
    world.send(connection, &frames::ping());
    let wanted = [ServerFrame::Push(UserSeq(101)), ServerFrame::Pong(UserSeq(101), world.now.wall)];
    assert_eq!(world.read(connection), wanted);
}

#[test]
fn one_push_for_many_reaches_each_with_its_own_user_seq() {
    let mut world = World::new();
    let connections = [world.live(ALICE, PHONE), world.live(ALICE, LAPTOP), world.live(BOB, PHONE)];
    let (at, frame) = frames::push_template();
    let mut targets: Vec<(ConnectionKey, UserSeq)> =
        connections.iter().zip(200..).map(|(connection, seq)| ((*connection).into(), UserSeq(seq))).collect();
    targets.push((ConnectionKey(u64::MAX), UserSeq(9)));
    world.router.end.send_fanout(&targets, at, &frame).expect("the window is open");
    world.settle();
    for (connection, user_seq) in connections.into_iter().zip(200..) {
        assert_eq!(world.read(connection), [ServerFrame::Push(UserSeq(user_seq))]);
    }
    let counters = world.shard.counters();
    assert_eq!((counters.fanouts, counters.deliveries_late), (1, 1));
}

#[test]
fn a_refused_frame_names_itself_and_the_session_goes_on() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    let too_large = frames::message(world.now.wall, 1, protocol::limits::BODY_SIZE_MAX + 1);
    let client_op_id = ClientMsgId::new(world.now.wall, 2);
    world.send(connection, &too_large);
    world.send(connection, &frames::direct_create(client_op_id));
    world.send(connection, &frames::unknown(Some(client_op_id)));
    world.send(connection, &frames::unknown(None));
    world.send(connection, &frames::ping());
    use protocol::wire::{ClientBody, OpStatus};
    let client_msg_id = ClientMsgId::new(world.now.wall, 1);
    let wanted = [
        ServerFrame::Error(Code::TooLarge, ClientBody::MessageSend, Some(client_msg_id)),
        ServerFrame::OpAck(client_op_id, OpStatus::Refused, Code::Malformed),
        ServerFrame::OpAck(client_op_id, OpStatus::Unsupported, Code::Unsupported),
        ServerFrame::Pong(USER_HEAD, world.now.wall),
    ];
    assert_eq!(world.read(connection), wanted);
    assert_eq!(world.router.requests, []);
    let counters = world.shard.counters();
    assert_eq!((counters.refusals.count(Code::TooLarge), counters.frames_skipped), (1, 1));
}

#[test]
fn who_does_not_take_what_is_sent_is_closed_and_others_are_not() {
    let mut world = World::new();
    let (slow, quick) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.driver.guests.get_mut(&slow).expect("it is open").is_stuck = true;
    let page = vec![1; 60_000];
    let mut delivered = 0;
    while world.driver.guests.get(&slow).is_some_and(|guest| guest.closed.is_none()) {
        for connection in [slow, quick] {
            let frame = &page[..];
            world.push(&RouterMessage::Deliver { connection: connection.into(), user_seq_last: UserSeq(0), frame });
        }
        delivered += 1;
        assert!(delivered < 100, "the bound holds");
    }
    let guest = world.driver.guests.get(&slow).expect("it is open");
    assert_eq!(guest.closed, Some(Code::SlowReader));
    let goodbye_bytes_max = 1024;
    assert!(guest.queue_bytes <= ShardConfig::default().send_queue_bytes_max + goodbye_bytes_max);
    assert_eq!(world.driver.guests.get(&quick).and_then(|guest| guest.closed), None);
    assert_eq!(world.router.farewells, [slow.into()]);
}

#[test]
fn a_drain_sends_everybody_away_and_takes_nobody() {
    let mut world = World::new();
    let live = world.live(ALICE, PHONE);
    let stranger = world.open();
    world.shard.handle_drain(world.now, Duration::from_secs(90));
    world.settle();
    for connection in [live, stranger] {
        assert_eq!(world.read(connection), [ServerFrame::GoAwayWithin(Code::GoingAway, 0, 90_000)]);
    }
    assert_eq!(world.router.farewells, [live.into()]);
    let refused = world.open_from("192.0.2.1".parse().expect("an address"));
    assert_eq!(refused, Err(gateway_core::Refusal::Draining));
}

#[test]
fn a_full_shard_takes_no_more_until_somebody_has_gone() {
    let mut world = World::without_router(ShardConfig { connections_max: 2, ..ShardConfig::default() });
    let address = "192.0.2.1".parse().expect("an address");
    let first = world.open();
    world.open();
    assert_eq!(world.open_from(address), Err(gateway_core::Refusal::Full));
    world.driver.end(world.now, &mut world.shard, first, CloseCause::Lost);
    assert!(world.open_from(address).is_ok());
    let counters = world.shard.counters();
    assert_eq!((counters.connections_opened, counters.connections_refused, counters.ended_lost), (3, 1, 1));
}

#[test]
fn other_limits_hold_for_newcomers_and_drop_nobody() {
    let mut world = World::new();
    let alice = world.live(ALICE, PHONE);
    let stranger = world.open();
    world.shard.handle_limits(ShardConfig { connections_max: 1, handshakes_max: 1, ..ShardConfig::default() });
    world.settle();
    let address = "192.0.2.1".parse().expect("an address");
    assert_eq!(world.open_from(address), Err(gateway_core::Refusal::Full));
    world.shard.handle_limits(ShardConfig { handshakes_max: 1, ..ShardConfig::default() });
    assert!(world.open_from(address).is_ok());
    assert_eq!(world.goodbye(stranger), Some(Code::Overloaded), "the oldest stranger makes room");
    world.send(alice, &frames::ping());
    assert_eq!(world.read(alice).len(), 1, "who is there stays");
}

#[test]
fn what_a_client_was_told_outlives_other_limits() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    let heartbeat_interval = Duration::from_secs(1);
    world.shard.handle_limits(ShardConfig { heartbeat_interval, ..ShardConfig::default() });
    world.wait(ShardConfig::default().heartbeat_interval);
    assert_eq!(world.driver.guests.get(&connection).and_then(|guest| guest.closed), None);
}

#[test]
fn a_frame_of_a_connection_that_is_closing_is_thrown_away() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    world.shard.handle_drain(world.now, Duration::ZERO);
    assert_eq!(world.shard.handle_frame(world.now, connection, &frames::ack(1)), Flow::Hold);
    world.settle();
    assert_eq!(world.router.requests, []);
    assert_eq!(world.read(connection), [ServerFrame::GoAwayWithin(Code::GoingAway, 0, 0)]);
}

#[test]
fn nothing_is_wanted_of_a_connection_that_has_ended_before_the_drain() {
    let mut world = World::new();
    let connection = world.live(ALICE, PHONE);
    assert_eq!(world.shard.handle_frame(world.now, connection, &frames::ping()), Flow::Continue);
    world.shard.handle_closed(world.now, connection, CloseCause::ByPeer);
    assert_eq!(world.shard.poll_action(), None);
    assert_eq!(world.shard.connections_count(), 0);
    assert_eq!(world.now.wall, WallTime(1_764_000_000_000));
}
