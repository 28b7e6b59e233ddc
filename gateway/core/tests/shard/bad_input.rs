//! The catalogue of what a peer may do wrong, and the code of each. Whatever it is, another connection goes on.

use std::time::Duration;

use gateway_core::{AuthRefusal, ConnectionId};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::limits::{FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX};
use protocol::wire::ClientBody;

use crate::support::frames::{self, Hello, ServerFrame};
use crate::support::{ALICE, BOB, PHONE, World};

/// A world in which somebody is well.
fn world() -> (World, ConnectionId) {
    let mut world = World::new();
    let witness = world.live(BOB, PHONE);
    (world, witness)
}

#[track_caller]
fn is_well(world: &mut World, witness: ConnectionId) {
    world.send(witness, &frames::ping());
    assert!(matches!(world.read(witness).as_slice(), [ServerFrame::Pong(..)]));
}

/// Bytes that are no frame.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let good = frames::message(protocol::time::WallTime(1_764_000_000_000), 1, 100);
    let mut flipped = good.clone();
    flipped.iter_mut().take(8).for_each(|byte| *byte ^= 0xff);
    vec![
        ("nothing", vec![]),
        ("one byte", vec![0]),
        ("plain HTTP", b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n".to_vec()),
        ("all ones", vec![0xff; 300]),
        ("half a frame", good[..good.len() / 2].to_vec()),
        ("a frame with its offsets turned round", flipped),
        ("a frame of the server", FrameBuilder::default().go_away(Code::GoingAway, 0, 0)[1..].to_vec()),
    ]
}

#[test]
fn what_is_no_frame_closes_before_and_after_the_hello() {
    let (mut world, witness) = world();
    for (what, bytes) in garbage() {
        let stranger = world.open();
        world.send(stranger, &bytes);
        assert_eq!(world.goodbye(stranger), Some(Code::FrameInvalid), "{what}");
        let live = world.live(ALICE, PHONE);
        world.send(live, &bytes);
        assert_eq!(world.goodbye(live), Some(Code::FrameInvalid), "{what}");
    }
    is_well(&mut world, witness);
}

/// FlatBuffers reads zeros as a table without any field.
#[test]
fn zeros_are_a_frame_without_a_body() {
    let (mut world, witness) = world();
    let stranger = world.open();
    world.send(stranger, &[0; 300]);
    assert_eq!(world.goodbye(stranger), Some(Code::HelloExpected));
    let live = world.live(ALICE, PHONE);
    world.send(live, &[0; 300]);
    assert_eq!((world.goodbye(live), world.shard.counters().frames_skipped), (None, 1));
    is_well(&mut world, witness);
}

#[test]
fn every_single_bit_of_a_hello_may_be_wrong() {
    let (mut world, witness) = world();
    let hello = Hello::default().frame();
    for bit in 0..hello.len() * 8 {
        let mut bytes = hello.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let connection = world.open();
        world.send(connection, &bytes);
        let is_asked = world.driver.tokens.pop().is_some();
        let code = world.driver.guests.get(&connection).and_then(|guest| guest.closed);
        assert_ne!(is_asked, code.is_some(), "bit {bit}: either its token is checked or it is closed");
    }
    is_well(&mut world, witness);
}

#[test]
fn a_frame_that_is_too_large_closes() {
    let (mut world, witness) = world();
    let stranger = world.open();
    world.send(stranger, &vec![1; FRAME_SIZE_UNAUTHENTICATED_MAX + 1]);
    assert_eq!(world.goodbye(stranger), Some(Code::FrameTooLarge));
    let live = world.live(ALICE, PHONE);
    world.send(live, &vec![1; FRAME_SIZE_MAX + 1]);
    assert_eq!(world.goodbye(live), Some(Code::FrameTooLarge));
    is_well(&mut world, witness);
}

#[test]
fn a_frame_out_of_its_place_closes() {
    let (mut world, witness) = world();
    for bytes in [frames::ping(), frames::ack(1), frames::lookup(), frames::unknown(None)] {
        let stranger = world.open();
        world.send(stranger, &bytes);
        assert_eq!(world.goodbye(stranger), Some(Code::HelloExpected));
    }
    let live = world.live(ALICE, PHONE);
    world.send(live, &Hello::default().frame());
    assert_eq!(world.goodbye(live), Some(Code::HelloExpected));
    is_well(&mut world, witness);
}

#[test]
fn a_token_that_is_refused_closes_with_the_reason() {
    let (mut world, witness) = world();
    for (refusal, code) in [
        (AuthRefusal::Invalid, Code::TokenInvalid),
        (AuthRefusal::Expired, Code::TokenExpired),
        (AuthRefusal::Busy, Code::Overloaded),
    ] {
        let connection = world.open();
        world.send(connection, &Hello::default().frame());
        world.shard.handle_authenticated(world.now, connection, Err(refusal));
        world.settle();
        assert_eq!(world.goodbye(connection), Some(code));
    }
    assert_eq!(world.router.opens.len(), 1, "the router never hears of them");
    is_well(&mut world, witness);
}

#[test]
fn what_the_driver_finds_closes_with_its_code() {
    let (mut world, witness) = world();
    for code in [Code::FrameTimeout, Code::FrameTooLarge, Code::Overloaded] {
        let connection = world.live(ALICE, PHONE);
        world.shard.handle_violation(world.now, connection, code);
        world.shard.handle_violation(world.now, connection, Code::InternalError);
        world.settle();
        assert_eq!(world.goodbye(connection), Some(code), "the first one counts");
    }
    is_well(&mut world, witness);
}

#[test]
fn what_is_pipelined_behind_a_fatal_frame_is_never_looked_at() {
    let (mut world, witness) = world();
    let connection = world.open();
    world.send(connection, &Hello::default().frame());
    world.send(connection, &frames::ack(1));
    world.send(connection, &[0xff; 10]);
    world.send(connection, &frames::ack(2));
    world.accept(connection, ALICE);
    assert_eq!(world.goodbye(connection), Some(Code::FrameInvalid));
    assert_eq!(world.router.requests, [(connection.into(), frames::ack(1))]);
    is_well(&mut world, witness);
}

#[test]
fn questions_without_end_are_refused_and_others_are_answered() {
    let (mut world, witness) = world();
    let connection = world.live(ALICE, PHONE);
    (0..50).for_each(|_| world.send(connection, &frames::lookup()));
    let refused = world.read(connection);
    let limited = ServerFrame::Error(Code::RateLimited, ClientBody::UserLookup, None);
    assert!(refused.len() >= 40 && refused.iter().all(|frame| *frame == limited));
    assert_eq!(world.router.requests.len(), 50 - refused.len());
    world.wait(Duration::from_secs(1));
    world.send(connection, &frames::lookup());
    assert_eq!(world.read(connection), []);
    is_well(&mut world, witness);
}

#[test]
fn a_code_of_the_router_that_closes_nothing_is_a_fault_of_ours() {
    let (mut world, witness) = world();
    let connection = world.live(ALICE, PHONE);
    world.router.refuse(connection.into(), Code::NotPermitted);
    world.settle();
    assert_eq!(world.goodbye(connection), Some(Code::InternalError));
    is_well(&mut world, witness);
}
