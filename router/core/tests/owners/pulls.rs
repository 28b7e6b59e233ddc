//! Devices that do not keep up: they ask for what they get.

use std::time::Duration;

use protocol::client::RequestId;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{Seq, UserSeq};
use protocol::wire::ServerBody;
use router_core::RouterConfig;

use crate::world::{Got, World};
use crate::{ack, direct, id, three_people};

const PULL_MODE: Got = Got::Other(ServerBody::PullMode);
const WINDOW: u64 = 4;

/// Bob has not acked a full window for too long, and more waits for him.
fn one_who_pulls() -> World {
    let config = RouterConfig { push_window_events: WINDOW as usize, ..RouterConfig::default() };
    let mut world = three_people(true, config);
    say(&mut world, 1..=10);
    assert_eq!(world.got(2), pushed(1..=WINDOW));
    pass(&mut world, config.pull_after);
    assert_eq!(world.got(2), [PULL_MODE]);
    world
}

/// In steps that keep the link alive.
fn pass(world: &mut World, duration: Duration) {
    (0..duration.as_millis() / 500).for_each(|_| world.pass(Duration::from_millis(500)));
}

fn say(world: &mut World, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        world.message(1, direct(), id(number.into()), 0);
        world.settle();
        world.request(1, &ack(number));
    }
    world.got(1);
}

fn pushed(seqs: std::ops::RangeInclusive<u64>) -> Vec<Got> {
    seqs.map(|seq| Got::Message(UserSeq(seq), Seq(seq))).collect()
}

fn ask(world: &mut World, after: u64) -> Vec<Got> {
    world.request(2, FrameBuilder::default().sync_get(RequestId(1), UserSeq(after)));
    world.settle();
    world.got(2)
}

#[test]
fn a_device_that_leaves_a_full_window_unacked_is_pushed_nothing_until_it_has_pulled_up_to_the_head() {
    let mut world = one_who_pulls();
    say(&mut world, 11..=12);
    assert_eq!(world.got(2), [], "it was told already");
    assert_eq!(ask(&mut world, 4), [Got::Page(UserSeq(5), 4)]);
    say(&mut world, 13..=14);
    assert_eq!(world.got(2), [PULL_MODE], "once for each page");
    assert_eq!(ask(&mut world, 8), [Got::Page(UserSeq(9), 4)]);
    assert_eq!(ask(&mut world, 12), [Got::Page(UserSeq(13), 2)]);
    say(&mut world, 15..=15);
    assert_eq!(world.got(2), pushed(15..=15));
    assert_eq!((world.router.counters().pulls_begun, world.router.counters().pulls_ended), (1, 1));
}

#[test]
fn what_was_pulled_and_is_acked_is_delivered() {
    let mut world = one_who_pulls();
    ask(&mut world, 4);
    ask(&mut world, 8);
    say(&mut world, 11..=11);
    assert_eq!(world.got(2), pushed(11..=11));
    world.request(2, &ack(11));
    world.settle();
    assert_eq!(world.got(1), [Got::Delivered(Seq(11))]);
}

#[test]
fn a_window_that_is_acked_in_time_stays_pushed() {
    let config = RouterConfig { push_window_events: WINDOW as usize, ..RouterConfig::default() };
    let mut world = three_people(true, config);
    say(&mut world, 1..=40);
    for number in 1..=36 {
        pass(&mut world, config.pull_after / 5);
        world.request(2, &ack(number));
        world.settle();
    }
    assert_eq!(world.got(2), pushed(1..=40));
}

#[test]
fn a_full_window_with_nothing_behind_it_is_nobodys_lag() {
    let config = RouterConfig { push_window_events: WINDOW as usize, ..RouterConfig::default() };
    let mut world = three_people(true, config);
    say(&mut world, 1..=WINDOW);
    pass(&mut world, config.pull_after * 3);
    assert_eq!(world.got(2), pushed(1..=WINDOW));
    say(&mut world, WINDOW + 1..=WINDOW + 1);
    pass(&mut world, Duration::from_millis(500));
    assert_eq!(world.got(2), [PULL_MODE]);
}

/// As one of an earlier version does, which skips the frame.
#[test]
fn a_client_that_has_everything_and_does_not_ask_for_more_has_to_resume() {
    let mut world = one_who_pulls();
    pass(&mut world, Duration::from_secs(60));
    assert_eq!(world.got(2), [], "it is frozen, and may take its time");
    world.request(2, &ack(WINDOW));
    pass(&mut world, Duration::from_secs(6));
    assert_eq!(world.got(2), [Got::Closed(Code::SlowReader)]);
    world.open(2, crate::BOB, UserSeq(WINDOW));
    assert_eq!(world.got(2), pushed(WINDOW + 1..=2 * WINDOW));
}
