//! Groups of as many as there may be.

use protocol::client::RequestId;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ConversationId, Seq, UserId, UserSeq};
use protocol::limits::GROUP_MEMBERS_MAX;
use protocol::wire::{self, ClientBody, MembershipAction, ServerBody};
use router_core::RouterConfig;
use storage_api::{MEMBER_ROWS_MAX, Mutation, Request, UserEvent};

use crate::store::member;
use crate::world::{Got, World};
use crate::{ALICE, BOB, ack, change, create_group, id, three_people};

/// Beside their creator.
const OTHERS: usize = GROUP_MEMBERS_MAX - 1;

fn others(range: std::ops::Range<usize>) -> Vec<UserId> {
    range.map(member).collect()
}

fn answer(world: &mut World, frame: &[u8]) -> Got {
    world.request(1, frame);
    world.settle();
    world.got(1).into_iter().find(|got| matches!(got, Got::OpDone(..) | Got::OpRefused(_))).expect("an answer")
}

/// Alice has made it, on connection 1.
fn full_group() -> (World, ConversationId) {
    let mut world = three_people(true, RouterConfig::default());
    let Got::OpDone(group, Seq(1)) = answer(&mut world, &create_group(&others(0..OTHERS), 1)) else {
        panic!("the group is made")
    };
    (world, group)
}

/// The connection of a member.
fn connection(index: usize) -> u64 {
    10 + index as u64
}

#[test]
fn a_group_is_filled_at_once_or_in_steps_and_takes_nobody_more() {
    let full = Got::OpRefused(Code::GroupFull.number());
    let (mut world, group) = full_group();
    assert_eq!(answer(&mut world, &change(group, MembershipAction::Added, &[BOB], 2)), full);
    world.request(1, FrameBuilder::default().members_get(RequestId(1), group));
    assert_eq!(world.got(1), [Got::Other(ServerBody::MembersPage)]);

    assert_eq!(answer(&mut world, &create_group(&others(0..OTHERS + 1), 3)), full);
    let Got::OpDone(group, _) = answer(&mut world, &create_group(&others(0..500), 4)) else { panic!("it is made") };
    let rest = others(500..OTHERS);
    assert_eq!(answer(&mut world, &change(group, MembershipAction::Added, &rest, 5)), Got::OpDone(group, Seq(2)));
    assert_eq!(answer(&mut world, &change(group, MembershipAction::Added, &[BOB], 6)), full);
    assert_eq!(answer(&mut world, &change(group, MembershipAction::Removed, &rest, 7)), Got::OpDone(group, Seq(3)));
    assert_eq!(answer(&mut world, &change(group, MembershipAction::Added, &[BOB], 8)), Got::OpDone(group, Seq(4)));
}

#[test]
fn who_has_left_counts_so_that_what_is_kept_of_a_group_has_a_bound() {
    let (mut world, group) = full_group();
    let mut op = 2;
    for step in 0..MEMBER_ROWS_MAX / OTHERS {
        let (old, new) = (others(step * OTHERS..(step + 1) * OTHERS), others((step + 1) * OTHERS..(step + 2) * OTHERS));
        let removed = answer(&mut world, &change(group, MembershipAction::Removed, &old, op));
        assert!(matches!(removed, Got::OpDone(..)));
        let is_last = (step + 2) * OTHERS > MEMBER_ROWS_MAX;
        let wanted = |got: &Got| matches!(got, Got::OpDone(..)) != is_last;
        assert!(wanted(&answer(&mut world, &change(group, MembershipAction::Added, &new, op + 1))), "step {step}");
        op += 2;
    }
}

#[test]
fn a_message_to_a_full_group_is_one_write_and_is_shared_on_the_link() {
    let (mut world, group) = full_group();
    for index in 0..OTHERS {
        world.open(connection(index), member(index), UserSeq(0));
    }
    (0..OTHERS).for_each(|index| drop(world.got(connection(index))));
    world.fanouts.clear();
    world.message(1, (group, None), id(2), 0);
    let writes: Vec<&Vec<Mutation>> = world
        .asked
        .iter()
        .filter_map(|(_, request)| if let Request::Write(write) = request { Some(write) } else { None })
        .collect();
    assert_eq!(writes.iter().map(|write| write.len()).collect::<Vec<_>>(), [1 + GROUP_MEMBERS_MAX]);
    world.settle();
    let last = connection(OTHERS - 1);
    assert_eq!(world.got(last).last(), Some(&Got::Message(UserSeq(2), Seq(2))));
    (0..OTHERS - 1)
        .for_each(|index| assert_eq!(world.got(connection(index)), [Got::Message(UserSeq(2), Seq(2))], "{index}"));
    assert_eq!(world.fanouts.iter().sum::<usize>(), OTHERS);
    assert!(world.fanouts.len() <= 2, "{:?}: the sender's own frame comes between at most once", world.fanouts);
}

fn receipts(world: &World) -> usize {
    let events = world.store.logs.values().flat_map(|log| log.values());
    events.filter(|event| matches!(event, UserEvent::Delivered(_) | UserEvent::Read(_))).count()
}

#[test]
fn receipts_in_a_full_group_go_to_those_who_have_said_something_also_after_a_restart() {
    let (mut world, group) = full_group();
    let reader = connection(2);
    for (index, number) in [(0, 2), (1, 3)] {
        world.open(connection(index), member(index), UserSeq(1));
        world.message(connection(index), (group, None), id(number), 0);
        world.settle();
    }
    world.crash();
    world.settle();
    world.open(reader, member(2), UserSeq(0));
    world.open(reader, member(2), UserSeq(0));
    world.request(reader, &ack(3));
    world.settle();
    assert_eq!(receipts(&world), 3, "its creator, and the two who have said something");
    let conversation = group.into();
    let read = wire::MessageReadArgs { conversation: Some(&conversation), up_to_seq: 3 };
    let body = |fbb: &mut _| (ClientBody::MessageRead, wire::MessageRead::create(fbb, &read).as_union_value());
    world.request(reader, FrameBuilder::default().client(None, body));
    world.settle();
    assert_eq!(receipts(&world), 6);
}

#[test]
fn typing_loads_nobody() {
    let (mut world, group) = full_group();
    // Nobody lacks anything.
    world.store.fanned.insert(group, Seq(1));
    world.crash();
    world.settle();
    world.open(1, ALICE, UserSeq(1));
    world.request(1, FrameBuilder::default().members_get(RequestId(1), group));
    world.settle();
    world.request(1, FrameBuilder::default().typing(group, true));
    assert!(world.asked.is_empty(), "{:?}", world.asked);
}
