//! What is asked of the server, and asked again until it is answered.

use std::time::Duration;

use protocol::client::{ANSWER_TIMEOUT, Answer, ClientEvent, CommandError, HistoryRange, QUESTIONS_MAX, RequestId};
use protocol::codes::Code;
use protocol::encode::{FrameBuilder, Refusal};
use protocol::ids::{Seq, UserId};
use protocol::wire::ClientBody;

use crate::device::{Device, START, view};
use crate::frames::{conversation, history_page, message, usual_welcome};

fn ask(device: &mut Device) -> RequestId {
    let asked = device.session.history(device.now, conversation(), HistoryRange::After(Seq(3)), 50);
    device.settle();
    asked.expect("there is room")
}

fn refusal(request_id: RequestId, code: Code) -> Vec<u8> {
    let refusal = Refusal {
        code,
        retry_after_ms: 0,
        client_frame: ClientBody::HistoryGet,
        client_msg_id: None,
        request_id: request_id.0,
    };
    FrameBuilder::default().error(refusal).to_vec()
}

#[test]
fn a_question_is_answered_once() {
    let mut device = Device::online();
    let request_id = ask(&mut device);
    let frame = device.expect_frame(ClientBody::HistoryGet);
    let get = view(&frame).body_as_history_get().expect("a HistoryGet");
    assert_eq!((get.request_id(), get.after_seq(), get.before_seq(), get.limit()), (request_id.0, 3, 0, 50));
    let page = history_page(request_id.0, &[message(Seq(4)), message(Seq(5))]);
    device.receive(&page);
    device.receive(&page);
    let ClientEvent::Answer(answered, Answer::History(page)) = device.expect_event() else { panic!("a history") };
    assert_eq!((answered, page.entries.len(), page.head, page.has_more), (request_id, 2, Seq(9), true));
    assert!(device.events.is_empty());
}

#[test]
fn a_question_is_asked_again_when_its_answer_may_be_lost() {
    let mut device = Device::new();
    let request_id = ask(&mut device);
    device.expect_nothing_sent();
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    device.expect_frame(ClientBody::HistoryGet);
    device.pass(ANSWER_TIMEOUT);
    device.expect_frame(ClientBody::HistoryGet);
    device.receive(FrameBuilder::default().resend());
    device.expect_frame(ClientBody::HistoryGet);
    device.receive(&refusal(request_id, Code::TryAgain));
    device.expect_nothing_sent();
    device.pass(Duration::from_secs(1));
    device.expect_frame(ClientBody::HistoryGet);
    device.lose_connection();
    device.say_hello();
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    device.expect_frame(ClientBody::HistoryGet);
}

#[test]
fn a_refusal_for_good_is_an_answer() {
    let mut device = Device::online();
    let request_id = ask(&mut device);
    device.receive(&refusal(request_id, Code::NotPermitted));
    let ClientEvent::Answer(answered, Answer::Refused(reason)) = device.expect_event() else { panic!("refused") };
    assert_eq!((answered, reason.code), (request_id, Code::NotPermitted.number()));
    device.transmitted.clear();
    device.pass(ANSWER_TIMEOUT * 2);
    device.expect_nothing_sent();
}

#[test]
fn questions_are_bounded_in_number_and_size() {
    let mut device = Device::online();
    for _ in 0..QUESTIONS_MAX {
        ask(&mut device);
    }
    assert_eq!(device.session.members(device.now, conversation()), Err(CommandError::RequestsFull));
    let mut device = Device::online();
    let newest = HistoryRange::Newest;
    assert_eq!(device.session.history(START, conversation(), newest, 201), Err(CommandError::TooLarge));
    assert_eq!(device.session.history(START, conversation(), newest, 0), Err(CommandError::TooLarge));
    assert_eq!(device.session.user_lookup(START, &[], &[UserId(1); 65]), Err(CommandError::TooLarge));
    assert_eq!(device.session.user_lookup(START, &["h".repeat(65)], &[]), Err(CommandError::TooLarge));
}
