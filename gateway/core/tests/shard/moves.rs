//! How a connection goes from one shard to the home of its user, told from both ends.

use std::time::Duration;

use gateway_core::{
    CloseCause, ConnectionId, Flow, MovedConnection, ShardConfig, TICKET_KEY_SIZE, TicketKeys, home_shard,
};
use protocol::codes::Code;
use protocol::ids::UserId;

use crate::support::World;
use crate::support::frames::{Hello, ServerFrame};

const SHARDS: u16 = 2;

fn shard_with(config: ShardConfig) -> World {
    let mut world = World::without_router(ShardConfig { shards_count: SHARDS, ..config });
    world.shard.handle_ticket_keys(TicketKeys::new(&[1; TICKET_KEY_SIZE], None));
    world.link_up();
    world
}

fn shard(shard_index: u16) -> World {
    shard_with(ShardConfig { shard_index, ..ShardConfig::default() })
}

fn users_of(shard: u16) -> impl Iterator<Item = UserId> {
    (1..).map(UserId).filter(move |user| home_shard(*user, SHARDS) == shard)
}

fn user_of(shard: u16) -> UserId {
    users_of(shard).next().expect("each is home to some")
}

/// A connection here that has to go to the other shard.
fn stranger(here: &mut World) -> ConnectionId {
    let connection = here.open_with(user_of(1), Hello::default());
    assert_eq!(here.driver.moves.pop(), Some((connection, 1)));
    connection
}

/// What the other shard is told of a connection that has left this one.
fn gone(here: &mut World, connection: ConnectionId) -> MovedConnection {
    let moved = here.shard.handle_leaving(here.now, connection).expect("nobody has closed it");
    here.driver.end(here.now, &mut here.shard, connection, CloseCause::Moved);
    here.settle();
    moved
}

fn arrived(there: &mut World, moved: MovedConnection) -> ConnectionId {
    let connection = there.shard.handle_moved_in(there.now, moved);
    there.driver.admit(connection);
    there.driver.guests.get_mut(&connection).expect("it was just admitted").flow = Flow::Hold;
    there.settle();
    connection
}

#[test]
fn who_is_at_home_elsewhere_is_welcomed_there_and_leaves_nothing_here() {
    let (mut here, mut there) = (shard(0), shard(1));
    let neighbour = here.open_with(user_of(0), Hello::default());
    assert!(here.driver.moves.is_empty() && here.goodbye(neighbour).is_none(), "who is at home stays");
    let connection = stranger(&mut here);
    let moved = gone(&mut here, connection);
    assert_eq!(here.router.opens.len(), 1, "its router is asked for the neighbour alone");
    assert_eq!(here.shard.connections_count(), 1);
    let connection = arrived(&mut there, moved);
    assert!(matches!(there.read(connection)[..], [ServerFrame::Welcome(_)]));
    assert!(!there.is_held(connection));
    assert_eq!(there.router.opens.last().map(|open| open.user), Some(user_of(1)));
    let (here, there) = (here.shard.counters(), there.shard.counters());
    assert_eq!((here.connections_opened, here.connections_moved_out, here.connections_ended), (2, 1, 0));
    assert_eq!((there.connections_opened, there.connections_moved_in), (0, 1));
    assert_eq!((here.tokens_accepted, there.tokens_accepted), (2, 0), "a token is looked at once");
}

#[test]
fn who_comes_back_with_a_ticket_goes_home_too() {
    let (mut here, mut there) = (shard(0), shard(1));
    let first = there.open_with(user_of(1), Hello::default());
    let resume_ticket = match &there.read(first)[..] {
        [ServerFrame::Welcome(welcome)] => welcome.resume_ticket.clone().expect("a device gets one"),
        other => panic!("{other:?}"),
    };
    let connection = here.open();
    here.send(connection, &Hello { resume_ticket, access_token: "", ..Hello::default() }.frame());
    assert_eq!(here.driver.moves.pop(), Some((connection, 1)));
    let moved = gone(&mut here, connection);
    let connection = arrived(&mut there, moved);
    assert!(matches!(there.read(connection)[..], [ServerFrame::Welcome(_)]));
    assert_eq!(there.goodbye(first), Some(Code::Replaced), "both sessions of a device are in one shard");
}

#[test]
fn where_there_is_no_room_it_is_closed_with_a_code_that_says_to_come_again() {
    let mut here = shard(0);
    let mut full = shard_with(ShardConfig { shard_index: 1, connections_max: 1, ..ShardConfig::default() });
    let mut leaving = shard(1);
    full.open_with(user_of(1), Hello::default());
    leaving.shard.handle_drain(leaving.now, Duration::from_secs(1));
    for (there, code) in [(&mut full, Code::Overloaded), (&mut leaving, Code::GoingAway)] {
        let connection = stranger(&mut here);
        let moved = gone(&mut here, connection);
        let opens = there.router.opens.len();
        let connection = arrived(there, moved);
        assert_eq!(there.goodbye(connection), Some(code));
        assert_eq!(there.router.opens.len(), opens, "no router is asked");
        there.driver.end(there.now, &mut there.shard, connection, CloseCause::ByShard);
    }
}

#[test]
fn who_is_closed_before_it_leaves_does_not() {
    let mut here = shard(0);
    let connection = stranger(&mut here);
    here.shard.handle_drain(here.now, Duration::from_secs(1));
    assert!(here.shard.handle_leaving(here.now, connection).is_none());
    here.settle();
    assert_eq!(here.goodbye(connection), Some(Code::GoingAway));
}

#[test]
fn who_waits_for_the_router_at_home_has_the_time_of_a_handshake() {
    let (mut here, mut there) = (shard(0), shard(1));
    there.link_down();
    let connection = stranger(&mut here);
    let moved = gone(&mut here, connection);
    let connection = arrived(&mut there, moved);
    there.wait(ShardConfig::default().handshake_timeout);
    assert_eq!(there.goodbye(connection), Some(Code::RouterUnavailable));
}
