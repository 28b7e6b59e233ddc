//! What an operator has taken away is gone for everybody, and nothing else is.

use protocol::codes::Code;
use protocol::ids::{MessageId, Seq, UserId, UserSeq};
use router_core::{Order, OrderId, OrderOutcome, RouterConfig};
use storage_api::{EntryBody, Request};

use crate::store::{ALICE, BOB};
use crate::world::{Got, World};
use crate::{ack, create_group, direct, id, three_people};

fn message(seq: u64) -> MessageId {
    MessageId { conversation: direct().0, seq: Seq(seq) }
}

fn two_messages() -> World {
    let mut world = three_people(true, RouterConfig::default());
    for number in 1..=2 {
        world.message(1, direct(), id(number), 0);
        world.settle();
    }
    world.got(1);
    assert_eq!(world.got(2), [Got::Message(UserSeq(1), Seq(1)), Got::Message(UserSeq(2), Seq(2))]);
    world
}

#[test]
fn an_erased_message_becomes_a_void_for_those_who_have_it_and_for_those_who_lack_it() {
    let mut world = two_messages();
    world.order(7, Order::EraseMessage(message(1)));
    assert_eq!(world.outcomes, [], "it is not durable");
    world.settle();
    assert_eq!(world.outcomes, [(OrderId(7), OrderOutcome::Done)]);
    assert_eq!(world.got(1), [Got::Void(UserSeq(3), Seq(1))]);
    assert_eq!(world.got(2), [Got::Void(UserSeq(3), Seq(1))]);
    // What has been received is receipted as before.
    world.request(2, &ack(3));
    world.settle();
    assert_eq!(world.got(1), [Got::Delivered(Seq(2))]);
    for is_restarted in [false, true] {
        if is_restarted {
            world.crash();
            world.settle();
        }
        world.open(2, BOB, UserSeq(0));
        let wanted = [Got::Void(UserSeq(1), Seq(1)), Got::Message(UserSeq(2), Seq(2)), Got::Void(UserSeq(3), Seq(1))];
        assert_eq!(world.got(2)[..3], wanted);
        // Its place stays taken, and a retry finds it.
        world.open(1, ALICE, UserSeq(4));
        world.got(1);
        world.message(1, direct(), id(1), 1);
        world.settle();
        assert_eq!(world.got(1), [Got::Acked(id(1), Seq(1))]);
    }
    world.order(8, Order::EraseMessage(message(9)));
    world.settle();
    assert_eq!(world.outcomes.last(), Some(&(OrderId(8), OrderOutcome::NotThere)));
}

#[test]
fn an_erased_user_leaves_every_conversation_also_when_the_router_dies_amid_it() {
    for answers_count in 0..6 {
        let mut world = two_messages();
        world.request(1, &create_group(&[BOB], 3));
        world.settle();
        world.got(2);
        world.order(7, Order::EraseUser(ALICE));
        assert_eq!(
            world.got(1).last(),
            Some(&Got::Closed(Code::UserUnknown)),
            "nobody is served in its name from now on"
        );
        for _ in 0..answers_count.min(world.asked.len()) {
            world.answer(0);
        }
        world.crash();
        let has_begun = world.store.leavers.contains_key(&ALICE);
        assert_eq!(has_begun, answers_count > 0);
        if !has_begun {
            world.order(7, Order::EraseUser(ALICE));
        }
        world.settle();
        assert!(world.store.leavers[&ALICE], "after {answers_count} answers");
        world.open(1, ALICE, UserSeq(0));
        assert_eq!(world.got(1), [Got::Closed(Code::UserUnknown)]);
        world.open(2, BOB, UserSeq(0));
        let got = world.got(2);
        assert_eq!(got[..2], [Got::Void(UserSeq(1), Seq(1)), Got::Void(UserSeq(2), Seq(2))]);
        assert_eq!(got[2..], [Got::Member(UserSeq(3), Seq(1)), Got::Member(UserSeq(4), Seq(2))]);
        world.message(2, (direct().0, Some(ALICE)), id(9), 0);
        world.settle();
        assert_eq!(world.got(2), [Got::Refused(Code::NoSuchUser.number())]);
        let lefts = world
            .store
            .entries
            .values()
            .flat_map(|entries| entries.values())
            .filter(|entry| matches!(&entry.body, EntryBody::Membership(change) if change.users == [ALICE]));
        assert_eq!(lefts.count(), 1);
    }
}

#[test]
fn an_order_to_erase_nobody_is_answered_and_one_that_is_given_again_is_done() {
    let mut world = two_messages();
    let nobody = UserId(1 << 48 | 99);
    world.order(1, Order::EraseUser(nobody));
    world.order(2, Order::EraseUser(ALICE));
    world.order(3, Order::EraseUser(ALICE));
    world.settle();
    world.order(4, Order::EraseUser(ALICE));
    world.settle();
    world.outcomes.sort_unstable_by_key(|(id, _)| *id);
    let done = |id| (OrderId(id), OrderOutcome::Done);
    assert_eq!(world.outcomes, [(OrderId(1), OrderOutcome::NotThere), done(2), done(3), done(4)]);
    assert!(!world.asked.iter().any(|(_, request)| matches!(request, Request::ForgetUser(_))));
}
