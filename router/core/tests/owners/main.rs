//! The owners by way of the router's own entrances, on a store of either shape.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod channels;
mod devices;
mod floods;
mod groups;
mod links;
mod orders;
mod parking;
mod pulls;
mod receipts;
mod store;
mod world;

use std::time::Duration;

use protocol::client::{HistoryRange, RequestId};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, Seq, UserId, UserSeq};
use protocol::wire::{self, ClientBody, ConversationKind, MembershipAction, ServerBody};
use router_core::RouterConfig;
use storage_api::{EntryBody, Request, UserEvent};
use store::{ALICE, BOB, CAROL};
use world::{Got, WALL, World};

fn id(number: u128) -> ClientMsgId {
    ClientMsgId::new(WALL, number)
}

fn direct() -> (ConversationId, Option<UserId>) {
    (ConversationId::direct(ALICE, BOB), Some(BOB))
}

fn ack(user_seq: u64) -> Vec<u8> {
    let body = |fbb: &mut _| (ClientBody::Ack, wire::Ack::create(fbb, &wire::AckArgs { user_seq }).as_union_value());
    FrameBuilder::default().client(None, body).to_vec()
}

fn change(group: ConversationId, action: MembershipAction, users: &[UserId], op: u128) -> Vec<u8> {
    FrameBuilder::default()
        .client(Some(id(op)), |fbb| {
            let users = protocol::encode::user_ids(fbb, users);
            let conversation = group.into();
            let args = wire::MemberChangeArgs {
                conversation: Some(&conversation),
                action,
                users: Some(users),
                ..Default::default()
            };
            (ClientBody::MemberChange, wire::MemberChange::create(fbb, &args).as_union_value())
        })
        .to_vec()
}

fn create_group(members: &[UserId], op: u128) -> Vec<u8> {
    FrameBuilder::default().conversation_create(id(op), ConversationKind::Group, "", members).to_vec()
}

/// Alice on connection 1, Bob on 2, Carol on 3.
fn three_people(one_log: bool, config: RouterConfig) -> World {
    let mut world = World::new(one_log, config);
    for (connection, user) in [(1, ALICE), (2, BOB), (3, CAROL)] {
        world.open(connection, user, UserSeq(0));
        assert_eq!(world.got(connection), [Got::Other(ServerBody::Snapshot)]);
    }
    world
}

#[test]
fn a_history_after_the_largest_number_is_empty() {
    let mut world = three_people(true, RouterConfig::default());
    world.message(1, direct(), id(1), 0);
    world.settle();
    world.got(1);
    for (after, count) in [(0, 1), (1, 0), (u64::MAX, 0)] {
        let range = HistoryRange::After(Seq(after));
        let question = FrameBuilder::default().history_get(RequestId(1), direct().0, range, 10).to_vec();
        world.request(1, &question);
        world.settle();
        assert_eq!(world.got(1), [Got::History(count)], "after {after}");
    }
}

#[test]
fn a_message_is_acked_pushed_delivered_and_read() {
    for one_log in [true, false] {
        let mut world = three_people(one_log, RouterConfig::default());
        world.message(1, direct(), id(1), 0);
        world.settle();
        assert_eq!(world.got(1), [Got::Acked(id(1), Seq(1)), Got::Echo(UserSeq(1), Seq(1))]);
        assert_eq!(world.got(2), [Got::Message(UserSeq(1), Seq(1))]);

        world.request(2, &ack(1));
        world.settle();
        assert_eq!(world.got(1), [Got::Delivered(Seq(1))]);

        world.request(2, FrameBuilder::default().message_read(direct().0, Seq(1)));
        world.settle();
        assert_eq!(world.got(1), [Got::Read(Seq(1))]);
    }
}

#[test]
fn nothing_is_acked_or_pushed_before_it_is_durable() {
    let mut world = three_people(true, RouterConfig::default());
    world.message(1, direct(), id(1), 0);
    // The conversation is loaded, then Bob's existence is asked, then the entry is written.
    for _ in 0..2 {
        world.answer(0);
    }
    assert_eq!((world.got(1), world.got(2)), (vec![], vec![]));
    world.settle();
    assert_eq!(world.got(1).first(), Some(&Got::Acked(id(1), Seq(1))));
}

#[test]
fn a_retry_returns_the_same_seq_from_memory_from_the_store_and_after_a_restart() {
    for one_log in [true, false] {
        for dedup_window_entries in [0, 16] {
            let config = RouterConfig { dedup_window_entries, ..Default::default() };
            let mut world = three_people(one_log, config);
            for attempt in 0..2 {
                world.message(1, direct(), id(1), attempt);
                world.settle();
                assert_eq!(world.got(1).first(), Some(&Got::Acked(id(1), Seq(1))));
            }
            world.crash();
            world.settle();
            world.open(1, ALICE, UserSeq(1));
            world.message(1, direct(), id(1), 2);
            world.settle();
            assert_eq!(world.got(1), [Got::Acked(id(1), Seq(1))]);
            assert_eq!(world.store.entries[&direct().0].len(), 1);
        }
    }
}

