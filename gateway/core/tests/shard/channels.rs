//! Channels: who follows gets what is published, and nobody else waits for that.

use std::time::Duration;

use gateway_core::{CloseCause, ConnectionId, FOLLOWERS_PER_TURN_MAX, ROUND_INTERVAL_MIN};
use protocol::ids::{ConversationId, Seq};
use protocol::link::{LINK_WINDOW_BYTES, RouterMessage};

use crate::support::frames::{self, Hello, ServerFrame};
use crate::support::{ALICE, BOB, PHONE, World};

const NEWS: ConversationId = ConversationId([8; 16]);
const SPORT: ConversationId = ConversationId([9; 16]);

fn publish(world: &mut World, conversation: ConversationId, head: u64, size: usize) {
    let (head, frame) = (Seq(head), frames::channel_push(conversation, Seq(head), size));
    world.push(&RouterMessage::Publish { conversation, head, frame: &frame });
    world.wait(ROUND_INTERVAL_MIN);
}

fn heads(world: &mut World, connection: ConnectionId) -> Vec<u64> {
    let heads = world.read(connection).into_iter().filter_map(|frame| match frame {
        ServerFrame::Channel(head) => Some(head.0),
        _ => None,
    });
    heads.collect()
}

#[test]
fn who_follows_gets_each_entry_until_it_asks_for_others_or_is_gone() {
    let mut world = World::new();
    let (alice, bob) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.send(alice, &frames::follow(1, &[NEWS, SPORT]));
    world.send(bob, &frames::follow(1, &[SPORT]));
    publish(&mut world, NEWS, 1, 0);
    publish(&mut world, SPORT, 5, 0);
    assert_eq!((heads(&mut world, alice), heads(&mut world, bob)), (vec![1, 5], vec![5]));

    world.send(alice, &frames::follow(2, &[NEWS]));
    publish(&mut world, SPORT, 6, 0);
    publish(&mut world, NEWS, 2, 0);
    assert_eq!((heads(&mut world, alice), heads(&mut world, bob)), (vec![2], vec![6]));
    assert_eq!((world.router.followers[&NEWS], world.router.followers[&SPORT]), (1, 1));

    world.driver.end(world.now, &mut world.shard, bob, CloseCause::Lost);
    world.settle();
    assert_eq!(world.router.followers[&SPORT], 0);
    assert_eq!(world.shard.gauges().followers, 1);
}

#[test]
fn a_large_audience_has_it_over_several_turns_and_credits_come_back() {
    let mut world = World::new();
    let followers: Vec<_> =
        (0..2 * FOLLOWERS_PER_TURN_MAX + 10).map(|_| world.open_with(ALICE, Hello::transient())).collect();
    for follower in &followers {
        world.send(*follower, &frames::follow(1, &[NEWS]));
    }
    let deliveries = |world: &World| world.shard.counters().channel_deliveries as usize;
    let frame = frames::channel_push(NEWS, Seq(1), 0);
    world.push(&RouterMessage::Publish { conversation: NEWS, head: Seq(1), frame: &frame });
    let mut turns = 1;
    while deliveries(&world) < followers.len() {
        assert_eq!(deliveries(&world), turns * FOLLOWERS_PER_TURN_MAX);
        assert_eq!(world.shard.poll_timeout(), Some(Default::default()), "the next turn is due at once");
        world.shard.handle_timeout(world.now);
        world.settle();
        turns += 1;
    }
    assert!(followers.iter().all(|follower| heads(&mut world, *follower) == [1]));

    let size = 48 * 1024;
    for head in 3..3 + 2 * LINK_WINDOW_BYTES / size as u64 {
        publish(&mut world, SPORT, head, size);
    }
}

#[test]
fn who_does_not_read_misses_entries_and_is_told_how_far_it_is_when_it_reads_again() {
    let mut world = World::new();
    let (alice, bob) = (world.live(ALICE, PHONE), world.live(BOB, PHONE));
    world.send(alice, &frames::follow(1, &[NEWS]));
    world.send(bob, &frames::follow(1, &[NEWS]));
    world.driver.guests.get_mut(&alice).expect("she is there").is_stuck = true;
    for head in 1..=40 {
        publish(&mut world, NEWS, head, 48 * 1024);
    }
    let (got, all) = (heads(&mut world, alice), (1..=40).collect::<Vec<_>>());
    assert!(!got.is_empty() && got.len() < 12 && all.starts_with(&got), "half of her queue: {got:?}");
    assert_eq!(heads(&mut world, bob), all);
    assert_eq!(world.goodbye(alice), None);

    world.driver.guests.get_mut(&alice).expect("she is there").is_stuck = false;
    world.settle();
    assert_eq!(heads(&mut world, alice), [40]);
    publish(&mut world, NEWS, 41, 0);
    assert_eq!(heads(&mut world, alice), [41]);
}

#[test]
fn after_a_break_of_the_link_nobody_follows_until_it_asks_again() {
    let mut world = World::new();
    let alice = world.live(ALICE, PHONE);
    world.send(alice, &frames::follow(1, &[NEWS]));
    world.link_down();
    world.wait(Duration::from_secs(1));
    world.link_up();
    assert!(world.read(alice).contains(&ServerFrame::Resend));
    publish(&mut world, NEWS, 1, 0);
    assert_eq!(heads(&mut world, alice), []);
    world.send(alice, &frames::follow(2, &[NEWS]));
    publish(&mut world, NEWS, 2, 0);
    assert_eq!(heads(&mut world, alice), [2]);
}

#[test]
fn what_comes_in_one_interval_goes_together_and_after_a_pause_at_once() {
    let mut world = World::new();
    let alice = world.live(ALICE, PHONE);
    world.send(alice, &frames::follow(1, &[NEWS]));
    for head in 1..=3 {
        let frame = frames::channel_push(NEWS, Seq(head), 0);
        world.push(&RouterMessage::Publish { conversation: NEWS, head: Seq(head), frame: &frame });
    }
    assert_eq!(heads(&mut world, alice), [1]);
    world.wait(ROUND_INTERVAL_MIN);
    assert_eq!(heads(&mut world, alice), [2, 3]);
}
