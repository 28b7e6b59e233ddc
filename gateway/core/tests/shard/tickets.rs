//! What a device shows when it comes back: a ticket instead of a token, and what neither of them can do.

use std::time::Duration;

use gateway_core::{ConnectionId, Identity, SWEEP_ROUND, TICKET_KEY_SIZE, TicketKeys};
use protocol::codes::Code;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId};
use protocol::time::WallTime;

use crate::support::frames::{Hello, ServerFrame};
use crate::support::{ALICE, BOB, LAPTOP, PHONE, World};

const HOUR: Duration = Duration::from_secs(3600);

fn with_key(key: u8) -> World {
    let mut world = World::new();
    exchange_keys(&mut world, key, None);
    world
}

fn exchange_keys(world: &mut World, current: u8, previous: Option<u8>) {
    let previous = previous.map(|byte| [byte; TICKET_KEY_SIZE]);
    world.shard.handle_ticket_keys(TicketKeys::new(&[current; TICKET_KEY_SIZE], previous.as_ref()));
}

/// The ticket of Alice's phone, whose token lasts for an hour.
fn ticket(world: &mut World) -> Vec<u8> {
    let connection = world.open();
    world.send(connection, &Hello::default().frame());
    let expires_at = world.now.wall.plus(HOUR);
    world.authenticate(connection, Identity { user: ALICE, device: None, expires_at });
    match &world.read(connection)[..] {
        [ServerFrame::Welcome(welcome)] => welcome.resume_ticket.clone().expect("a device gets one"),
        other => panic!("{other:?}"),
    }
}

/// Whether it was welcomed without a look at its token.
fn comes_back_with(world: &mut World, hello: &Hello) -> (ConnectionId, bool) {
    world.driver.tokens.clear();
    let connection = world.open();
    world.send(connection, &hello.frame());
    let is_welcome = matches!(world.read(connection)[..], [ServerFrame::Welcome(_)]);
    assert_eq!(is_welcome, world.driver.tokens.is_empty(), "a ticket that is of no use leaves it to the token");
    (connection, is_welcome)
}

#[test]
fn a_ticket_opens_a_session_without_a_token() {
    let mut world = with_key(1);
    let resume_ticket = ticket(&mut world);
    let (connection, is_welcome) =
        comes_back_with(&mut world, &Hello { resume_ticket, access_token: "", ..Hello::default() });
    assert!(is_welcome);
    let open = world.router.opens.last().expect("the router is asked all the same");
    assert_eq!((open.user, open.device, open.device_generation), (ALICE, PHONE, DeviceGeneration(1)));
    assert_eq!(world.shard.counters().tickets_accepted, 1);
    assert_eq!(world.goodbye(connection), None);
}

#[test]
fn a_ticket_is_for_its_device_and_its_generation_alone() {
    let mut world = with_key(1);
    let resume_ticket = ticket(&mut world);
    let hello = Hello { resume_ticket, ..Hello::default() };
    let install_id = Some(ClientMsgId([9; 16]));
    for other in [
        Hello { device: LAPTOP, ..hello.clone() },
        Hello { device_generation: DeviceGeneration(2), ..hello.clone() },
        Hello { install_id, ..hello.clone() },
        Hello { device: DeviceId(0), device_generation: DeviceGeneration(0), install_id, ..hello.clone() },
        Hello { resume_ticket: hello.resume_ticket.clone(), ..Hello::transient() },
    ] {
        assert!(!comes_back_with(&mut world, &other).1, "{other:?}");
    }
    assert!(comes_back_with(&mut world, &hello).1);
}

#[test]
fn a_ticket_and_its_session_end_with_the_token() {
    let mut world = with_key(1);
    let resume_ticket = ticket(&mut world);
    let hello = Hello { resume_ticket, ..Hello::default() };
    world.pass(HOUR - Duration::from_secs(20));
    let (connection, is_welcome) = comes_back_with(&mut world, &hello);
    assert!(is_welcome);
    world.wait(Duration::from_secs(20) + SWEEP_ROUND);
    assert_eq!(world.goodbye(connection), Some(Code::TokenExpired));
    assert!(!comes_back_with(&mut world, &hello).1);
}

#[test]
fn a_ticket_of_the_key_before_is_taken_and_one_of_an_older_key_is_not() {
    let mut world = with_key(1);
    let resume_ticket = ticket(&mut world);
    let hello = Hello { resume_ticket, ..Hello::default() };
    exchange_keys(&mut world, 2, Some(1));
    assert!(comes_back_with(&mut world, &hello).1);
    exchange_keys(&mut world, 3, Some(2));
    assert!(!comes_back_with(&mut world, &hello).1);
}

#[test]
fn a_token_that_is_bound_to_a_device_makes_no_other_device_and_links_none_anew() {
    let mut world = World::new();
    let bound = Identity { user: BOB, device: Some((PHONE, DeviceGeneration(1))), expires_at: WallTime(u64::MAX) };
    for (install_id, wanted) in [(None, None), (Some(ClientMsgId([9; 16])), Some(Code::TokenInvalid))] {
        let connection = world.open();
        world.send(connection, &Hello { install_id, ..Hello::default() }.frame());
        world.authenticate(connection, bound);
        assert_eq!(world.goodbye(connection), wanted);
    }
}
