//! Batches to messages and back. A batch is one FlatBuffer; its frames are copied in once, and read in place at
//! the other end.

use alloc::vec::Vec;

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, WIPOffset};
use wire::link as schema;
use wire::link::LinkBody;

use super::batch::Batch;
use super::message::{
    ConnectionKey, Fanout, FanoutTargets, GatewayHello, GatewayMessage, RouterHello, RouterMessage, SessionOpen,
    SessionOpened,
};
use super::{BATCH_MESSAGES_MAX, BATCH_SIZE_MAX, LinkError};
use crate::codes::Code;
use crate::encode::bytes;
use crate::event::nonzero;
use crate::frame;
use crate::ids::{DeviceGeneration, DeviceId, Seq, SessionId, StoreIncarnation, UserEpoch, UserId, UserSeq};

/// A verified batch.
pub(super) struct BatchView<'a>(flatbuffers::Vector<'a, ForwardsUOffset<schema::LinkMessage<'a>>>);

/// A message of either direction, or credits.
pub(super) enum Incoming<'a> {
    Gateway(GatewayMessage<'a>),
    Router(RouterMessage<'a>),
    Credits(u64),
    /// Of a later version.
    Unknown,
}

impl<'a> BatchView<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<BatchView<'a>, LinkError> {
        if bytes.len() > BATCH_SIZE_MAX {
            return Err(LinkError::BatchTooLarge);
        }
        let options = frame::options(1 + 2 * BATCH_MESSAGES_MAX, BATCH_SIZE_MAX);
        let batch = flatbuffers::root_with_opts::<schema::LinkBatch<'a>>(&options, bytes);
        Ok(BatchView(batch.map_err(|_| LinkError::Invalid)?.messages()))
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Result<Incoming<'a>, LinkError>> + use<'a> {
        self.0.iter().map(|message| decode(message).ok_or(LinkError::Invalid))
    }
}

/// `None` for a union whose type is set and whose value is missing.
fn decode(message: schema::LinkMessage<'_>) -> Option<Incoming<'_>> {
    Some(match message.body_type() {
        LinkBody::GatewayHello => {
            let hello = message.body_as_gateway_hello()?;
            Incoming::Gateway(GatewayMessage::Hello(GatewayHello {
                version: hello.version(),
                gateway_id: hello.gateway_id(),
                shard_index: hello.shard_index(),
                gateway_incarnation: hello.gateway_incarnation(),
            }))
        }
        LinkBody::SessionOpen => {
            let open = message.body_as_session_open()?;
            Incoming::Gateway(GatewayMessage::SessionOpen(SessionOpen {
                connection: ConnectionKey(open.connection()),
                user: UserId(open.user()),
                device: DeviceId(open.device_id()),
                device_generation: DeviceGeneration(open.device_generation()),
                install_id: open.install_id().map(Into::into),
                device_name: open.device_name().unwrap_or_default(),
                transient: open.transient(),
                store_incarnation: StoreIncarnation(open.store_incarnation()),
                user_epoch: UserEpoch(open.user_epoch()),
                user_cursor: UserSeq(open.user_cursor()),
                session: nonzero(open.session_id()).map(SessionId),
            }))
        }
        LinkBody::SessionClose => Incoming::Gateway(GatewayMessage::SessionClose(ConnectionKey(
            message.body_as_session_close()?.connection(),
        ))),
        LinkBody::ChannelLeft => {
            let left = message.body_as_channel_left()?;
            Incoming::Gateway(GatewayMessage::ChannelLeft {
                conversation: left.conversation().into(),
                count: left.count(),
            })
        }
        LinkBody::ClientRequest => {
            let request = message.body_as_client_request()?;
            Incoming::Gateway(GatewayMessage::ClientRequest {
                connection: ConnectionKey(request.connection()),
                frame: request.frame().bytes(),
            })
        }
        LinkBody::Credits => Incoming::Credits(message.body_as_credits()?.bytes()),
        _ => return decode_from_router(message),
    })
}

fn decode_from_router(message: schema::LinkMessage<'_>) -> Option<Incoming<'_>> {
    Some(Incoming::Router(match message.body_type() {
        LinkBody::RouterHello => {
            let hello = message.body_as_router_hello()?;
            RouterMessage::Hello(RouterHello {
                version: hello.version(),
                router_incarnation: hello.router_incarnation(),
                store_incarnation: StoreIncarnation(hello.store_incarnation()),
                durability: hello.durability(),
            })
        }
        LinkBody::SessionOpened => {
            let opened = message.body_as_session_opened()?;
            RouterMessage::SessionOpened(SessionOpened {
                connection: ConnectionKey(opened.connection()),
                session: SessionId(opened.session_id()),
                user: UserId(opened.user()),
                handle: opened.handle().unwrap_or_default(),
                device: DeviceId(opened.device_id()),
                device_generation: DeviceGeneration(opened.device_generation()),
                resumed: opened.resumed(),
                user_epoch: UserEpoch(opened.user_epoch()),
                user_head: UserSeq(opened.user_head()),
            })
        }
        LinkBody::SessionRefused => {
            let refused = message.body_as_session_refused()?;
            RouterMessage::SessionRefused {
                connection: ConnectionKey(refused.connection()),
                code: Code::from_number(refused.code()).unwrap_or(Code::InternalError),
            }
        }
        LinkBody::Deliver => {
            let deliver = message.body_as_deliver()?;
            RouterMessage::Deliver {
                connection: ConnectionKey(deliver.connection()),
                user_seq_last: UserSeq(deliver.user_seq_last()),
                frame: deliver.frame().bytes(),
            }
        }
        LinkBody::Fanout => {
            let fanout = message.body_as_fanout()?;
            let user_seq_offset = fanout.user_seq_offset() as usize;
            let frame = fanout.frame().bytes();
            frame.get(user_seq_offset..)?.first_chunk::<8>()?;
            RouterMessage::Fanout(Fanout { targets: FanoutTargets(fanout.targets()), user_seq_offset, frame })
        }
        LinkBody::ChannelJoined => {
            let joined = message.body_as_channel_joined()?;
            RouterMessage::ChannelJoined {
                connection: ConnectionKey(joined.connection()),
                request_id: joined.request_id(),
                conversation: joined.conversation().into(),
                head: Seq(joined.head_seq()),
            }
        }
        LinkBody::Publish => {
            let publish = message.body_as_publish()?;
            RouterMessage::Publish {
                conversation: publish.conversation().into(),
                head: Seq(publish.head_seq()),
                frame: publish.frame().bytes(),
            }
        }
        _ => return Some(Incoming::Unknown),
    }))
}

/// Gathers messages into one batch.
pub(super) struct BatchBuilder {
    fbb: FlatBufferBuilder<'static>,
    messages: Vec<WIPOffset<schema::LinkMessage<'static>>>,
}

impl BatchBuilder {
    pub(super) fn new() -> BatchBuilder {
        BatchBuilder { fbb: fresh(), messages: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes so far, without the table of messages.
    pub(super) fn size(&self) -> usize {
        self.fbb.unfinished_data().len()
    }

    pub(super) fn messages_count(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn clear(&mut self) {
        self.fbb.reset();
        self.messages.clear();
    }

    /// The batch. The next one is built with `spare`, an empty builder.
    pub(super) fn finish(&mut self, spare: Option<FlatBufferBuilder<'static>>) -> Batch {
        let messages = self.fbb.create_vector(&self.messages);
        let batch = schema::LinkBatch::create(&mut self.fbb, &schema::LinkBatchArgs { messages: Some(messages) });
        self.fbb.finish(batch, None);
        self.messages.clear();
        let batch = Batch::built(core::mem::replace(&mut self.fbb, spare.unwrap_or_else(fresh)));
        assert!(batch.len() <= BATCH_SIZE_MAX, "the target and the largest message fit the limit");
        batch
    }

    pub(super) fn credits(&mut self, bytes: u64) {
        let body = schema::Credits::create(&mut self.fbb, &schema::CreditsArgs { bytes }).as_union_value();
        self.add(LinkBody::Credits, body);
    }

    pub(super) fn gateway(&mut self, message: &GatewayMessage<'_>) {
        let fbb = &mut self.fbb;
        let (body_type, body) = match *message {
            GatewayMessage::Hello(hello) => {
                let args = schema::GatewayHelloArgs {
                    version: hello.version,
                    gateway_id: hello.gateway_id,
                    shard_index: hello.shard_index,
                    gateway_incarnation: hello.gateway_incarnation,
                };
                (LinkBody::GatewayHello, schema::GatewayHello::create(fbb, &args).as_union_value())
            }
            GatewayMessage::SessionOpen(ref open) => (LinkBody::SessionOpen, session_open(fbb, open)),
            GatewayMessage::SessionClose(connection) => {
                let args = schema::SessionCloseArgs { connection: connection.0 };
                (LinkBody::SessionClose, schema::SessionClose::create(fbb, &args).as_union_value())
            }
            GatewayMessage::ChannelLeft { conversation, count } => {
                let conversation = conversation.into();
                let args = schema::ChannelLeftArgs { conversation: Some(&conversation), count };
                (LinkBody::ChannelLeft, schema::ChannelLeft::create(fbb, &args).as_union_value())
            }
            GatewayMessage::ClientRequest { connection, frame } => {
                let frame = bytes(fbb, frame);
                let args = schema::ClientRequestArgs { connection: connection.0, frame: Some(frame) };
                (LinkBody::ClientRequest, schema::ClientRequest::create(fbb, &args).as_union_value())
            }
        };
        self.add(body_type, body);
    }

    /// `Fanout` has a method of its own: its targets are values here and a vector of the batch there.
    pub(super) fn router(&mut self, message: &RouterMessage<'_>) {
        let fbb = &mut self.fbb;
        let (body_type, body) = match *message {
            RouterMessage::Hello(hello) => {
                let args = schema::RouterHelloArgs {
                    version: hello.version,
                    router_incarnation: hello.router_incarnation,
                    store_incarnation: hello.store_incarnation.0,
                    durability: hello.durability,
                };
                (LinkBody::RouterHello, schema::RouterHello::create(fbb, &args).as_union_value())
            }
            RouterMessage::SessionOpened(ref opened) => (LinkBody::SessionOpened, session_opened(fbb, opened)),
            RouterMessage::SessionRefused { connection, code } => {
                let args = schema::SessionRefusedArgs { connection: connection.0, code: code.number() };
                (LinkBody::SessionRefused, schema::SessionRefused::create(fbb, &args).as_union_value())
            }
            RouterMessage::Deliver { connection, user_seq_last, frame } => {
                let frame = bytes(fbb, frame);
                let args = schema::DeliverArgs {
                    connection: connection.0,
                    user_seq_last: user_seq_last.0,
                    frame: Some(frame),
                };
                (LinkBody::Deliver, schema::Deliver::create(fbb, &args).as_union_value())
            }
            RouterMessage::ChannelJoined { connection, request_id, conversation, head } => {
                let conversation = conversation.into();
                let (connection, head_seq) = (connection.0, head.0);
                let args =
                    schema::ChannelJoinedArgs { connection, request_id, conversation: Some(&conversation), head_seq };
                (LinkBody::ChannelJoined, schema::ChannelJoined::create(fbb, &args).as_union_value())
            }
            RouterMessage::Publish { conversation, head, frame } => {
                let frame = bytes(fbb, frame);
                let conversation = conversation.into();
                let args =
                    schema::PublishArgs { conversation: Some(&conversation), head_seq: head.0, frame: Some(frame) };
                (LinkBody::Publish, schema::Publish::create(fbb, &args).as_union_value())
            }
            RouterMessage::Fanout(_) => unreachable!("built by `fanout`"),
        };
        self.add(body_type, body);
    }

    pub(super) fn fanout(&mut self, targets: &[(ConnectionKey, UserSeq)], user_seq_offset: usize, frame: &[u8]) {
        let frame = bytes(&mut self.fbb, frame);
        let targets = self.fbb.create_vector_from_iter(
            targets.iter().map(|(connection, user_seq)| schema::FanoutTarget::new(connection.0, user_seq.0)),
        );
        let user_seq_offset = u32::try_from(user_seq_offset).expect("an offset into a frame of at most 64 KiB");
        let args = schema::FanoutArgs { targets: Some(targets), user_seq_offset, frame: Some(frame) };
        let body = schema::Fanout::create(&mut self.fbb, &args).as_union_value();
        self.add(LinkBody::Fanout, body);
    }

    fn add(&mut self, body_type: LinkBody, body: WIPOffset<UnionWIPOffset>) {
        let args = schema::LinkMessageArgs { body_type, body: Some(body) };
        self.messages.push(schema::LinkMessage::create(&mut self.fbb, &args));
    }
}

fn fresh() -> FlatBufferBuilder<'static> {
    FlatBufferBuilder::with_capacity(4096)
}

fn session_open(fbb: &mut FlatBufferBuilder<'static>, open: &SessionOpen<'_>) -> WIPOffset<UnionWIPOffset> {
    let device_name = fbb.create_string(open.device_name);
    let install_id = open.install_id.map(wire::ClientMsgId::from);
    let args = schema::SessionOpenArgs {
        connection: open.connection.0,
        user: open.user.0,
        device_id: open.device.0,
        device_generation: open.device_generation.0,
        install_id: install_id.as_ref(),
        device_name: Some(device_name),
        transient: open.transient,
        store_incarnation: open.store_incarnation.0,
        user_epoch: open.user_epoch.0,
        user_cursor: open.user_cursor.0,
        session_id: open.session.map_or(0, |session| session.0),
    };
    schema::SessionOpen::create(fbb, &args).as_union_value()
}

fn session_opened(fbb: &mut FlatBufferBuilder<'static>, opened: &SessionOpened<'_>) -> WIPOffset<UnionWIPOffset> {
    let handle = fbb.create_string(opened.handle);
    let args = schema::SessionOpenedArgs {
        connection: opened.connection.0,
        session_id: opened.session.0,
        user: opened.user.0,
        handle: Some(handle),
        device_id: opened.device.0,
        device_generation: opened.device_generation.0,
        resumed: opened.resumed,
        user_epoch: opened.user_epoch.0,
        user_head: opened.user_head.0,
    };
    schema::SessionOpened::create(fbb, &args).as_union_value()
}
