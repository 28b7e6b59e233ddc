//! How both ends of TLS agree on keys.

/// What a server is willing to agree on. Of two groups that both have, the client's first is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519 joined with ML-KEM-768, whose keys stay secret from quantum computers to come; or one of the classical
    /// groups with clients that lack it.
    #[default]
    Hybrid,
    /// X25519 and the NIST curves: less processor time and 2.3 KB less for a handshake.
    Classical,
}

impl KeyExchange {
    /// Every one there is.
    pub const ALL: [KeyExchange; 2] = [KeyExchange::Hybrid, KeyExchange::Classical];

    /// As an operator writes it.
    pub fn name(self) -> &'static str {
        match self {
            KeyExchange::Hybrid => "hybrid",
            KeyExchange::Classical => "classical",
        }
    }
}
