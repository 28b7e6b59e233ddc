//! What clients send and receive, as values.

use protocol::client::RequestId;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::frame;
use protocol::ids;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq};
use protocol::time::WallTime;
use protocol::wire::{
    self, Ack, AckArgs, Capability, ClientBody, ConversationCreate, ConversationCreateArgs, ConversationId,
    ConversationKind, MessageSend, MessageSendArgs, OpStatus, Ping, PingArgs, ServerBody, UserLookup, UserLookupArgs,
};

pub(crate) const CONVERSATION: ConversationId = ConversationId([7; 16]);

/// The Hello of a device that has registered before.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) access_token: &'static str,
    pub(crate) resume_ticket: Vec<u8>,
    pub(crate) device: DeviceId,
    pub(crate) device_generation: DeviceGeneration,
    pub(crate) install_id: Option<ClientMsgId>,
    pub(crate) capabilities: Capability,
    pub(crate) user_cursor: UserSeq,
}

impl Default for Hello {
    fn default() -> Self {
        Hello {
            access_token: "token",
            resume_ticket: Vec::new(),
            device: DeviceId(11),
            device_generation: DeviceGeneration(1),
            install_id: None,
            capabilities: Capability::empty(),
            user_cursor: UserSeq(90),
        }
    }
}

impl Hello {
    pub(crate) fn transient() -> Hello {
        Hello { device: DeviceId(0), capabilities: Capability::Transient, ..Hello::default() }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        client(None, |fbb| {
            let access_token = fbb.create_string(self.access_token);
            let resume_ticket = fbb.create_vector(&self.resume_ticket);
            let device_name = fbb.create_string("pocket");
            let install_id = self.install_id.map(wire::ClientMsgId::from);
            let args = wire::HelloArgs {
                version_min: 1,
                version_max: 1,
                access_token: Some(access_token),
                resume_ticket: Some(resume_ticket),
                device_id: self.device.0,
                device_generation: self.device_generation.0,
                install_id: install_id.as_ref(),
                device_name: Some(device_name),
                store_incarnation: StoreIncarnation(7).0,
                user_epoch: UserEpoch(5).0,
                user_cursor: self.user_cursor.0,
                capabilities: self.capabilities,
            };
            (ClientBody::Hello, wire::Hello::create(fbb, &args).as_union_value())
        })
    }
}

macro_rules! client {
    ($op:expr, $fbb:ident, $table:ident, $args:expr) => {
        client($op, |$fbb| {
            let args = $args;
            (ClientBody::$table, $table::create($fbb, &args).as_union_value())
        })
    };
}

fn client(
    client_op_id: Option<ClientMsgId>,
    body: impl FnOnce(&mut flatbuffers::FlatBufferBuilder<'static>) -> Body,
) -> Vec<u8> {
    FrameBuilder::default().client(client_op_id, body).to_vec()
}

type Body = (ClientBody, flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>);

pub(crate) fn ping() -> Vec<u8> {
    client!(None, fbb, Ping, PingArgs {})
}

pub(crate) fn ack(user_seq: u64) -> Vec<u8> {
    client!(None, fbb, Ack, AckArgs { user_seq })
}

/// A message of that many bytes. Its number makes its client_msg_id.
pub(crate) fn message(now: WallTime, number: u64, body_size: usize) -> Vec<u8> {
    let client_msg_id = ClientMsgId::new(now, u128::from(number)).into();
    client!(None, fbb, MessageSend, {
        MessageSendArgs {
            conversation: Some(&CONVERSATION),
            client_msg_id: Some(&client_msg_id),
            body: Some(fbb.create_vector(&vec![1u8; body_size])),
            ..Default::default()
        }
    })
}

/// The number of a message.
pub(crate) fn message_number(bytes: &[u8]) -> Option<u64> {
    let send = frame::client_frame(bytes).ok()?.body_as_message_send()?;
    // Numbers of tests are far below the bits of version and variant.
    Some(u128::from_be_bytes(send.client_msg_id().0) as u64 & 0xffff_ffff)
}

pub(crate) fn lookup() -> Vec<u8> {
    client!(
        None,
        fbb,
        UserLookup,
        UserLookupArgs { request_id: 3, ids: Some(fbb.create_vector(&[1u64])), handles: None }
    )
}

/// Creates a conversation of a kind that cannot be created.
pub(crate) fn direct_create(client_op_id: ClientMsgId) -> Vec<u8> {
    client!(
        Some(client_op_id),
        fbb,
        ConversationCreate,
        ConversationCreateArgs { kind: ConversationKind::Direct, ..Default::default() }
    )
}

/// A frame of a later version.
pub(crate) fn unknown(client_op_id: Option<ClientMsgId>) -> Vec<u8> {
    client(client_op_id, |fbb| (ClientBody(200), Ping::create(fbb, &PingArgs {}).as_union_value()))
}

/// A Push of one event that holds nothing.
pub(crate) fn push(user_seq: UserSeq) -> Vec<u8> {
    FrameBuilder::default().push(user_seq, &[Event::Void(None)]).to_vec()
}

/// The same with the place where its user_seq stands.
pub(crate) fn push_template() -> (usize, Vec<u8>) {
    let marker = UserSeq(u64::from_le_bytes(*b"user_seq"));
    let frame = push(marker);
    let at = frame.windows(8).position(|window| window == b"user_seq").expect("it is in there");
    (at, frame)
}

pub(crate) fn follow(request_id: u32, channels: &[ids::ConversationId]) -> Vec<u8> {
    FrameBuilder::default().channel_follow(RequestId(request_id), channels).to_vec()
}

/// Of an entry, of about that many bytes.
pub(crate) fn channel_push(channel: ids::ConversationId, head: Seq, size: usize) -> Vec<u8> {
    let mut frame = FrameBuilder::default().channel_push(channel, head, None).to_vec();
    frame.resize(frame.len().max(size), 0);
    frame
}

/// An answer of about that many bytes.
pub(crate) fn page(size: usize) -> Vec<u8> {
    let mut builder = FrameBuilder::default();
    let page = builder.server(|fbb| {
        let handle = fbb.create_string(&"h".repeat(size));
        let user = wire::User::create(fbb, &wire::UserArgs { id: 1, handle: Some(handle) });
        let users = fbb.create_vector(&[user]);
        let args = wire::UserPageArgs { request_id: 1, users: Some(users) };
        (ServerBody::UserPage, wire::UserPage::create(fbb, &args).as_union_value())
    });
    page.to_vec()
}

/// A frame of the server, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerFrame {
    Welcome(Welcome),
    Push(UserSeq),
    Channel(Seq),
    Page,
    Pong(UserSeq, WallTime),
    Resend,
    Error(Code, ClientBody, Option<ClientMsgId>),
    OpAck(ClientMsgId, OpStatus, Code),
    GoAway(Code),
    GoAwayWithin(Code, u32, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) version: u16,
    pub(crate) session: u64,
    pub(crate) user: UserId,
    pub(crate) handle: String,
    pub(crate) device: DeviceId,
    pub(crate) device_generation: DeviceGeneration,
    pub(crate) heartbeat_interval_ms: u32,
    pub(crate) resumed: bool,
    pub(crate) store_incarnation: StoreIncarnation,
    pub(crate) user_epoch: UserEpoch,
    pub(crate) user_head: UserSeq,
    pub(crate) resume_ticket: Option<Vec<u8>>,
    pub(crate) server_time: WallTime,
    pub(crate) durability: wire::Durability,
}

