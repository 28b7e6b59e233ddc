//! Receipts over the death of the router: what a device does not report again must be durable before it is told so.

use std::time::Duration;

use protocol::client::RequestId;
use protocol::encode::FrameBuilder;
use protocol::ids::{ConversationId, Seq, UserSeq};
use router_core::RouterConfig;

use crate::store::{ALICE, BOB, CAROL};
use crate::world::{Got, World};
use crate::{ack, direct, id, three_people};

/// So long that a second receipt is still waiting when the router dies.
const CONFIG: fn() -> RouterConfig =
    || RouterConfig { receipt_interval: Duration::from_secs(10), ..RouterConfig::default() };

fn say(world: &mut World, number: u128) {
    world.message(1, direct(), id(number), 0);
    world.settle();
}

#[test]
fn a_read_mark_is_confirmed_when_all_senders_have_its_receipt_and_not_before() {
    for one_log in [true, false] {
        let mut world = three_people(one_log, CONFIG());
        for number in 1..=2 {
            say(&mut world, number);
            world.request(2, FrameBuilder::default().message_read(direct().0, Seq(number as u64)));
            world.settle();
            world.pass(Duration::from_secs(2));
        }
        let told: Vec<Got> = world.got(2).into_iter().filter(|got| matches!(got, Got::ReadByMe(_))).collect();
        assert_eq!(told, [Got::ReadByMe(Seq(1))], "the receipt of the second one waits");
        world.crash();
        world.open(1, ALICE, UserSeq(0));
        world.open(2, BOB, UserSeq(2));
        // It is not confirmed, so the device says it again.
        world.request(2, FrameBuilder::default().message_read(direct().0, Seq(2)));
        world.settle();
        assert_eq!(world.got(1).last(), Some(&Got::Read(Seq(2))));
        world.pass(Duration::from_secs(2));
        assert_eq!(world.got(2).last(), Some(&Got::ReadByMe(Seq(2))));
    }
}

#[test]
fn an_ack_while_the_log_is_read_for_an_earlier_one_waits_for_the_receipts_of_both() {
    let mut world = three_people(true, CONFIG());
    say(&mut world, 1);
    world.request(2, &ack(1));
    world.settle();
    say(&mut world, 2);
    world.message(3, (ConversationId::direct(CAROL, BOB), Some(BOB)), id(3), 0);
    world.settle();
    // A new session claims what the last one did not ack, and acks more while the log is read for that.
    world.open_unsettled(2, BOB, UserSeq(2));
    world.request(2, &ack(3));
    world.settle();
    world.pass(Duration::from_secs(2));
    world.crash();
    world.open(1, ALICE, UserSeq(0));
    world.open(2, BOB, UserSeq(3));
    assert_eq!(world.got(1).last(), Some(&Got::Delivered(Seq(2))));
}

#[test]
fn what_was_acked_beyond_a_rewound_window_has_its_receipt() {
    let mut world = three_people(true, RouterConfig::default());
    for number in 1..=3 {
        say(&mut world, number);
    }
    world.got(1);
    world.request(2, FrameBuilder::default().sync_get(RequestId(1), UserSeq(1)));
    world.request(2, &ack(3));
    world.settle();
    assert_eq!(world.got(1), [Got::Delivered(Seq(3))]);
}
