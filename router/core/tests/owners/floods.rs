//! A gateway whose clients ask faster than it takes the answers.

use protocol::client::{HistoryRange, RequestId};
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, Seq, UserSeq};
use protocol::limits::PAGE_SIZE_MAX;
use protocol::wire::ServerBody;
use router_core::RouterConfig;
use storage_api::Request;

use crate::world::{Got, WALL, World};
use crate::{ALICE, BOB};

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
fn questions_wait_while_answers_are_not_taken_and_the_link_stays() {
    let (mut world, question) =
        questions(|builder, conversation| [builder.members_get(RequestId(7), conversation), &FILLER].concat());
    let sent = (0..FLOOD).take_while(|_| world.try_request(1, &question)).count();
    assert!(sent < FLOOD, "the gateway never had to wait");
    assert_eq!(take_all(&mut world, &Got::Other(ServerBody::MembersPage)), sent);
    assert!(world.try_request(1, &question), "all credits are back");
}