impl ServerFrame {
    /// A GoAway without its window.
    pub(crate) fn kind(&self) -> ServerFrame {
        match self {
            ServerFrame::GoAwayWithin(code, ..) => ServerFrame::GoAway(*code),
            frame => frame.clone(),
        }
    }
}

fn code(number: u16) -> Code {
    Code::from_number(number).expect("a code of this build")
}

pub(crate) fn decode(bytes: &[u8]) -> ServerFrame {
    let view = frame::server_frame(bytes).expect("what a shard sends verifies");
    match view.body_type() {
        ServerBody::Welcome => ServerFrame::Welcome(decode_welcome(view.body_as_welcome().expect("by its type"))),
        ServerBody::Push => ServerFrame::Push(UserSeq(view.body_as_push().expect("by its type").first_user_seq())),
        ServerBody::ChannelPush => {
            ServerFrame::Channel(Seq(view.body_as_channel_push().expect("by its type").head_seq()))
        }
        ServerBody::UserPage => ServerFrame::Page,
        ServerBody::Pong => {
            let pong = view.body_as_pong().expect("by its type");
            ServerFrame::Pong(UserSeq(pong.user_head()), WallTime(pong.server_time_ms()))
        }
        ServerBody::Resend => ServerFrame::Resend,
        ServerBody::Error => {
            let error = view.body_as_error().expect("by its type");
            let client_msg_id = error.client_msg_id().map(ClientMsgId::from);
            assert_eq!(error.temporary(), code(error.code()).is_temporary());
            ServerFrame::Error(code(error.code()), ClientBody(error.client_frame()), client_msg_id)
        }
        ServerBody::OpAck => {
            let ack = view.body_as_op_ack().expect("by its type");
            ServerFrame::OpAck(ack.client_op_id().into(), ack.status(), code(ack.code()))
        }
        ServerBody::GoAway => {
            let away = view.body_as_go_away().expect("by its type");
            ServerFrame::GoAwayWithin(code(away.code()), away.retry_after_min_ms(), away.retry_after_max_ms())
        }
        other => panic!("a shard sends no {other:?} of its own"),
    }
}

fn decode_welcome(welcome: wire::Welcome<'_>) -> Welcome {
    Welcome {
        version: welcome.version(),
        session: welcome.session_id(),
        user: UserId(welcome.user_id()),
        handle: welcome.user_handle().expect("a name").to_owned(),
        device: DeviceId(welcome.device_id()),
        device_generation: DeviceGeneration(welcome.device_generation()),
        heartbeat_interval_ms: welcome.heartbeat_interval_ms(),
        resumed: welcome.resumed(),
        store_incarnation: StoreIncarnation(welcome.store_incarnation()),
        user_epoch: UserEpoch(welcome.user_epoch()),
        user_head: UserSeq(welcome.user_head()),
        resume_ticket: welcome.resume_ticket().map(|ticket| ticket.bytes().to_vec()),
        server_time: WallTime(welcome.server_time_ms()),
        durability: welcome.durability(),
    }
}
