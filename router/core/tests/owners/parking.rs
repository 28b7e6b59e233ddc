//! Who neither says nor hears anything is forgotten but for the sessions, and served as ever when something happens.

use std::time::Duration;

use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, Seq, UserSeq};
use protocol::time::{Instant, Now};
use protocol::wire::ServerBody;
use router_core::{LinkId, Order, RouterConfig};
use storage_api::Request;

use crate::devices::{list, revoke};
use crate::store::BOB;
use crate::world::{Got, WALL, World};
use crate::{ack, direct, id, three_people};

const PARK_AFTER: Duration = Duration::from_secs(100);

fn config() -> RouterConfig {
    RouterConfig { park_after: PARK_AFTER, ..RouterConfig::default() }
}

/// Users and conversations in memory, and sessions beside them.
fn in_memory(world: &World) -> (u64, u64, u64) {
    let gauges = world.router.gauges();
    (gauges.users, gauges.conversations, gauges.sessions_parked)
}

/// The sweep comes twice: it sees that they were needed, and that they are not any more.
fn wait_for_the_sweep(world: &mut World) {
    world.pass(PARK_AFTER);
    world.pass(PARK_AFTER);
}

/// Alice has said something to Bob, both have acked all of it, and everybody is parked.
fn parked(one_log: bool) -> World {
    let mut world = three_people(one_log, config());
    world.message(1, direct(), id(1), 0);
    world.settle();
    world.request(2, &ack(1));
    world.settle();
    world.request(1, &ack(2));
    world.pass(Duration::from_secs(5));
    world.got(1);
    world.got(2);
    wait_for_the_sweep(&mut world);
    assert_eq!(in_memory(&world), (0, 0, 3));
    // So that a conversation wakes nobody by being loaded.
    world.store.fanned.insert(direct().0, Seq(1));
    world
}

#[test]
fn who_is_parked_gets_what_is_said_next_and_once() {
    for one_log in [true, false] {
        let mut world = parked(one_log);
        world.message(1, direct(), id(2), 0);
        world.settle();
        assert_eq!(world.got(1), [Got::Acked(id(2), Seq(2)), Got::Echo(UserSeq(3), Seq(2))]);
        assert_eq!(world.got(2), [Got::Message(UserSeq(2), Seq(2))]);
        assert_eq!(in_memory(&world), (2, 1, 1), "Carol sleeps on");
        world.request(2, &ack(2));
        world.settle();
        assert_eq!(world.got(1), [Got::Delivered(Seq(2))]);
        assert_eq!((world.router.counters().users_parked, world.router.counters().users_woken), (3, 2));
    }
}

#[test]
fn a_second_device_finds_the_parked_one_and_the_time_at_which_it_left() {
    let mut world = parked(true);
    world.open_device(4, BOB, None, Some(ClientMsgId([8; 16])), UserSeq(0));
    world.settle();
    assert_eq!(world.got(4), [Got::Other(ServerBody::Snapshot)]);
    world.message(1, direct(), id(2), 0);
    world.settle();
    assert_eq!(world.got(2), [Got::Message(UserSeq(2), Seq(2))]);
    assert_eq!(world.got(4), [Got::Message(UserSeq(2), Seq(2))]);
    world.request(2, &ack(2));
    world.request(4, &ack(2));
    world.pass(Duration::from_secs(5));
    wait_for_the_sweep(&mut world);
    world.close(2);
    let listed = list(&mut world, 4);
    assert!(listed.iter().any(|device| !device.online && device.was_seen), "{listed:?}");
    assert!(listed.iter().any(|device| device.online && !device.was_seen), "{listed:?}");
}

#[test]
fn a_revoke_cuts_off_a_parked_session() {
    for one_log in [true, false] {
        let mut world = parked(one_log);
        let pocket = world.device(BOB);
        world.open_device(4, BOB, None, Some(ClientMsgId([8; 16])), UserSeq(0));
        world.pass(Duration::from_secs(5));
        wait_for_the_sweep(&mut world);
        assert_eq!(in_memory(&world).2, 4);
        world.got(4);
        world.request(4, &revoke(pocket, 2));
        world.settle();
        assert_eq!(world.got(4), [Got::Done]);
        assert_eq!(world.got(2), [Got::Closed(Code::DeviceRevoked)]);
    }
}

#[test]
fn a_device_that_comes_again_replaces_its_parked_session() {
    let mut world = parked(true);
    world.open(4, BOB, UserSeq(1));
    assert_eq!(world.got(2), [Got::Closed(Code::Replaced)]);
    world.message(1, direct(), id(2), 0);
    world.settle();
    assert_eq!((world.got(2), world.got(4)), (vec![], vec![Got::Message(UserSeq(2), Seq(2))]));
}

#[test]
fn parked_sessions_end_without_their_users_being_loaded() {
    let mut world = parked(true);
    world.close(2);
    assert_eq!((in_memory(&world), world.asked.len()), ((0, 0, 2), 0));
    world.router.handle_link_down(Now { monotonic: Instant(1 << 40), wall: WALL }, LinkId(1));
    assert_eq!((in_memory(&world), world.asked.len()), ((0, 0, 0), 0));
}

#[test]
fn a_session_that_ends_while_its_user_is_being_loaded_gets_nothing_more() {
    let mut world = parked(true);
    world.message(1, direct(), id(2), 0);
    while !world.asked.iter().any(|(_, request)| *request == Request::LoadUser(BOB)) {
        world.answer(0);
    }
    world.close(2);
    world.settle();
    assert_eq!((world.got(2), in_memory(&world)), (vec![], (2, 1, 1)));
}

#[test]
fn a_parked_user_that_is_erased_is_cut_off() {
    let mut world = parked(true);
    world.order(7, Order::EraseUser(BOB));
    assert_eq!(world.got(2), [Got::Closed(Code::UserUnknown)]);
    world.settle();
    assert_eq!(in_memory(&world).2, 2, "nobody else is woken");
}

#[test]
fn who_is_parked_sees_somebody_typing() {
    let mut world = parked(true);
    world.request(1, FrameBuilder::default().typing(direct().0, true));
    world.settle();
    assert_eq!(world.got(2), [Got::Other(ServerBody::Ephemeral)]);
}

#[test]
fn nobody_is_parked_before_the_device_has_acked_what_it_was_sent() {
    let mut world = three_people(true, config());
    world.message(1, direct(), id(1), 0);
    world.settle();
    wait_for_the_sweep(&mut world);
    wait_for_the_sweep(&mut world);
    assert_eq!(in_memory(&world), (2, 0, 1), "Carol has nothing to ack");
    world.request(2, &ack(1));
    world.settle();
    assert_eq!(world.got(1).last(), Some(&Got::Delivered(Seq(1))), "what an ack stands for is known");
}

#[test]
fn who_is_needed_again_and_again_is_not_parked() {
    let mut world = parked(true);
    world.message(1, direct(), id(2), 0);
    world.settle();
    for number in 3..10 {
        world.pass(PARK_AFTER * 2 / 3);
        world.message(1, direct(), id(number), 0);
        world.settle();
        world.request(2, &ack(number as u64));
        world.settle();
    }
    assert_eq!(world.router.counters().users_woken, 2);
}

#[test]
fn beyond_the_bound_a_user_with_sessions_is_parked_too() {
    let mut world = three_people(true, RouterConfig { users_max: 1, ..config() });
    assert_eq!(in_memory(&world), (1, 0, 2));
    world.message(1, direct(), id(1), 0);
    world.settle();
    assert_eq!(world.got(2), [Got::Message(UserSeq(1), Seq(1))]);
}
