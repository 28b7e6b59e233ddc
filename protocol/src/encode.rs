//! Values to bytes: one [`FrameBuilder`] builds one frame after the other in one buffer.

use alloc::vec::Vec;

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use wire::{ClientBody, ClientFrame, ClientFrameArgs, Encryption, EventBody, ServerBody, ServerFrame, ServerFrameArgs};

use crate::codes::Code;
use crate::event::{Event, MemberChanged, Message, MessageBytes, MessageDraft, MessageHead, nonzero};
use crate::frame;
use crate::ids::{ClientMsgId, ConversationId, DeviceId, Seq, UserId, UserSeq};
use crate::time::WallTime;

/// Builds frames without length prefix. The slice it returns is valid until the next frame.
pub struct FrameBuilder {
    fbb: FlatBufferBuilder<'static>,
}

impl Default for FrameBuilder {
    fn default() -> Self {
        FrameBuilder { fbb: FlatBufferBuilder::with_capacity(1024) }
    }
}

/// Why a frame of a client is refused, for [`FrameBuilder::error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What and why.
    pub code: Code,
    /// For temporary ones.
    pub retry_after_ms: u32,
    /// Number of the refused frame in `ClientBody`.
    pub client_frame: ClientBody,
    /// Its client_msg_id.
    pub client_msg_id: Option<ClientMsgId>,
    /// Its request_id.
    pub request_id: u32,
}

