//! A message as it travels: built once by the owner of its conversation, shared by reference count from then on.
//!
//! It lies behind the head of a Push, which has the same size for every message. So what is written to the log and what is
//! pushed are parts of one allocation, and a body is copied once on its way from a request to all of them. The body is the
//! last thing in a message, so that all before it can be built first.

use alloc::sync::Arc;
use core::fmt;

use super::nonzero;
use crate::frame::{self, FrameError};
use crate::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal, Seq, UserId};
use crate::time::WallTime;

/// A Push of one message up to where the message begins, as a builder makes it.
#[rustfmt::skip]
const PUSH_HEAD: [u8; 96] = [
    // Where the frame is, and what a frame has.
    12, 0, 0, 0,  8, 0, 12, 0, 7, 0, 8, 0,
    // The frame: a Push.
    8, 0, 0, 0,  0, 0, 0, 4,  12, 0, 0, 0,
    // What a Push has.
    8, 0, 16, 0, 8, 0, 4, 0,
    // The Push: its events, its user_seq.
    8, 0, 0, 0,  12, 0, 0, 0,  255, 255, 255, 255, 255, 255, 255, 255,
    // One event; what an event has.
    1, 0, 0, 0,  12, 0, 0, 0,  8, 0, 14, 0, 7, 0, 8, 0,
    // The event: a MessageNew.
    8, 0, 0, 0,  0, 0, 0, 1,  12, 0, 0, 0,
    // What a MessageNew has, the MessageNew, and the size of its message.
    0, 0,  6, 0, 8, 0, 4, 0,  6, 0, 0, 0,  4, 0, 0, 0,  0, 0, 0, 0,
];
const SIZE_AT: usize = PUSH_HEAD.len() - 4;

/// Where in the Push of a message the user_seq (u64, little-endian) goes.
pub const PUSH_USER_SEQ_OFFSET: usize = 40;

/// A message as its nested buffer: verified, shared by reference count.
#[derive(Clone)]
pub struct MessageBytes {
    /// Behind the head of a Push.
    push: Arc<[u8]>,
    head: MessageHead,
}

/// The fields that owners and store ask for again and again: verifying the buffer each time would cost more than all that
/// they do with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// On which device; [`DeviceId`] 0 for a transient session.
    pub sender_device: DeviceId,
    /// The sender's name for it.
    pub client_msg_id: ClientMsgId,
    /// When it was ordered.
    pub server_time: WallTime,
    /// In a direct conversation: the user that the sender writes to.
    pub direct_peer: Option<UserId>,
    /// Seconds until it disappears; 0 for never.
    pub expires_in_s: u32,
}

impl MessageBytes {
    /// Verifies the buffer, and copies it.
    pub fn new(bytes: &[u8]) -> Result<MessageBytes, FrameError> {
        let view = frame::message(bytes)?;
        let head = MessageHead {
            conversation: view.conversation().into(),
            seq: Seq(view.seq()),
            sender: UserId(view.sender()),
            sender_device: DeviceId(view.sender_device()),
            client_msg_id: view.client_msg_id().into(),
            server_time: WallTime(view.server_time_ms()),
            direct_peer: nonzero(view.direct_peer()).map(UserId),
            expires_in_s: view.expires_in_s(),
        };
        Ok(MessageBytes { push: behind_push_head([bytes, &[]], 0), head })
    }

    /// The bytes in the store, and in frames that hold more than this message.
    pub fn as_bytes(&self) -> &[u8] {
        self.push.get(PUSH_HEAD.len()..).expect("it lies behind the head")
    }

    /// The Push of this message, with [`PUSH_USER_SEQ_OFFSET`] for the user_seq of each recipient.
    pub fn push(&self) -> &Arc<[u8]> {
        &self.push
    }

    /// What is asked for most, without looking into the bytes.
    pub fn head(&self) -> &MessageHead {
        &self.head
    }

    /// All fields. It verifies the buffer again.
    pub fn view(&self) -> wire::Message<'_> {
        frame::message(self.as_bytes()).expect("verified when made, and immutable")
    }
}

impl PartialEq for MessageBytes {
    fn eq(&self, other: &MessageBytes) -> bool {
        self.push == other.push
    }
}

impl Eq for MessageBytes {}

impl fmt::Debug for MessageBytes {
    // Never the text of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}/{})", self.head.conversation, self.head.seq)
    }
}

/// A message that has no place and no time yet.
pub struct MessageDraft {
    push: Arc<[u8]>,
    head: MessageHead,
}

