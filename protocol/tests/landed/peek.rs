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
        let message = frame.body_as_message_ack().map(|ack| ClientMsgId::from(ack.client_msg_id()));
        let acked = message.or(frame.body_as_op_ack().map(|ack| ack.client_op_id().into()));
        assert_eq!((peek::server_frame_number(&bytes), peek::acked(&bytes)), (frame.body_type().0, acked));
    }
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
    peek::acked(bytes);
}
