//! What a driver needs of a shard: what happened goes in, what to do next comes out.
//!
//! The calls are those of [`gateway_core::Shard`], which stands behind it in the product. The tests of the drivers bring
//! a shard of a few lines, so that they can make it do what a good one never does.

use std::time::Duration;

use gateway_core::{
    Action, AuthRefusal, CloseCause, ConnectionId, Flow, FrameRef, Identity, LinkEvent, MovedConnection, Peer, Refusal,
    Shard, ShardConfig, ShardCounters, ShardGauges, TicketKeys,
};
use protocol::codes::Code;
use protocol::link::{Batch, LinkError};
use protocol::time::{Instant, Now};
use protocol::trace::TraceNotes;

/// What to do next. See [`gateway_core::Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardAction<F> {
    /// Check this access token.
    Authenticate {
        /// Whose.
        connection: ConnectionId,
        /// As it came.
        access_token: String,
    },
    /// Send a frame.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// Its bytes are given by [`ShardPort::frame`] until [`ShardPort::poll_action`] returns `None`.
        frame: F,
    },
    /// Read on.
    Release {
        /// Which.
        connection: ConnectionId,
    },
    /// Take it to another shard.
    MoveTo {
        /// Which.
        connection: ConnectionId,
        /// Where to.
        shard: u16,
    },
    /// Send what was queued before this, then close.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        code: Code,
    },
}

/// See the file's head, and [`gateway_core::Shard`] for each call. After every batch of `handle_*` calls the driver
/// drains `poll_action`, and `poll_batch` as far as the link has room; it asks `poll_timeout` several times a turn.
#[expect(missing_docs, reason = "each call is documented where it is implemented")]
pub trait ShardPort {
    /// Names the bytes of a frame.
    type Frame;

    fn handle_limits(&mut self, config: ShardConfig);
    fn handle_ticket_keys(&mut self, keys: TicketKeys);
    fn handle_open(&mut self, now: Now, peer: Peer) -> Result<ConnectionId, Refusal>;
    fn handle_frame(&mut self, now: Now, connection: ConnectionId, frame: &[u8]) -> Flow;
    fn handle_violation(&mut self, now: Now, connection: ConnectionId, code: Code);
    fn handle_authenticated(&mut self, now: Now, connection: ConnectionId, result: Result<Identity, AuthRefusal>);
    fn handle_leaving(&mut self, now: Now, connection: ConnectionId) -> Option<MovedConnection>;
    fn handle_moved_in(&mut self, now: Now, moved: MovedConnection) -> ConnectionId;
    fn handle_sent(&mut self, now: Now, connection: ConnectionId, bytes_sent: u32);
    fn handle_closed(&mut self, now: Now, connection: ConnectionId, cause: CloseCause);
    fn handle_link(&mut self, now: Now, event: LinkEvent);
    fn handle_link_batch(&mut self, now: Now, batch: Batch) -> Result<(), LinkError>;
    fn handle_drain(&mut self, now: Now, reconnect_window: Duration);
    fn handle_timeout(&mut self, now: Now);
    fn poll_action(&mut self) -> Option<ShardAction<Self::Frame>>;
    fn poll_batch(&mut self) -> Option<Batch>;
    fn take_back(&mut self, batch: Batch);
    fn take_spent(&mut self) -> Option<Batch>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn frame<'a>(&'a self, frame: &'a Self::Frame) -> [&'a [u8]; 3];
    fn has_link(&self) -> bool;
    fn is_ready(&self) -> bool;
    fn counters(&self) -> &ShardCounters;
    fn gauges(&self) -> ShardGauges;
    fn notes(&mut self) -> &mut TraceNotes;
}

impl ShardPort for Shard {
    type Frame = FrameRef;

    fn handle_limits(&mut self, config: ShardConfig) {
        self.handle_limits(config);
    }

    fn handle_ticket_keys(&mut self, keys: TicketKeys) {
        self.handle_ticket_keys(keys);
    }

    fn handle_open(&mut self, now: Now, peer: Peer) -> Result<ConnectionId, Refusal> {
        self.handle_open(now, peer)
    }

    fn handle_frame(&mut self, now: Now, connection: ConnectionId, frame: &[u8]) -> Flow {
        self.handle_frame(now, connection, frame)
    }

    fn handle_violation(&mut self, now: Now, connection: ConnectionId, code: Code) {
        self.handle_violation(now, connection, code);
    }

    fn handle_authenticated(&mut self, now: Now, connection: ConnectionId, result: Result<Identity, AuthRefusal>) {
        self.handle_authenticated(now, connection, result);
    }

    fn handle_leaving(&mut self, now: Now, connection: ConnectionId) -> Option<MovedConnection> {
        self.handle_leaving(now, connection)
    }

    fn handle_moved_in(&mut self, now: Now, moved: MovedConnection) -> ConnectionId {
        self.handle_moved_in(now, moved)
    }

    fn handle_sent(&mut self, now: Now, connection: ConnectionId, bytes_sent: u32) {
        self.handle_sent(now, connection, bytes_sent);
    }

    fn handle_closed(&mut self, now: Now, connection: ConnectionId, cause: CloseCause) {
        self.handle_closed(now, connection, cause);
    }

    fn handle_link(&mut self, now: Now, event: LinkEvent) {
        self.handle_link(now, event);
    }

    fn handle_link_batch(&mut self, now: Now, batch: Batch) -> Result<(), LinkError> {
        self.handle_link_batch(now, batch)
    }

    fn handle_drain(&mut self, now: Now, reconnect_window: Duration) {
        self.handle_drain(now, reconnect_window);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }

    fn poll_action(&mut self) -> Option<ShardAction<FrameRef>> {
        Some(match self.poll_action()? {
            Action::Authenticate { connection, access_token } => ShardAction::Authenticate { connection, access_token },
            Action::Send { connection, frame } => ShardAction::Send { connection, frame },
            Action::Release { connection } => ShardAction::Release { connection },
            Action::MoveTo { connection, shard } => ShardAction::MoveTo { connection, shard },
            Action::Close { connection, code } => ShardAction::Close { connection, code },
        })
    }

    fn poll_batch(&mut self) -> Option<Batch> {
        self.poll_batch()
    }

    fn take_back(&mut self, batch: Batch) {
        self.take_back(batch);
    }

    fn take_spent(&mut self) -> Option<Batch> {
        self.take_spent()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn frame<'a>(&'a self, frame: &'a FrameRef) -> [&'a [u8]; 3] {
        self.frame(frame)
    }

    fn has_link(&self) -> bool {
        self.has_link()
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn counters(&self) -> &ShardCounters {
        self.counters()
    }

    fn gauges(&self) -> ShardGauges {
        self.gauges()
    }

    fn notes(&mut self) -> &mut TraceNotes {
        self.notes()
    }
}
