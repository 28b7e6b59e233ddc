//! How a driver learns that there is something for it to do.

use gateway_core::ConnectionId;
use protocol::time::Instant;

/// Told by the shard loop, within its turns. What a driver is told more than once or too late does no harm: it asks the loop
/// for what there is.
pub(crate) trait Attention {
    /// There may be something to write to this connection, or it has ended.
    fn to_write(&mut self, key: ConnectionId);
    /// It may be read again, or it has ended.
    fn to_read(&mut self, key: ConnectionId);
    /// There may be something for the router.
    fn to_depart(&mut self);
    /// The shard has a deadline then.
    fn timer_before(&mut self, deadline: Instant);
    /// Everybody is gone, and the shard has been drained.
    fn to_end(&mut self);
}
