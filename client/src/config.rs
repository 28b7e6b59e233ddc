//! What a client needs to know before it can start.

use crate::access_token::AccessToken;
use crate::state_dir::StateDir;

/// See each field.
pub struct Config {
    /// `HOST:PORT`, a name or an address. Of a name all addresses are tried.
    pub server: String,
    /// The name the server's certificate is for, where it is not that of `server`.
    pub server_name: Option<String>,
    /// Certificates to trust, as PEM text: roots, or the server's own. No others are.
    pub trusted_certificates: Vec<u8>,
    /// Who one is.
    pub access_token: AccessToken,
    /// What one is.
    pub identity: Identity,
}

/// As what a client connects.
pub enum Identity {
    /// A device, which gets every event once it is registered.
    Device {
        /// What it keeps from run to run.
        state_dir: StateDir,
        /// For people, when it is registered. At most 64 bytes.
        name: String,
    },
    /// A device that its user links, for the first time or after it was revoked: then under a new generation. Takes an
    /// access token that is not bound to a device.
    LinkedAnew {
        /// As above.
        state_dir: StateDir,
        /// As above.
        name: String,
    },
    /// Nothing that lasts: it can send and ask, and gets no events of others.
    Transient,
}

impl Config {
    /// What the certificate must be for.
    pub(crate) fn server_name(&self) -> &str {
        let host = self.server.rsplit_once(':').map_or(self.server.as_str(), |(host, _)| host);
        self.server_name.as_deref().unwrap_or_else(|| host.trim_start_matches('[').trim_end_matches(']'))
    }
}