impl MessageDraft {
    /// `table` is a message with an empty body as the last thing in it, and with a place, a count and a time of any value
    /// but 0, which would not be there.
    pub(crate) fn new(table: &[u8], body: &[u8], head: MessageHead) -> MessageDraft {
        // A message ends with a whole word, as a builder's vectors do.
        let padding = body.len().next_multiple_of(4) - body.len();
        let mut push = behind_push_head([table, body], padding);
        let table_end = PUSH_HEAD.len() + table.len();
        write(&mut push, table_end - 4, &length(body.len()));
        MessageDraft { push, head }
    }

    /// Its place and its time mean nothing.
    pub fn head(&self) -> &MessageHead {
        &self.head
    }

    /// It has its place now.
    pub fn place(mut self, seq: Seq, ordinal: Ordinal, server_time: WallTime) -> MessageBytes {
        assert!(seq.0 > 0 && ordinal.0 > 0 && server_time.0 > 0, "a place is given from 1, at some time");
        let values = [
            (wire::Message::VT_SEQ, seq.0),
            (wire::Message::VT_ORDINAL, ordinal.0),
            (wire::Message::VT_SERVER_TIME_MS, server_time.0),
        ];
        for (field, value) in values {
            let message = self.push.get(PUSH_HEAD.len()..).expect("it lies behind the head");
            let at = frame::root_table(message).and_then(|table| frame::field_offset(message, table, field));
            let at = PUSH_HEAD.len() + at.expect("a draft has this field");
            write(&mut self.push, at, &value.to_le_bytes());
        }
        MessageBytes { push: self.push, head: MessageHead { seq, server_time, ..self.head } }
    }
}

impl fmt::Debug for MessageDraft {
    // Never the text of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} {} from {})", self.head.conversation, self.head.client_msg_id, self.head.sender)
    }
}

fn behind_push_head([front, back]: [&[u8]; 2], padding: usize) -> Arc<[u8]> {
    let size = front.len() + back.len() + padding;
    let mut push: Arc<[u8]> = (0..PUSH_HEAD.len() + size).map(|_| 0).collect();
    write(&mut push, 0, &PUSH_HEAD);
    write(&mut push, SIZE_AT, &length(size));
    write(&mut push, PUSH_HEAD.len(), front);
    write(&mut push, PUSH_HEAD.len() + front.len(), back);
    push
}

fn length(size: usize) -> [u8; 4] {
    u32::try_from(size).expect("a frame is far below 4 GiB").to_le_bytes()
}

fn write(push: &mut Arc<[u8]>, at: usize, bytes: &[u8]) {
    let push = Arc::get_mut(push).expect("what is being built is shared with nobody");
    push.get_mut(at..at + bytes.len()).expect("room was made for it").copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::*;
    use crate::encode::{FrameBuilder, message_new};
    use crate::event::{Event, Message};

    fn message(body_size: usize) -> Message {
        Message {
            conversation: ConversationId([1; 16]),
            seq: Seq(2),
            ordinal: Ordinal(3),
            direct_peer: Some(UserId(4)),
            sender: UserId(5),
            sender_device: DeviceId(6),
            client_msg_id: ClientMsgId([7; 16]),
            server_time: WallTime(8),
            content_type: String::from("text"),
            encryption: wire::Encryption::None,
            body: vec![9; body_size],
            reply_to: Some(Seq(1)),
            mentions: vec![UserId(10), UserId(11)],
            expires_in_s: 12,
        }
    }

    #[test]
    fn the_head_of_a_push_is_what_a_builder_makes_of_one_without_a_message() {
        let mut builder = FrameBuilder::default();
        let (push, user_seq_offset) = builder.template(|fbb| {
            let message = fbb.create_vector::<u8>(&[]);
            message_new(fbb, message)
        });
        assert_eq!((push, user_seq_offset), (&PUSH_HEAD[..], PUSH_USER_SEQ_OFFSET));
    }

    #[test]
    fn a_message_is_read_as_it_was_built_whatever_the_size_of_its_body() {
        for body_size in (0..20).chain([48 * 1024]) {
            let built = FrameBuilder::default().message(&message(body_size));
            assert!(Message::from(&built) == message(body_size), "{body_size} bytes");
            assert_eq!(MessageBytes::new(built.as_bytes()), Ok(built));
        }
    }

    #[test]
    fn the_push_of_a_message_is_a_frame_with_it() {
        let built = FrameBuilder::default().message(&message(600));
        let mut push = built.push().to_vec();
        push[PUSH_USER_SEQ_OFFSET..][..8].copy_from_slice(&77_u64.to_le_bytes());
        let frame = frame::server_frame(&push).expect("a valid frame");
        let push = frame.body_as_push().expect("a Push");
        let events: vec::Vec<_> = push.events().iter().flatten().map(Event::decode).collect();
        assert_eq!((push.first_user_seq(), events), (77, vec![Ok(Event::MessageNew(built))]));
    }
}