#[test]
fn a_removed_member_sees_its_removal_and_nothing_after_it() {
    for one_log in [true, false] {
        let mut world = three_people(one_log, RouterConfig::default());
        world.request(1, &create_group(&[BOB, CAROL], 1));
        world.settle();
        let Some(Got::OpDone(group, Seq(1))) = world.got(1).first().cloned() else { panic!("the group is made") };
        world.request(1, &change(group, MembershipAction::Removed, &[BOB], 2));
        world.message(1, (group, None), id(3), 0);
        world.settle();
        assert_eq!(world.got(2), [Got::Member(UserSeq(1), Seq(1)), Got::Member(UserSeq(2), Seq(2))]);
        assert_eq!(world.got(3).last(), Some(&Got::Message(UserSeq(3), Seq(3))));
        world.message(2, (group, None), id(4), 0);
        world.settle();
        assert_eq!(world.got(2), [Got::Refused(Code::NotPermitted.number())]);
        world.request(3, &change(group, MembershipAction::Removed, &[ALICE], 5));
        world.settle();
        assert_eq!(world.got(3), [Got::OpRefused(Code::NotPermitted.number())]);
    }
}

#[test]
fn a_cursor_older_than_what_is_kept_of_the_log_gets_a_snapshot() {
    let mut world = three_people(true, RouterConfig::default());
    for number in 1..=300 {
        world.message(1, direct(), id(number), 0);
        world.settle();
    }
    // The owner does not know that the beginning is gone: it hears of it when it reads, and the session ends.
    world.store.log_start = UserSeq(10);
    world.got(2);
    world.open(2, BOB, UserSeq(3));
    assert_eq!(world.got(2), [Got::Closed(Code::InternalError)]);
    world.open(2, BOB, UserSeq(3));
    assert_eq!(world.got(2), [Got::Other(ServerBody::Snapshot)]);
    // Whoever lacks nothing of it goes on.
    world.crash();
    world.open(2, BOB, UserSeq(9));
    assert!(world.got(2).first().is_some_and(|got| *got == Got::Message(UserSeq(10), Seq(10))));
    world.crash();
    world.open(2, BOB, UserSeq(8));
    assert_eq!(world.got(2), [Got::Other(ServerBody::Snapshot)]);
}

#[test]
fn a_snapshot_lists_what_was_said_last_first() {
    let with_carol = ConversationId::direct(BOB, CAROL);
    for is_restarted in [false, true] {
        for (newest, older) in [(direct().0, with_carol), (with_carol, direct().0)] {
            let mut world = three_people(true, RouterConfig::default());
            world.message(3, (with_carol, Some(BOB)), id(1), 0);
            world.message(1, direct(), id(2), 0);
            world.settle();
            if newest == with_carol {
                world.message(3, (with_carol, Some(BOB)), id(3), 0);
                world.settle();
            }
            if is_restarted {
                world.crash();
                world.settle();
            }
            // A cursor from nowhere.
            world.open(2, BOB, UserSeq(99));
            assert_eq!(world.listed, [newest, older]);
        }
    }
}

#[test]
fn a_snapshot_waits_until_all_that_it_shows_is_durable() {
    let mut world = three_people(true, RouterConfig::default());
    world.message(1, direct(), id(1), 0);
    world.settle();
    world.message(1, direct(), id(2), 0);
    // A cursor from nowhere.
    world.open_unsettled(2, BOB, UserSeq(99));
    let is_snapshot = |got: &Got| *got == Got::Other(ServerBody::Snapshot);
    assert!(!world.asked.is_empty() && !world.got(2).iter().any(is_snapshot));
    world.settle();
    assert_eq!(world.got(2), [Got::Other(ServerBody::Snapshot)], "it has both messages");
    world.message(1, direct(), id(3), 0);
    world.settle();
    assert_eq!(world.got(2), [Got::Message(UserSeq(3), Seq(3))]);
}

#[test]
fn a_slow_device_gets_no_more_than_its_window_and_the_rest_when_it_acks() {
    let config = RouterConfig { push_window_events: 4, ..Default::default() };
    let mut world = three_people(true, config);
    for number in 1..=300 {
        world.message(1, direct(), id(number), 0);
        world.settle();
    }
    let mut seen = Vec::new();
    for _ in 0..300 {
        let got = world.got(2);
        assert!(got.len() <= 4);
        let Some(Got::Message(last, _)) = got.last().cloned() else { break };
        seen.extend(got);
        world.request(2, &ack(last.0));
        world.settle();
    }
    let wanted: Vec<Got> = (1..=300).map(|seq| Got::Message(UserSeq(seq), Seq(seq))).collect();
    assert_eq!(seen, wanted);
}

