//! Carries the batches of a link between two processes: TLS 1.3 over TCP, each end proven by the same link key.
//!
//! To a shell it is the other end of a [`protocol_shell::LinkTransport`], as it is within one process. What a batch says
//! and whether the other end is still there is the business of `protocol::link`. Invariants: a shell gets a link only
//! after both ends have proven the key; no batch over [`protocol::link::BATCH_SIZE_MAX`] is read; whoever drops its end
//! of the transport ends the connection, and an end of the connection is told by dropping the transport. A thread of its
//! own moves the bytes, so no shard and no router ever waits for a socket.

mod batch_stream;
mod carriage;
mod complaints;
mod link_dialer;
mod link_key;
mod link_listener;
mod link_thread;
mod metrics;
mod refusal;
mod tls;

pub use link_dialer::{DIAL_BACKOFF_FIRST, DIAL_BACKOFF_MAX, LinkDialer};
pub use link_key::{LinkKey, LinkKeyInvalid};
pub use link_listener::{HANDSHAKES_MAX, LINKS_MAX, LinkListener};
pub use metrics::LinkMetrics;
pub use refusal::{HANDSHAKE_TIMEOUT, Refusal};
