//! The shell of the router: one thread that moves batches between links and `router/core`, and requests between
//! `router/core` and the store.
//!
//! Nothing here decides about messages, and nothing here knows sockets: a router meets its gateways through the batches
//! of a [`protocol_shell::LinkTransport`].

mod bell;
mod disk_watch;
mod embedded;
mod figures;
mod link_port;
mod operator;
mod published;
mod router_loop;
mod server;
mod wiretap;

pub use embedded::StoreConfig;
pub use operator::Operator;
pub use published::Published;
pub use router_core::{Order, OrderOutcome, RouterConfig};
pub use server::{Ended, LinkGate, NotLetIn, NotRenewed, RouterServer, StartError, UserError};
pub use storage_embedded::OpeningProgress;
