//! What happens when nothing happens.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_core::{CloseCause, Identity, SWEEP_ROUND, ShardConfig};
use protocol::codes::Code;
use protocol::limits::HANDSHAKE_TIMEOUT;

use crate::support::frames::{self, Hello, ServerFrame};
use crate::support::{ALICE, BOB, PHONE, World};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_silent_socket_is_closed_at_its_deadline_and_not_before() {
    let mut world = World::new();
    let first = world.open();
    world.wait(Duration::from_secs(3));
    let second = world.open();
    world.wait(HANDSHAKE_TIMEOUT - Duration::from_secs(3) - MILLISECOND);
    assert_eq!(world.goodbye(first), None);
    world.wait(MILLISECOND);
    assert_eq!(world.goodbye(first), Some(Code::HelloTimeout));
    assert_eq!(world.goodbye(second), None);
    world.wait(Duration::from_secs(3));
    assert_eq!(world.goodbye(second), Some(Code::HelloTimeout));
}

#[test]
fn each_stage_of_a_handshake_that_takes_too_long_has_its_code() {
    let mut world = World::new();
    world.router.is_lazy = true;
    let silent = world.open();
    let unchecked = world.open();
    world.send(unchecked, &Hello::default().frame());
    let unopened = world.open();
    world.send(unopened, &Hello::default().frame());
    world.accept(unopened, ALICE);
    world.wait(HANDSHAKE_TIMEOUT);
    assert_eq!(world.goodbye(silent), Some(Code::HelloTimeout));
    assert_eq!(world.goodbye(unchecked), Some(Code::Overloaded));
    assert_eq!(world.goodbye(unopened), Some(Code::RouterUnavailable));
    assert_eq!(world.router.farewells, [unopened.into()]);
}

#[test]
fn a_session_that_is_not_heard_of_for_two_intervals_is_closed() {
    let mut world = World::new();
    let (quiet, alive) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    let interval = ShardConfig::default().heartbeat_interval;
    for _ in 0..4 {
        world.wait(interval / 2 - MILLISECOND);
        world.send(alive, &frames::ping());
        assert_eq!(world.goodbye(quiet), None);
    }
    world.wait(4 * MILLISECOND + SWEEP_ROUND);
    assert_eq!(world.goodbye(quiet), Some(Code::HeartbeatMissed));
    assert_eq!(world.goodbye(alive), None);
    assert_eq!(world.router.farewells, [quiet.into()]);
}

#[test]
fn who_pings_and_never_reads_is_closed_and_who_reads_late_is_not() {
    let mut world = World::new();
    let (stuck, late) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    let interval = ShardConfig::default().heartbeat_interval;
    for connection in [stuck, late] {
        world.driver.guests.get_mut(&connection).expect("it is open").is_stuck = true;
    }
    for _ in 0..3 {
        for connection in [stuck, late] {
            world.send(connection, &frames::ping());
        }
        assert_eq!((world.goodbye(stuck), world.goodbye(late)), (None, None));
        world.wait(interval / 2);
    }
    world.driver.guests.get_mut(&late).expect("it is open").is_stuck = false;
    for _ in 0..2 {
        for connection in [stuck, late] {
            world.send(connection, &frames::ping());
        }
        world.wait(interval / 2 + SWEEP_ROUND);
    }
    assert_eq!((world.goodbye(stuck), world.goodbye(late)), (Some(Code::SlowReader), None));
}

#[test]
fn a_gateway_that_has_slept_listens_before_it_closes() {
    let mut world = World::new();
    let (quiet, alive) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.pass(Duration::from_secs(3600));
    assert_eq!((world.goodbye(quiet), world.goodbye(alive)), (None, None));
    world.send(alive, &frames::ping());
    world.wait(ShardConfig::default().heartbeat_interval + SWEEP_ROUND);
    assert_eq!(world.goodbye(quiet), Some(Code::HeartbeatMissed));
    assert_eq!(world.goodbye(alive), None);
}

#[test]
fn a_session_ends_with_its_token() {
    let mut world = World::new();
    let connection = world.open();
    world.send(connection, &Hello::default().frame());
    let expires_at = world.now.wall.plus(Duration::from_secs(20));
    world.shard.handle_authenticated(world.now, connection, Ok(Identity { user: ALICE, device: None, expires_at }));
    world.settle();
    assert!(matches!(world.read(connection).as_slice(), [ServerFrame::Welcome(_)]));
    world.wait(Duration::from_secs(20) - MILLISECOND);
    assert_eq!(world.goodbye(connection), None);
    world.wait(MILLISECOND + SWEEP_ROUND);
    assert_eq!(world.goodbye(connection), Some(Code::TokenExpired));
}

#[test]
fn a_sweep_finds_everybody_in_a_large_shard_within_a_round() {
    let mut world = World::new();
    let connections: Vec<_> = (0..6_000).map(|_| world.open_with(ALICE, Hello::transient())).collect();
    connections.iter().for_each(|connection| world.read(*connection).clear());
    world.wait(2 * ShardConfig::default().heartbeat_interval - MILLISECOND);
    assert_eq!(world.driver.closes, 0);
    world.wait(MILLISECOND + SWEEP_ROUND);
    assert_eq!(world.driver.closes, 6_000);
}

#[test]
fn the_oldest_stranger_makes_room_for_the_newcomer() {
    let config = ShardConfig { handshakes_max: 3, handshakes_per_address_max: 2, ..ShardConfig::default() };
    let mut world = World::without_router(config);
    world.link_up();
    let open_from = |world: &mut World, host| {
        world.open_from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))).expect("a newcomer is never refused")
    };
    let known = open_from(&mut world, 1);
    world.send(known, &Hello::default().frame());
    world.accept(known, ALICE);
    let strangers = [1, 1, 1].map(|host| open_from(&mut world, host));
    assert_eq!(world.goodbye(strangers[0]), Some(Code::Overloaded), "the oldest of its address");
    let others = [2, 3].map(|host| open_from(&mut world, host));
    assert_eq!(world.goodbye(strangers[1]), Some(Code::Overloaded), "the oldest of all");
    for connection in [known, strangers[2], others[0], others[1]] {
        assert_eq!(world.driver.guests.get(&connection).and_then(|guest| guest.closed), None);
    }
}

#[test]
fn a_shard_without_connections_and_link_sleeps() {
    let mut world = World::without_router(ShardConfig::default());
    assert_eq!(world.shard.poll_timeout(), None);
    world.link_up();
    let connection = world.live(ALICE, PHONE);
    assert!(world.shard.poll_timeout().is_some());
    world.driver.end(world.now, &mut world.shard, connection, CloseCause::ByPeer);
    world.settle();
    assert_eq!(world.router.farewells, [connection.into()]);
    world.link_down();
    assert_eq!(world.shard.poll_timeout(), None);
}
