//! The secrets behind resume tickets and TLS session tickets, as an operator keeps them: PASERK text, `k4.local.…`.

use gateway_core::{TICKET_KEY_SIZE, TicketKeys};
use gateway_transport::SessionTickets;
use pasetors::keys::{Generate, SymmetricKey};
use pasetors::paserk::FormatAsPaserk;
use pasetors::version4::V4;

use crate::access_token::KeyInvalid;

/// One of them. Whoever has it can be every device. Has no Debug.
#[derive(Clone)]
pub struct TicketKey(SymmetricKey<V4>);

impl TicketKey {
    /// A new one from the system's randomness.
    pub fn generate() -> std::io::Result<TicketKey> {
        SymmetricKey::generate().map(TicketKey).map_err(|_| std::io::Error::other("no randomness"))
    }

    /// From its text form.
    pub fn from_paserk(text: &str) -> Result<TicketKey, KeyInvalid> {
        SymmetricKey::try_from(text).map(TicketKey).map_err(|_| KeyInvalid)
    }

    /// Its text form.
    pub fn to_paserk(&self) -> String {
        let mut text = String::new();
        self.0.fmt(&mut text).expect("writing to memory does not fail");
        text
    }

    /// New resume tickets are sealed with this one; those of the previous one are taken too.
    pub fn resume_tickets(&self, previous: Option<&TicketKey>) -> TicketKeys {
        TicketKeys::new(self.bytes(), previous.map(TicketKey::bytes))
    }

    /// The same for session tickets, by keys that follow from these and are no use for anything else.
    pub fn session_tickets(&self, previous: Option<&TicketKey>) -> SessionTickets {
        SessionTickets::new(self.bytes(), previous.map(TicketKey::bytes))
    }

    fn bytes(&self) -> &[u8; TICKET_KEY_SIZE] {
        self.0.as_bytes().try_into().expect("a symmetric key of version 4 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form() {
        let key = TicketKey::generate().expect("randomness");
        let again = TicketKey::from_paserk(&key.to_paserk()).expect("its own text");
        assert_eq!(key.bytes(), again.bytes());
        for text in ["", "k4.local.AAAA", "k4.secret.AAAA"] {
            assert_eq!(TicketKey::from_paserk(text).err(), Some(KeyInvalid), "{text}");
        }
    }
}
