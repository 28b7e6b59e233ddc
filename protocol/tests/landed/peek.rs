//! Peeking at a frame against reading it.

use protocol::ids::ClientMsgId;
use protocol::{frame, peek};

use crate::samples;

fn frames_of(union: &str) -> Vec<Vec<u8>> {
    let frames: Vec<_> = samples::all().into_iter().filter(|sample| sample.union == union).collect();
    assert!(frames.len() > 5, "{union} has frames");
    frames.into_iter().map(|sample| sample.bytes).collect()
}

#[test]
fn peeking_at_a_frame_of_a_client_sees_what_verifying_sees() {
    for bytes in frames_of("ClientBody") {
        let frame = frame::client_frame(&bytes).expect("a sample");
        let message = frame.body_as_message_send().map(|send| ClientMsgId::from(send.client_msg_id()));
        let requested = message.or(frame.client_op_id().map(ClientMsgId::from));
        let seen = (peek::client_frame_number(&bytes), peek::requested(&bytes));
        assert_eq!(seen, (frame.body_type().0, requested));
    }
}

#[test]
fn peeking_at_a_frame_of_a_server_sees_what_verifying_sees() {
    for bytes in frames_of("ServerBody") {
        let frame = frame::server_frame(&bytes).expect("a sample");
        let message = frame.body_as_message_ack().map(|ack| (ClientMsgId::from(ack.client_msg_id()), 0));
        let operation = frame.body_as_op_ack().map(|ack| (ack.client_op_id().into(), ack.code()));
        let error = frame.body_as_error().and_then(|error| Some((error.client_msg_id()?.into(), error.code())));
        let seen = (peek::server_frame_number(&bytes), peek::answered(&bytes));
        assert_eq!(seen, (frame.body_type().0, message.or(operation).or(error)));
        let events = frame.body_as_push().and_then(|push| push.events());
        let events = events.or(frame.body_as_sync_page().and_then(|page| page.events()));
        let sent_as: Vec<ClientMsgId> = events.into_iter().flatten().filter_map(|event| sent_as(&event)).collect();
        assert_eq!(peek::told(&bytes).collect::<Vec<_>>(), sent_as);
    }
}

fn sent_as(event: &wire::Event<'_>) -> Option<ClientMsgId> {
    let message = event.body_as_message_new();
    let message = message.map(|new| frame::message(new.message().bytes()).expect("a sample").client_msg_id().into());
    let echo = event.body_as_echo().map(|echo| echo.client_msg_id().into());
    message.or(echo).or(event.body_as_member_changed().and_then(|change| change.client_op_id()).map(ClientMsgId::from))
}

#[test]
fn whatever_the_bytes_are_peeking_ends() {
    for mut bytes in [frames_of("ClientBody"), frames_of("ServerBody")].concat() {
        for index in 0..bytes.len() {
            let kept = std::mem::replace(&mut bytes[index], 0xFF);
            look(&bytes);
            bytes[index] = kept;
            look(&bytes[..index]);
        }
    }
}

fn look(bytes: &[u8]) {
    peek::client_frame_number(bytes);
    peek::server_frame_number(bytes);
    peek::requested(bytes);
    peek::answered(bytes);
    peek::told(bytes).for_each(drop);
}