/// A device that misses nothing asks all the same, and acks what it has while the answer is read. It will not ack that
/// again, so the window must not wait for it.
#[test]
fn an_ack_that_overtakes_the_page_a_device_has_asked_for_opens_the_window() {
    let config = RouterConfig { push_window_events: 4, ..Default::default() };
    let mut world = three_people(true, config);
    for number in 1..=6 {
        world.message(1, direct(), id(number), 0);
        world.settle();
    }
    assert_eq!(world.got(2).len(), 4);
    world.request(2, FrameBuilder::default().sync_get(RequestId(1), UserSeq(0)));
    world.request(2, &ack(4));
    world.settle();
    let wanted: Vec<Got> = (5..=6).map(|seq| Got::Message(UserSeq(seq), Seq(seq))).collect();
    assert_eq!(world.got(2), [vec![Got::Page(UserSeq(1), 4)], wanted].concat());
}

#[test]
fn a_question_for_a_page_is_answered_although_a_push_of_the_same_events_comes_first() {
    let mut world = three_people(true, RouterConfig::default());
    for number in 1..=3 {
        world.message(1, direct(), id(number), 0);
        world.settle();
    }
    world.crash();
    // The log is being read for the new session when the device asks.
    world.open_unsettled(2, BOB, UserSeq(0));
    while !world.asked.iter().any(|(_, request)| matches!(request, Request::ReadUserLog { .. })) {
        world.answer(0);
    }
    world.request(2, FrameBuilder::default().sync_get(RequestId(1), UserSeq(1)));
    world.settle();
    let got = world.got(2);
    assert!(got.contains(&Got::Page(UserSeq(2), 2)), "{got:?}");
}

#[test]
fn a_user_that_does_not_exist_cannot_be_written_to() {
    let mut world = three_people(true, RouterConfig::default());
    let nobody = UserId(1 << 48 | 99);
    world.message(1, (ConversationId::direct(ALICE, nobody), Some(nobody)), id(1), 0);
    world.settle();
    assert_eq!(world.got(1), [Got::Refused(Code::NoSuchUser.number())]);
}

/// Writes complete in any order, the process dies with some of them under way, any part of those is applied.
#[test]
fn a_crash_amid_writes_loses_nothing_acked_and_leaves_every_log_whole() {
    let (mut voided, mut pulled) = (0, 0);
    for seed in 0..300_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = move |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % bound as u64) as usize
        };
        let mut world = three_people(false, RouterConfig::default());
        let (mut number, mut acked) = (0_u128, Vec::new());
        for _life in 0..3 {
            for _ in 0..40 {
                match below(3) {
                    0 => {
                        number += 1;
                        world.message(1, direct(), id(number), 0);
                    }
                    _ if !world.asked.is_empty() => {
                        let index = below(world.asked.len());
                        world.answer(index);
                    }
                    _ => {}
                }
                acked.extend(world.got(1).into_iter().filter(|got| matches!(got, Got::Acked(..))));
            }
            for (_, request) in core::mem::take(&mut world.asked) {
                if below(2) == 0 {
                    world.store.answer(&request);
                }
            }
            (voided, pulled) =
                (voided + world.router.counters().holes_voided, pulled + world.router.counters().gap_pulls);
            world.crash();
            world.settle();
            world.open(1, ALICE, UserSeq(0));
            world.got(1);
        }
        world.message(1, direct(), id(number + 1), 0);
        world.pass(Duration::from_secs(5));
        (voided, pulled) = (voided + world.router.counters().holes_voided, pulled + world.router.counters().gap_pulls);

        let entries = &world.store.entries[&direct().0];
        assert!(entries.keys().copied().eq((1..=entries.len() as u64).map(Seq)), "seed {seed}: no gap");
        for got in acked {
            let Got::Acked(client_id, seq) = got else { unreachable!() };
            let identity = entries[&seq].identity().map(|identity| identity.client_id);
            assert_eq!(identity, Some(client_id), "seed {seed}: acked at {seq}");
        }
        for user in [ALICE, BOB] {
            let log = world.store.logs[&user].values();
            let held: Vec<Seq> = log
                .filter_map(|event| match event {
                    UserEvent::Entry { key, .. } => Some(key.seq),
                    _ => None,
                })
                .collect();
            assert!(held.iter().copied().eq(entries.keys().copied()), "seed {seed}: {user} holds {held:?}");
        }
        assert!(entries.values().any(|entry| !matches!(entry.body, EntryBody::Void)));
    }
    assert!(voided > 0 && pulled > 0, "the schedules make holes ({voided}) and gaps ({pulled})");
}
