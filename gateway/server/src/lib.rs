//! The shell of the gateway: sockets, clocks, threads and drivers around shards that know none of them.
//!
//! Nothing here knows the router tier or a store: a gateway meets the router through the links of a
//! [`protocol_shell::LinkSource`].

mod acceptor;
mod access_token;
mod authenticator;
mod config;
mod connection;
mod cores;
mod crossing;
mod doorbell;
mod driver;
mod gateway;
mod handshake_turns;
mod link_port;
mod listener;
mod metrics;
mod monoio_driver;
mod published;
mod renewal;
mod seat;
mod shard_loop;
mod shard_port;
mod spare_buffers;
mod task_wakers;
mod ticket_key;
mod token_public_key;
#[cfg(target_os = "linux")]
mod uring_driver;
mod wiretap;

pub use access_token::{ACCESS_TOKEN_SIZE_MAX, KeyInvalid, TRUSTED_KEYS_MAX, TokenRefusal, TokenSigner, TokenVerifier};
pub use config::{ConfigError, GatewayConfig, PinShards, range};
pub use doorbell::{Doorbell, DoorbellListener, DoorbellPost};
pub use driver::{Driver, DriverChoice, DriverPick, DriverUnavailable, DriverUnknown};
pub use gateway::{Gateway, GatewayView, StartError};
pub use gateway_core::{Identity, ShardConfig, TicketKeys};
pub use metrics::Metrics;
pub use shard_port::{ShardAction, ShardPort};
pub use ticket_key::TicketKey;
pub use token_public_key::TokenPublicKey;
