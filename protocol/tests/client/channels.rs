//! Channels that a session follows: every message once and in order, whatever of what is published gets lost.

use protocol::client::{ANSWER_TIMEOUT, Answer, ClientEvent, HistoryRange, RequestId, UNAPPLIED_EVENTS_MAX};
use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::ids::{ConversationId, Seq};
use protocol::wire::ClientBody;

use crate::device::{Device, START, view};
use crate::frames::{conversation, history_page, message, usual_welcome};

/// One that follows a channel from behind this entry, as it has just asked.
fn following(held: u64) -> (Device, RequestId) {
    let mut device = Device::online();
    let asked = device.session.follow(device.now, &[(conversation(), Seq(held))]).expect("there is room");
    device.settle();
    (device, asked)
}

fn follows_asked(device: &mut Device) -> (RequestId, Vec<ConversationId>) {
    let frame = device.expect_frame(ClientBody::ChannelFollow);
    let follow = view(&frame).body_as_channel_follow().expect("a ChannelFollow");
    let channels = follow.channels().into_iter().flatten().map(ConversationId::from).collect();
    (RequestId(follow.request_id()), channels)
}

/// Which part of the history is asked for.
fn asked(device: &mut Device) -> (u32, u64) {
    let frame = device.expect_frame(ClientBody::HistoryGet);
    let get = view(&frame).body_as_history_get().expect("a HistoryGet");
    assert_eq!(ConversationId::from(get.conversation()), conversation());
    (get.request_id(), get.after_seq())
}

fn publish(device: &mut Device, head: u64, event: Option<Event>) {
    let push = FrameBuilder::default().channel_push(conversation(), Seq(head), event.as_ref()).to_vec();
    device.receive(&push);
}

/// The places of what was told of the channel, and whether it was a message.
fn told(device: &mut Device) -> Vec<(u64, bool)> {
    let events = device.events.drain(..).filter_map(|event| match event {
        ClientEvent::Channel { event, .. } => {
            Some((event.entry_seq().expect("an entry").0, matches!(event, Event::MessageNew(_))))
        }
        _ => None,
    });
    events.collect()
}

#[test]
fn what_is_published_is_told_and_what_is_missing_is_asked_for_first() {
    let (mut device, request_id) = following(2);
    assert_eq!(follows_asked(&mut device), (request_id, vec![conversation()]));
    publish(&mut device, 4, None);
    assert!(matches!(device.events.pop_front(), Some(ClientEvent::Answer(id, Answer::Following)) if id == request_id));
    let (history, after) = asked(&mut device);
    assert_eq!(after, 2);
    // It comes while the page is on its way, and has its turn behind that.
    publish(&mut device, 5, Some(message(Seq(5))));
    device.expect_nothing_sent();
    device.receive(&history_page(history, &[message(Seq(3)), Event::Void(Some((conversation(), Seq(4))))]));
    assert_eq!(told(&mut device), [(3, true)]);
    // The page said that there are nine.
    let (history, after) = asked(&mut device);
    assert_eq!(after, 4);
    device.receive(&history_page(history, &(5..=9).map(|seq| message(Seq(seq))).collect::<Vec<_>>()));
    assert_eq!(told(&mut device), (5..=9).map(|seq| (seq, true)).collect::<Vec<_>>());

    publish(&mut device, 10, Some(message(Seq(10))));
    publish(&mut device, 10, Some(message(Seq(10))));
    publish(&mut device, 10, Some(Event::Void(Some((conversation(), Seq(7))))));
    assert_eq!(told(&mut device), [(10, true), (7, false)], "once; and that one is gone");
    device.expect_nothing_sent();
}

