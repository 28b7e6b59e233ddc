//! Resume tickets: what a device shows in place of its access token when it comes back.
//!
//! A ticket repeats what a token has said: whose device it is, of which generation, and until when. It is sealed with a
//! key that only gateways have, so that it is checked at once, by anyone of them, without asking anybody. It is worth no
//! more than the token: it never outlives it, and whether the generation is still served the router says at every open.
//!
//! The layout, little-endian: a byte for the version, user, device, generation, expiry, and the first bytes of an
//! HMAC-SHA256 over all that. A ticket of another version is no ticket.

use core::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use protocol::ids::{DeviceGeneration, DeviceId, UserId};
use protocol::time::WallTime;
use sha2::Sha256;

use crate::shard::Identity;

const VERSION: u8 = 1;
const CLAIMS_SIZE: usize = 1 + 8 + 8 + 4 + 8;
const SEAL_SIZE: usize = 32;
/// Bytes of a ticket.
pub(crate) const TICKET_SIZE: usize = CLAIMS_SIZE + SEAL_SIZE;
/// Bytes of a key.
pub const TICKET_KEY_SIZE: usize = 32;

/// The keys of tickets: new ones are sealed with the first, and those of either are taken, so that a key can be
/// exchanged. Has no Debug.
#[derive(Clone)]
pub struct TicketKeys {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl TicketKeys {
    /// Keys from a source of secrets, the same ones for all gateways behind one name.
    pub fn new(current: &[u8; TICKET_KEY_SIZE], previous: Option<&[u8; TICKET_KEY_SIZE]>) -> TicketKeys {
        TicketKeys { current: keyed(current), previous: previous.map(keyed) }
    }

    /// For this device, for so long, and for no longer than its token.
    pub(crate) fn seal(
        &self,
        user: UserId,
        device: (DeviceId, DeviceGeneration),
        expires_at: WallTime,
    ) -> [u8; TICKET_SIZE] {
        let (device, generation) = device;
        let mut ticket = [0; TICKET_SIZE];
        let (claims, seal) = ticket.split_at_mut(CLAIMS_SIZE);
        let fields = [
            &[VERSION][..],
            &user.0.to_le_bytes(),
            &device.0.to_le_bytes(),
            &generation.0.to_le_bytes(),
            &expires_at.0.to_le_bytes(),
        ];
        for (byte, field) in claims.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *field;
        }
        seal.copy_from_slice(&self.current.clone().chain_update(&*claims).finalize().into_bytes());
        ticket
    }

    /// What a ticket says. `None`: none of ours.
    pub(crate) fn open(&self, ticket: &[u8]) -> Option<Identity> {
        let (claims, seal) = ticket.split_first_chunk::<CLAIMS_SIZE>()?;
        let is_sealed_with = |key: &Hmac<Sha256>| key.clone().chain_update(claims).verify_slice(seal).is_ok();
        if !is_sealed_with(&self.current) && !self.previous.as_ref().is_some_and(is_sealed_with) {
            return None;
        }
        let (version, rest) = claims.split_first()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (device, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (expires_at, _) = rest.split_first_chunk()?;
        (*version == VERSION).then_some(Identity {
            user: UserId(u64::from_le_bytes(*user)),
            device: Some((DeviceId(u64::from_le_bytes(*device)), DeviceGeneration(u32::from_le_bytes(*generation)))),
            expires_at: WallTime(u64::from_le_bytes(*expires_at)),
        })
    }
}

fn keyed(key: &[u8; TICKET_KEY_SIZE]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key may have any size")
}

/// When a ticket that is issued now expires.
pub(crate) fn expiry(now: WallTime, lifetime: Duration, token_expires_at: WallTime) -> WallTime {
    now.plus(lifetime).min(token_expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; TICKET_KEY_SIZE] = [1; TICKET_KEY_SIZE];
    const NEW: [u8; TICKET_KEY_SIZE] = [2; TICKET_KEY_SIZE];

    fn identity() -> Identity {
        let device = Some((DeviceId(9), DeviceGeneration(3)));
        Identity { user: UserId(7), device, expires_at: WallTime(1_764_000_000_000) }
    }

    fn ticket(keys: &TicketKeys) -> [u8; TICKET_SIZE] {
        keys.seal(UserId(7), (DeviceId(9), DeviceGeneration(3)), WallTime(1_764_000_000_000))
    }

    #[test]
    fn a_ticket_says_what_was_sealed_under_either_key() {
        let old = TicketKeys::new(&OLD, None);
        let exchanged = TicketKeys::new(&NEW, Some(&OLD));
        assert_eq!(old.open(&ticket(&old)), Some(identity()));
        assert_eq!(exchanged.open(&ticket(&old)), Some(identity()));
        assert_eq!(exchanged.open(&ticket(&exchanged)), Some(identity()));
        assert_eq!(old.open(&ticket(&exchanged)), None);
        assert_eq!(TicketKeys::new(&[3; TICKET_KEY_SIZE], Some(&NEW)).open(&ticket(&old)), None, "two keys later");
    }

    #[test]
    fn a_ticket_with_another_bit_or_another_size_is_none_of_ours() {
        let keys = TicketKeys::new(&NEW, None);
        let ticket = ticket(&keys);
        for bit in 0..8 * TICKET_SIZE {
            let mut forged = ticket;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open(&forged), None, "bit {bit}");
        }
        for size in (0..TICKET_SIZE).chain([TICKET_SIZE + 1]) {
            let cut: alloc::vec::Vec<u8> = ticket.iter().copied().chain([0]).take(size).collect();
            assert_eq!(keys.open(&cut), None, "{size} bytes");
        }
    }

    #[test]
    fn a_ticket_lasts_no_longer_than_the_token_it_came_from() {
        let (now, hour) = (WallTime(1_000), Duration::from_secs(3600));
        assert_eq!(expiry(now, hour, WallTime(2_000)), WallTime(2_000));
        assert_eq!(expiry(now, hour, WallTime(u64::MAX)), now.plus(hour));
    }
}
