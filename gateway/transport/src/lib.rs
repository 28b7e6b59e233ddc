//! Sans-IO byte stages between a socket and frames: TLS records on one side, frames on the other.
//!
//! Nothing here opens, waits or reads a clock: bytes come in as slices, bytes go out into buffers of the caller, time is
//! an argument. Every buffer a peer can fill has a bound that is named here. The TLS library does the handshake, our own
//! record layer everything after it.

mod framer;
mod handshake;
mod provider;
mod record_cutter;
mod record_layer;
mod secret_tap;
mod tls_client;
mod tls_error;
mod tls_server;
mod tls_stage;
mod traffic_keys;

pub use framer::{FRAMER_BYTES_MAX, Framer};
pub use record_cutter::RECORD_SIZE_MAX;
pub use tls_client::{TlsClient, TrustError};
pub use tls_error::{Blame, CertificateRefusal, TlsError};
pub use tls_server::{IdentityError, ServerIdentity, TlsServer};
pub use tls_stage::TlsStage;