#[test]
fn it_is_asked_again_after_a_break_and_goes_on_where_it_was() {
    let (mut device, _) = following(0);
    follows_asked(&mut device);
    publish(&mut device, 1, Some(message(Seq(1))));
    device.pass(ANSWER_TIMEOUT * 2);
    assert!(device.transmitted.iter().all(|frame| view(frame).body_type() != ClientBody::ChannelFollow));
    device.transmitted.clear();
    device.receive(FrameBuilder::default().resend());
    follows_asked(&mut device);
    device.expect_nothing_sent();
    device.pass(ANSWER_TIMEOUT);
    follows_asked(&mut device);
    device.lose_connection();
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    follows_asked(&mut device);
    publish(&mut device, 3, Some(message(Seq(3))));
    assert_eq!(asked(&mut device).1, 1);
}

#[test]
fn others_take_the_place_of_those_before() {
    let (mut device, first) = following(0);
    follows_asked(&mut device);
    publish(&mut device, 5, None);
    let (history, _) = asked(&mut device);
    let second = device.session.follow(device.now, &[]).expect("there is room");
    device.settle();
    assert!(matches!(device.events.pop_back(), Some(ClientEvent::Answer(id, Answer::Following)) if id == second));
    assert_ne!(first, second);
    assert_eq!(follows_asked(&mut device), (second, vec![]));
    publish(&mut device, 6, Some(message(Seq(1))));
    device.receive(&history_page(history, &[message(Seq(1))]));
    assert_eq!(told(&mut device), []);
    device.pass(ANSWER_TIMEOUT * 2);
    assert!(device.transmitted.iter().all(|frame| view(frame).body_type() == ClientBody::Ping));
}

#[test]
fn an_answer_that_brings_nothing_new_ends_the_questions() {
    let (mut device, _) = following(0);
    follows_asked(&mut device);
    publish(&mut device, 5, None);
    let (history, _) = asked(&mut device);
    device.receive(&history_page(history, &[message(Seq(3))]));
    device.expect_nothing_sent();
    assert_eq!(told(&mut device), []);
    // A question of the application has its own answer.
    let newest = device.session.history(device.now, conversation(), HistoryRange::Newest, 1).expect("there is room");
    device.settle();
    device.receive(&history_page(newest.0, &[message(Seq(9))]));
    assert!(matches!(device.events.pop_back(), Some(ClientEvent::Answer(id, Answer::History(_))) if id == newest));
}

#[test]
fn of_many_channels_few_are_caught_up_with_at_a_time() {
    let mut device = Device::online();
    let channels: Vec<_> = (1..=10).map(|number| (ConversationId([number; 16]), Seq(0))).collect();
    device.session.follow(device.now, &channels).expect("there is room");
    device.settle();
    follows_asked(&mut device);
    for (channel, _) in &channels {
        device.receive(FrameBuilder::default().channel_push(*channel, Seq(9), None));
    }
    let mut caught_up = 0;
    while let Some(frame) = device.transmitted.pop_front() {
        assert!(device.transmitted.len() < 4, "four at a time");
        let get = view(&frame).body_as_history_get().expect("a HistoryGet");
        let entries: Vec<_> = (1..=9).map(|seq| message(Seq(seq))).collect();
        device.receive(&history_page(get.request_id(), &entries));
        caught_up += 1;
    }
    assert_eq!((caught_up, told(&mut device).len()), (10, 90));
}

#[test]
fn an_application_that_does_not_keep_up_is_told_no_more_and_nothing_is_lost_by_that() {
    let (mut device, _) = following(0);
    follows_asked(&mut device);
    device.applies_at_once = false;
    let published = 2 * UNAPPLIED_EVENTS_MAX as u64;
    for seq in 1..=published {
        publish(&mut device, seq, Some(message(Seq(seq))));
    }
    assert_eq!(told(&mut device).len(), UNAPPLIED_EVENTS_MAX);
    device.expect_nothing_sent();
    while device.transmitted.is_empty() {
        device.apply_next();
    }
    assert!(device.unapplied.len() <= UNAPPLIED_EVENTS_MAX / 2);
    assert_eq!(asked(&mut device).1, UNAPPLIED_EVENTS_MAX as u64);
}
