//! The link between one gateway shard and one router: where the tiers meet, in one process and across machines.
//!
//! Batches of messages travel both ways in order, at least one a second ([`Pulse`]). A break loses what was under way:
//! [`LinkEnd::reset`] starts over with fresh credits, the gateway sends its hello and registers its sessions again, the
//! router goes on from what the sessions have, and the clients send again what nobody has answered.

mod batch;
mod codec;
mod end;
mod message;
mod pulse;

pub use batch::Batch;
pub use end::{LinkEnd, LinkError, NoCredit};
pub use message::{
    ConnectionKey, Fanout, FanoutTargets, GatewayHello, GatewayMessage, RouterHello, RouterMessage, SessionOpen,
    SessionOpened,
};
pub use pulse::{LINK_HEARTBEAT_INTERVAL, LINK_SILENCE_MAX, Pulse};

/// Bytes of messages one side may have under way before the other has finished with them.
pub const LINK_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// A batch is cut when it is at least this long.
pub const BATCH_SIZE_TARGET: usize = 256 * 1024;
/// The longest batch that is accepted: one message past the target.
pub const BATCH_SIZE_MAX: usize = 1024 * 1024;
/// Messages in one batch.
pub const BATCH_MESSAGES_MAX: usize = 4096;
/// What a message costs beside its frame, so that small ones are bounded too.
pub const MESSAGE_OVERHEAD_BYTES: u64 = 64;
/// Connections one Fanout names.
pub const FANOUT_TARGETS_MAX: usize = 1024;
/// Version of the link both builds must share.
pub const LINK_VERSION: u16 = 1;
