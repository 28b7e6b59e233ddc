//! Sans-IO byte stages between a socket and frames: TLS records on one side, frames on the other.
//!
//! Nothing here opens or waits: bytes come in as slices, bytes go out into buffers of the caller, time is an argument
//! where our own code decides by it; the library looks at the clock for certificates, session tickets are dated. Every
//! buffer a peer can fill has a bound that is named here. The TLS library does the handshake, our own record layer
//! everything after it.

mod expanded_keys;
mod framer;
mod handshake;
mod key_exchange;
mod last_session;
mod provider;
mod record_cutter;
mod record_layer;
mod secret_tap;
mod session_tickets;
mod ticket_reader;
mod tls_client;
mod tls_error;
mod tls_server;
mod tls_stage;
mod traffic_keys;

pub use framer::{FRAMER_BYTES_MAX, Framer};
pub use key_exchange::KeyExchange;
pub use record_cutter::RECORD_SIZE_MAX;
pub use session_tickets::{SESSION_SECRET_SIZE, SessionTickets};
pub use tls_client::{TlsClient, TrustError};
pub use tls_error::{Blame, CertificateRefusal, TlsError};
pub use tls_server::{IdentityError, ServerIdentity, TlsServer, TlsSettings};
pub use tls_stage::TlsStage;