impl FrameBuilder {
    /// A client's frame: `body` builds the table and names its member of the union.
    pub fn client(
        &mut self,
        client_op_id: Option<ClientMsgId>,
        body: impl FnOnce(&mut FlatBufferBuilder<'static>) -> (ClientBody, WIPOffset<UnionWIPOffset>),
    ) -> &[u8] {
        self.fbb.reset();
        let (body_type, body) = body(&mut self.fbb);
        let client_op_id = client_op_id.map(wire::ClientMsgId::from);
        let args = ClientFrameArgs { client_op_id: client_op_id.as_ref(), body_type, body: Some(body) };
        let frame = ClientFrame::create(&mut self.fbb, &args);
        self.fbb.finish(frame, None);
        self.fbb.finished_data()
    }

    /// A server's frame: `body` builds the table and names its member of the union.
    pub fn server(
        &mut self,
        body: impl FnOnce(&mut FlatBufferBuilder<'static>) -> (ServerBody, WIPOffset<UnionWIPOffset>),
    ) -> &[u8] {
        self.fbb.reset();
        let (body_type, body) = body(&mut self.fbb);
        let frame = ServerFrame::create(&mut self.fbb, &ServerFrameArgs { body_type, body: Some(body) });
        self.fbb.finish(frame, None);
        self.fbb.finished_data()
    }

    /// Several events from one user_seq on.
    pub fn push(&mut self, first_user_seq: UserSeq, events: &[Event]) -> &[u8] {
        self.server(|fbb| {
            let events = self::events(fbb, events);
            let args = wire::PushArgs { first_user_seq: first_user_seq.0, events: Some(events) };
            (ServerBody::Push, wire::Push::create(fbb, &args).as_union_value())
        })
    }

    /// For everybody who follows a channel: how far it is, and an entry where there is one to tell.
    pub fn channel_push(&mut self, conversation: ConversationId, head: Seq, event: Option<&Event>) -> &[u8] {
        self.server(|fbb| {
            let events = event.map(|event| events(fbb, core::slice::from_ref(event)));
            let conversation = conversation.into();
            let args = wire::ChannelPushArgs { conversation: Some(&conversation), head_seq: head.0, events };
            (ServerBody::ChannelPush, wire::ChannelPush::create(fbb, &args).as_union_value())
        })
    }

    /// One event for many recipients: the frame, and where in it each one's user_seq goes.
    pub fn push_template(&mut self, event: &Event) -> (&[u8], usize) {
        self.template(|fbb| self::event(fbb, event))
    }

    pub(crate) fn template(
        &mut self,
        event: impl FnOnce(&mut FlatBufferBuilder<'static>) -> WIPOffset<wire::Event<'static>>,
    ) -> (&[u8], usize) {
        let mut push = 0;
        let frame = self.server(|fbb| {
            let event = event(fbb);
            let events = fbb.create_vector(&[event]);
            // The value is never the default of the field, or the field would not be there.
            let args = wire::PushArgs { first_user_seq: u64::MAX, events: Some(events) };
            let table = wire::Push::create(fbb, &args);
            push = table.value();
            (ServerBody::Push, table.as_union_value())
        });
        // A builder counts from the end.
        let table = frame.len() - push as usize;
        let offset = frame::field_offset(frame, table, wire::Push::VT_FIRST_USER_SEQ);
        (frame, offset.expect("a Push has its first field"))
    }

    /// A refusal of one frame.
    pub fn error(&mut self, refusal: Refusal) -> &[u8] {
        self.server(|fbb| {
            let text = fbb.create_string(refusal.code.text());
            let client_msg_id = refusal.client_msg_id.map(wire::ClientMsgId::from);
            let args = wire::ErrorArgs {
                code: refusal.code.number(),
                temporary: refusal.code.is_temporary(),
                retry_after_ms: refusal.retry_after_ms,
                client_frame: refusal.client_frame.0,
                client_msg_id: client_msg_id.as_ref(),
                request_id: refusal.request_id,
                text: Some(text),
            };
            (ServerBody::Error, wire::Error::create(fbb, &args).as_union_value())
        })
    }

    /// The last frame before a connection is closed from this side.
    pub fn go_away(&mut self, code: Code, retry_after_min_ms: u32, retry_after_max_ms: u32) -> &[u8] {
        self.server(|fbb| {
            let text = fbb.create_string(code.text());
            let args =
                wire::GoAwayArgs { code: code.number(), retry_after_min_ms, retry_after_max_ms, text: Some(text) };
            (ServerBody::GoAway, wire::GoAway::create(fbb, &args).as_union_value())
        })
    }

    /// A message that a session has sent, except for its place and its time.
    pub fn draft(&mut self, send: &wire::MessageSend<'_>, sender: UserId, sender_device: DeviceId) -> MessageDraft {
        let head = MessageHead {
            conversation: send.conversation().into(),
            seq: Seq(0),
            sender,
            sender_device,
            client_msg_id: send.client_msg_id().into(),
            server_time: WallTime(0),
            direct_peer: nonzero(send.direct_peer()).map(UserId),
            expires_in_s: send.expires_in_s(),
        };
        let content = Content {
            content_type: send.content_type().unwrap_or_default(),
            encryption: send.encryption(),
            body: send.body().map(|body| body.bytes()).unwrap_or_default(),
            reply_to_seq: send.reply_to_seq(),
        };
        let mentions = send.mentions().filter(|mentions| !mentions.is_empty());
        self.draft_of(head, &content, mentions.map(|mentions| mentions.iter()))
    }

    /// The nested buffer of a message.
    pub fn message(&mut self, message: &Message) -> MessageBytes {
        let head = MessageHead {
            conversation: message.conversation,
            seq: message.seq,
            sender: message.sender,
            sender_device: message.sender_device,
            client_msg_id: message.client_msg_id,
            server_time: message.server_time,
            direct_peer: message.direct_peer,
            expires_in_s: message.expires_in_s,
        };
        let content = Content {
            content_type: &message.content_type,
            encryption: message.encryption,
            body: &message.body,
            reply_to_seq: message.reply_to.map_or(0, |seq| seq.0),
        };
        let mentions = (!message.mentions.is_empty()).then(|| message.mentions.iter().map(|user| user.0));
        self.draft_of(head, &content, mentions).place(message.seq, message.ordinal, message.server_time)
    }

    fn draft_of(
        &mut self,
        head: MessageHead,
        content: &Content<'_>,
        mentions: Option<impl ExactSizeIterator<Item = u64> + DoubleEndedIterator>,
    ) -> MessageDraft {
        self.fbb.reset();
        let fbb = &mut self.fbb;
        // What is built first is the last thing in the buffer.
        let body = fbb.create_vector::<u8>(&[]);
        let content_type = fbb.create_string(content.content_type);
        let mentions = mentions.map(|mentions| fbb.create_vector_from_iter(mentions));
        let (conversation, client_msg_id) = (head.conversation.into(), head.client_msg_id.into());
        let args = wire::MessageArgs {
            conversation: Some(&conversation),
            seq: u64::MAX,
            ordinal: u64::MAX,
            direct_peer: head.direct_peer.map_or(0, |peer| peer.0),
            sender: head.sender.0,
            sender_device: head.sender_device.0,
            client_msg_id: Some(&client_msg_id),
            server_time_ms: u64::MAX,
            content_type: Some(content_type),
            encryption: content.encryption,
            body: Some(body),
            reply_to_seq: content.reply_to_seq,
            mentions,
            expires_in_s: head.expires_in_s,
        };
        let root = wire::Message::create(fbb, &args);
        fbb.finish(root, None);
        MessageDraft::new(fbb.finished_data(), content.body, head)
    }
}

/// What the server does not look into.
struct Content<'a> {
    content_type: &'a str,
    encryption: Encryption,
    body: &'a [u8],
    reply_to_seq: u64,
}

/// A vector of bytes, copied in one piece: `create_vector` has the compiler find out that it may. A null byte follows.
pub(crate) fn bytes<'a>(fbb: &mut FlatBufferBuilder<'a>, bytes: &[u8]) -> WIPOffset<flatbuffers::Vector<'a, u8>> {
    WIPOffset::new(fbb.create_byte_string(bytes).value())
}

