//! Channels: groups that others than their members may follow.

use protocol::client::{Draft, HistoryRange, RequestId};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ConversationId, MessageId, Seq, UserSeq};
use protocol::limits::BODY_SIZE_MAX;
use protocol::link::LINK_WINDOW_BYTES;
use protocol::wire::{ConversationKind, MembershipAction};
use router_core::{Order, RouterConfig};

use crate::store::{STRANGER, member};
use crate::world::{Got, World};
use crate::{BOB, change, create_group, direct, id, three_people};

/// Alice has made it, and Bob writes in it too.
fn channel(one_log: bool) -> (World, ConversationId) {
    let mut world = three_people(one_log, RouterConfig::default());
    world.request(1, FrameBuilder::default().conversation_create(id(1), ConversationKind::Channel, "news", &[BOB]));
    world.settle();
    let made = world.got(1).into_iter().find_map(|got| match got {
        Got::OpDone(channel, Seq(1)) => Some(channel),
        _ => None,
    });
    world.got(2);
    (world, made.expect("it is made"))
}

fn follow(world: &mut World, connection: u64, request_id: u32, channels: &[ConversationId]) -> Vec<Got> {
    world.request(connection, FrameBuilder::default().channel_follow(RequestId(request_id), channels));
    world.settle();
    world.got(connection)
}

fn history(world: &mut World, connection: u64, channel: ConversationId) -> Vec<Got> {
    let range = HistoryRange::After(Seq(0));
    world.request(connection, FrameBuilder::default().history_get(RequestId(9), channel, range, 200));
    world.settle();
    world.got(connection)
}

#[test]
fn members_get_entries_through_their_logs_and_followers_what_is_published_once_a_link() {
    for one_log in [true, false] {
        let (mut world, channel) = channel(one_log);
        assert_eq!(follow(&mut world, 3, 7, &[channel]), [Got::ChannelJoined(7, Seq(1)), Got::Channel(Seq(1), None)]);
        world.open(4, member(1), UserSeq(0));
        follow(&mut world, 4, 1, &[channel]);
        world.message(1, (channel, None), id(2), 0);
        assert_eq!(world.published(), [], "nothing is published that is not durable");
        world.settle();
        assert_eq!(world.published(), [Got::Channel(Seq(2), Some(Seq(2)))]);
        assert_eq!(world.got(3), [], "it is in no log of a follower");
        assert!(world.got(2).contains(&Got::Message(UserSeq(2), Seq(2))));

        // Who writes in it is not for followers to know, but that there is an entry is.
        world.request(1, &change(channel, MembershipAction::Removed, &[BOB], 3));
        world.settle();
        assert_eq!(world.published(), [Got::Channel(Seq(3), None)]);
        assert_eq!(history(&mut world, 3, channel), [Got::History(3)]);
    }
}

#[test]
fn only_members_write_and_only_channels_are_followed_within_the_realm() {
    let (mut world, channel) = channel(true);
    let not_permitted = [Got::Refused(Code::NotPermitted.number())];
    world.message(3, (channel, None), id(2), 0);
    assert_eq!(world.got(3), not_permitted);
    world.request(3, FrameBuilder::default().members_get(RequestId(1), channel));
    assert_eq!(world.got(3), not_permitted);

    world.request(1, &create_group(&[BOB], 3));
    world.message(1, direct(), id(4), 0);
    world.settle();
    let group = world.got(1).into_iter().find_map(|got| match got {
        Got::OpDone(group, _) => Some(group),
        _ => None,
    });
    for conversation in [group.expect("it is made"), direct().0] {
        assert_eq!(follow(&mut world, 3, 1, &[conversation]), not_permitted);
        assert_eq!(history(&mut world, 3, conversation), not_permitted);
    }
    let nowhere = Got::Refused(Code::ConversationUnknown.number());
    assert_eq!(follow(&mut world, 3, 1, &[ConversationId([9; 16])]), [nowhere]);

    world.open(5, STRANGER, UserSeq(0));
    world.got(5);
    assert_eq!(follow(&mut world, 5, 1, &[channel]), not_permitted);
    assert_eq!(history(&mut world, 5, channel), not_permitted);
    world.message(1, (channel, None), id(5), 0);
    world.settle();
    assert_eq!(world.published(), [], "nobody follows it");
}

#[test]
fn a_link_is_sent_entries_until_the_last_on_it_has_stopped() {
    let (mut world, channel) = channel(true);
    follow(&mut world, 2, 1, &[channel]);
    follow(&mut world, 3, 1, &[channel, channel]);
    world.stop_following(channel, 1);
    world.message(1, (channel, None), id(2), 0);
    world.settle();
    assert_eq!(world.published().len(), 1);
    world.stop_following(channel, 1);
    world.message(1, (channel, None), id(3), 0);
    world.settle();
    assert_eq!(world.published(), []);
}

#[test]
fn without_credits_entries_are_left_out_and_the_head_is_told_when_there_are_some() {
    let (mut world, channel) = channel(true);
    follow(&mut world, 3, 1, &[channel]);
    let count = 2 * LINK_WINDOW_BYTES / BODY_SIZE_MAX as u64;
    let draft = Draft::text(channel, None, &"x".repeat(BODY_SIZE_MAX));
    for number in 0..count {
        world.request(1, FrameBuilder::default().message_send(id(100 + u128::from(number)), 0, &draft));
        world.settle();
    }
    let before = world.published();
    assert!(before.len() < count as usize, "{} of {count} were published", before.len());
    world.pay_back();
    world.settle();
    assert_eq!(world.published(), [Got::Channel(Seq(1 + count), None)]);
}

#[test]
fn followers_are_told_when_what_an_entry_said_is_gone() {
    let (mut world, channel) = channel(true);
    follow(&mut world, 3, 1, &[channel]);
    world.message(1, (channel, None), id(2), 0);
    world.settle();
    world.published();
    world.order(1, Order::EraseMessage(MessageId { conversation: channel, seq: Seq(2) }));
    world.settle();
    assert_eq!(world.published(), [Got::Channel(Seq(2), Some(Seq(2)))]);
}
