//! A gateway that does not take what its clients ask for, or what others say to them.

use protocol::client::{Draft, HistoryRange, RequestId};
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, Seq, UserSeq};
use protocol::limits::{BODY_SIZE_MAX, PAGE_SIZE_MAX};
use protocol::link::LINK_WINDOW_BYTES;
use protocol::wire::ServerBody;
use router_core::RouterConfig;
use storage_api::Request;

use crate::world::{Got, WALL, World};
use crate::{ALICE, BOB, direct, id, three_people};

/// More than any window of the link has room for.
const FLOOD: usize = 100_000;
const PAGES_MAX: usize = 16;
/// What follows a frame within its bytes is nobody's business, and fills the window sooner.
const FILLER: [u8; 4_000] = [0; 4_000];

fn questions(ask: impl FnOnce(&mut FrameBuilder, ConversationId) -> Vec<u8>) -> (World, Vec<u8>) {
    let config = RouterConfig { link_backlog_bytes_max: 2 * PAGES_MAX * PAGE_SIZE_MAX, ..RouterConfig::default() };
    let mut world = World::new(true, config);
    world.open(1, ALICE, UserSeq(0));
    let conversation = ConversationId::direct(ALICE, BOB);
    world.message(1, (conversation, Some(BOB)), ClientMsgId::new(WALL, 1), 0);
    world.settle();
    assert!(world.got(1).contains(&Got::Acked(ClientMsgId::new(WALL, 1), Seq(1))));
    (world, ask(&mut FrameBuilder::default(), conversation))
}

/// Takes answers, and the store answers, until nothing comes any more. How many there were.
fn take_all(world: &mut World, answer: &Got) -> usize {
    let mut answers = 0;
    loop {
        world.settle();
        world.pay_back();
        world.settle();
        let got = world.got(1).iter().filter(|got| *got == answer).count();
        if got == 0 {
            return answers;
        }
        answers += got;
    }
}

#[test]
fn questions_wait_while_pages_are_read_and_each_is_answered_once() {
    let (mut world, question) = questions(|builder, conversation| {
        [builder.history_get(RequestId(7), conversation, HistoryRange::Newest, 50), &FILLER].concat()
    });
    let sent = (0..FLOOD).take_while(|_| world.try_request(1, &question)).count();
    assert!(sent < FLOOD, "the gateway never had to wait");
    let pages = world.asked.iter().filter(|(_, request)| matches!(request, Request::ReadEntries { .. })).count();
    assert_eq!(pages, PAGES_MAX);
    assert_eq!(take_all(&mut world, &Got::History(1)), sent);
    assert!(world.try_request(1, &question), "all credits are back");
}

#[test]
fn another_limit_holds_from_the_next_question_on() {
    let (mut world, question) = questions(|builder, conversation| {
        builder.history_get(RequestId(7), conversation, HistoryRange::Newest, 50).to_vec()
    });
    world
        .router
        .handle_limits(RouterConfig { link_backlog_bytes_max: PAGES_MAX * PAGE_SIZE_MAX, ..Default::default() });
    (0..PAGES_MAX).for_each(|_| assert!(world.try_request(1, &question)));
    let pages = world.asked.iter().filter(|(_, request)| matches!(request, Request::ReadEntries { .. })).count();
    assert_eq!(pages, PAGES_MAX / 2);
}

#[test]
fn questions_wait_while_answers_are_not_taken_and_the_link_stays() {
    let (mut world, question) =
        questions(|builder, conversation| [builder.members_get(RequestId(7), conversation), &FILLER].concat());
    let sent = (0..FLOOD).take_while(|_| world.try_request(1, &question)).count();
    assert!(sent < FLOOD, "the gateway never had to wait");
    assert_eq!(take_all(&mut world, &Got::Other(ServerBody::MembersPage)), sent);
    assert!(world.try_request(1, &question), "all credits are back");
}

#[test]
fn a_gateway_that_takes_nothing_is_sent_one_window_of_its_link_and_the_rest_when_it_does() {
    const MESSAGES: u128 = 260;
    let config = RouterConfig { push_window_events: 1 << 20, push_window_bytes: 1 << 30, ..RouterConfig::default() };
    let mut world = three_people(true, config);
    world.pay_back();
    let (conversation, peer) = direct();
    let draft = Draft::text(conversation, peer, &"x".repeat(BODY_SIZE_MAX));
    for number in 1..=MESSAGES {
        world.request(1, FrameBuilder::default().message_send(id(number), 0, &draft));
        world.settle();
    }
    let sent_bytes = MESSAGES as u64 * BODY_SIZE_MAX as u64;
    assert!(sent_bytes > LINK_WINDOW_BYTES * 3 / 2);
    assert!(world.taken_bytes <= LINK_WINDOW_BYTES, "{} bytes are under way", world.taken_bytes);
    assert!(world.taken_bytes > LINK_WINDOW_BYTES - 2 * BODY_SIZE_MAX as u64, "it stops before the window is full");
    let mut got = world.got(2);
    assert!(got.len() < MESSAGES as usize);
    while world.taken_bytes > 0 {
        world.pay_back();
        world.settle();
        assert!(world.taken_bytes <= LINK_WINDOW_BYTES);
        got.extend(world.got(2));
    }
    let wanted: Vec<Got> = (1..=MESSAGES as u64).map(|seq| Got::Message(UserSeq(seq), Seq(seq))).collect();
    assert_eq!(got, wanted);
}