/// A vector of events, for every frame that carries one.
pub fn events<'a>(
    fbb: &mut FlatBufferBuilder<'a>,
    events: &[Event],
) -> WIPOffset<flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<wire::Event<'a>>>> {
    let offsets: Vec<_> = events.iter().map(|event| self::event(fbb, event)).collect();
    fbb.create_vector(&offsets)
}

/// A vector of user ids.
pub fn user_ids<'a>(fbb: &mut FlatBufferBuilder<'a>, users: &[UserId]) -> WIPOffset<flatbuffers::Vector<'a, u64>> {
    fbb.create_vector_from_iter(users.iter().map(|user| user.0))
}

/// Bytes that [`event`] takes in a page, at most: for filling pages without building them first.
pub fn event_size_max(event: &Event) -> usize {
    match event {
        Event::MessageNew(message) => message.as_bytes().len() + 64,
        Event::MemberChanged(change) => change.title.len() + 8 * change.users.len() + 192,
        _ => 128,
    }
}

fn event<'a>(fbb: &mut FlatBufferBuilder<'a>, event: &Event) -> WIPOffset<wire::Event<'a>> {
    let (body_type, body) = match event {
        Event::MessageNew(message) => {
            let message = bytes(fbb, message.as_bytes());
            return message_new(fbb, message);
        }
        Event::Echo { client_msg_id, conversation, seq, server_time } => {
            let (conversation, client_msg_id) = ((*conversation).into(), (*client_msg_id).into());
            let args = wire::EchoArgs {
                client_msg_id: Some(&client_msg_id),
                conversation: Some(&conversation),
                seq: seq.0,
                server_time_ms: server_time.0,
            };
            (EventBody::Echo, wire::Echo::create(fbb, &args).as_union_value())
        }
        Event::Void(place) => {
            let conversation = place.map(|(conversation, _)| conversation.into());
            let seq = place.map_or(0, |(_, seq)| seq.0);
            let args = wire::VoidArgs { conversation: conversation.as_ref(), seq };
            (EventBody::Void, wire::Void::create(fbb, &args).as_union_value())
        }
        Event::Delivered(receipt) => {
            let conversation = receipt.conversation.into();
            let args =
                wire::DeliveredArgs { conversation: Some(&conversation), up_to_seq: receipt.up_to.0, by: receipt.by.0 };
            (EventBody::Delivered, wire::Delivered::create(fbb, &args).as_union_value())
        }
        Event::Read(receipt) => {
            let conversation = receipt.conversation.into();
            let args =
                wire::ReadArgs { conversation: Some(&conversation), up_to_seq: receipt.up_to.0, by: receipt.by.0 };
            (EventBody::Read, wire::Read::create(fbb, &args).as_union_value())
        }
        Event::SyncRead { conversation, up_to } => {
            let conversation = (*conversation).into();
            let args = wire::SyncReadArgs { conversation: Some(&conversation), up_to_seq: up_to.0 };
            (EventBody::SyncRead, wire::SyncRead::create(fbb, &args).as_union_value())
        }
        Event::MemberChanged(change) => (EventBody::MemberChanged, member_changed(fbb, change).as_union_value()),
        Event::Unknown(number) => unreachable!("event {number} is only ever decoded"),
    };
    wire::Event::create(fbb, &wire::EventArgs { body_type, body: Some(body) })
}

/// An event with this message.
pub(crate) fn message_new<'a>(
    fbb: &mut FlatBufferBuilder<'a>,
    message: WIPOffset<flatbuffers::Vector<'a, u8>>,
) -> WIPOffset<wire::Event<'a>> {
    let body = wire::MessageNew::create(fbb, &wire::MessageNewArgs { message: Some(message) }).as_union_value();
    wire::Event::create(fbb, &wire::EventArgs { body_type: EventBody::MessageNew, body: Some(body) })
}

fn member_changed<'a>(fbb: &mut FlatBufferBuilder<'a>, change: &MemberChanged) -> WIPOffset<wire::MemberChanged<'a>> {
    let users = user_ids(fbb, &change.users);
    let title = fbb.create_string(&change.title);
    let (conversation, client_op_id) = (change.conversation.into(), change.client_op_id.into());
    let args = wire::MemberChangedArgs {
        conversation: Some(&conversation),
        seq: change.seq.0,
        ordinal: change.ordinal.0,
        action: change.action,
        actor: change.actor.0,
        actor_device: change.actor_device.0,
        users: Some(users),
        role: change.role,
        kind: change.kind,
        title: Some(title),
        client_op_id: Some(&client_op_id),
        server_time_ms: change.server_time.0,
    };
    wire::MemberChanged::create(fbb, &args)
}
