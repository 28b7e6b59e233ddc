//! What one shard tells another of a connection that moves there, to the home of its user.

use alloc::boxed::Box;

use protocol::ids::UserId;
use protocol::server::{Hello, ServerSession};
use protocol::time::WallTime;

/// A connection between two shards: its Hello has come, and its user is known. Nothing was sent to it.
pub struct MovedConnection {
    pub(crate) session: ServerSession,
    pub(crate) hello: Box<Hello>,
    pub(crate) user: UserId,
    pub(crate) token_expires_at: WallTime,
}
