//! The frames with which a session answers by itself.

use wire::{OpStatus, ServerBody};

use crate::codes::Code;
use crate::encode::FrameBuilder;
use crate::ids::{ClientMsgId, DeviceGeneration, DeviceId, SessionId, StoreIncarnation, UserEpoch, UserId, UserSeq};
use crate::time::WallTime;

/// The answer to a Hello, for [`FrameBuilder::welcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// Agreed on.
    pub version: u16,
    /// For logs and support.
    pub session: SessionId,
    /// Whose session it is.
    pub user: UserId,
    /// The user's name.
    pub user_handle: &'a str,
    /// 0 for a transient session.
    pub device: DeviceId,
    /// Of the device.
    pub device_generation: DeviceGeneration,
    /// How often the client has to be heard of.
    pub heartbeat_interval_ms: u32,
    /// False: a Snapshot follows.
    pub resumed: bool,
    /// Which life of the store serves it.
    pub store_incarnation: StoreIncarnation,
    /// Which rebuild of the user's log.
    pub user_epoch: UserEpoch,
    /// The end of the user's log.
    pub user_head: UserSeq,
    /// What a device may show in place of its access token.
    pub resume_ticket: Option<&'a [u8]>,
    /// By the gateway's clock.
    pub server_time: WallTime,
    /// What an acknowledgement stands for.
    pub durability: wire::Durability,
}

impl FrameBuilder {
    /// The first frame of the server.
    pub fn welcome(&mut self, welcome: &Welcome<'_>) -> &[u8] {
        self.server(|fbb| {
            let user_handle = fbb.create_string(welcome.user_handle);
            let resume_ticket = welcome.resume_ticket.map(|ticket| fbb.create_vector(ticket));
            let args = wire::WelcomeArgs {
                version: welcome.version,
                session_id: welcome.session.0,
                user_id: welcome.user.0,
                user_handle: Some(user_handle),
                device_id: welcome.device.0,
                device_generation: welcome.device_generation.0,
                heartbeat_interval_ms: welcome.heartbeat_interval_ms,
                resumed: welcome.resumed,
                store_incarnation: welcome.store_incarnation.0,
                user_epoch: welcome.user_epoch.0,
                user_head: welcome.user_head.0,
                resume_ticket,
                server_time_ms: welcome.server_time.0,
                durability: welcome.durability,
            };
            (ServerBody::Welcome, wire::Welcome::create(fbb, &args).as_union_value())
        })
    }

    /// The answer to a Ping.
    pub fn pong(&mut self, user_head: UserSeq, server_time: WallTime) -> &[u8] {
        self.server(|fbb| {
            let args = wire::PongArgs { user_head: user_head.0, server_time_ms: server_time.0 };
            (ServerBody::Pong, wire::Pong::create(fbb, &args).as_union_value())
        })
    }

    /// What the client has sent and not seen answered may be lost.
    pub fn resend(&mut self) -> &[u8] {
        self.server(|fbb| (ServerBody::Resend, wire::Resend::create(fbb, &wire::ResendArgs {}).as_union_value()))
    }

    /// The refusal of an operation.
    pub fn op_refused(&mut self, client_op_id: ClientMsgId, code: Code) -> &[u8] {
        self.server(|fbb| {
            let text = fbb.create_string(code.text());
            let args = wire::OpAckArgs {
                client_op_id: Some(&client_op_id.into()),
                status: if code == Code::Unsupported { OpStatus::Unsupported } else { OpStatus::Refused },
                code: code.number(),
                conversation: None,
                seq: 0,
                text: Some(text),
            };
            (ServerBody::OpAck, wire::OpAck::create(fbb, &args).as_union_value())
        })
    }
}
