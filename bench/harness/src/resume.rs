//! What devices show when they come back.

use serde::{Deserialize, Serialize};

/// Each shows what the one before it does, and more.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Resume {
    /// Nothing: they do not come back.
    Never,
    /// Who they are, with an access token.
    Token,
    /// The resume ticket of their last session in place of the token.
    Ticket,
    /// Its TLS session too.
    Session,
}
