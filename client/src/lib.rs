//! The Rust SDK: protocol's client session on tokio, with TLS over TCP, and a folder that keeps a device.
//!
//! [`Client::connect`] gives a handle for what an application wishes and a stream of what happens. The application says
//! of each event when it is done with it ([`Client::applied`]); what it was told and is not done with is told again
//! after a restart, and nothing is missed. It shows nothing and has no opinion on people's names.

mod access_token;
mod client;
mod clock;
mod command;
mod config;
mod connection;
mod driver;
mod event;
mod link;
mod seed;
mod state_dir;
mod trouble;
mod writer;

pub use access_token::{AccessToken, TokenError};
pub use client::{Client, Events};
pub use config::{Config, Identity};
pub use event::{Event, State, Ticket, Told};
pub use gateway_transport::{TlsError, TrustError};
pub use protocol::client::{
    Acked, CommandError, ConversationSummary, Device, Draft, HistoryPage, HistoryRange, Me, Member, MemberDraft,
    MembersPage, Reason, Snapshot, User,
};
pub use state_dir::{StateDir, StateError};
pub use trouble::{RequestError, Trouble};
