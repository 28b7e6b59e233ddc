//! Who and what: the ids of the wire, their text forms, and how derived ones are made.
//!
//! Little-endian as integers on the wire, big-endian in keys, decimal or hex digits as text.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};

use crate::time::WallTime;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $integer:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $integer);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map($name).map_err(|_| IdError)
            }
        }
    };
}

integer_id!(
    /// A tenant. The top 16 bits of every user id.
    Realm, u16);
integer_id!(
    /// A person: realm in the top 16 bits, the rest from the store's counter. 0 is nobody.
    UserId, u64);
integer_id!(
    /// One installation of one user, issued at registration. 0 stands for a transient session, which has no device.
    DeviceId, u64);
integer_id!(
    /// Rises when a device is linked anew, so that what was issued before is refused.
    DeviceGeneration, u32);
integer_id!(
    /// Position in a conversation: dense, from 1. 0 is before the first entry.
    Seq, u64);
integer_id!(
    /// Running count of the entries of a conversation that count as unread.
    Ordinal, u64);
integer_id!(
    /// Position in a user's log: dense, from 1. 0 is before the first event.
    UserSeq, u64);
integer_id!(
    /// Which ownership wrote a row; the higher one counts.
    Epoch, u64);
integer_id!(
    /// Which rebuild of a user's log this is; a cursor of another one means nothing.
    UserEpoch, u64);
integer_id!(
    /// Which life of the store this is: a restored backup has another one.
    StoreIncarnation, u64);
integer_id!(
    /// A session, for logs and support. Never reused within one life of the store.
    SessionId, u64);

/// A text that is not an id of the wanted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdError;

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid id")
    }
}

impl core::error::Error for IdError {}

impl UserId {
    /// Counter values above this do not fit beside the realm.
    pub const COUNTER_MAX: u64 = (1 << 48) - 1;

    /// Puts a realm and a counter value together.
    pub fn new(realm: Realm, counter: u64) -> UserId {
        assert!(counter <= Self::COUNTER_MAX, "the store hands out at most 2^48 ids a realm");
        UserId(u64::from(realm.0) << 48 | counter)
    }

    /// The tenant this user belongs to.
    pub fn realm(self) -> Realm {
        Realm((self.0 >> 48) as u16)
    }
}

impl Seq {
    /// The one after.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl UserSeq {
    /// The one after.
    pub fn next(self) -> UserSeq {
        UserSeq(self.0 + 1)
    }
}

/// A conversation. Direct ones are derived from the two users, so that both sides name it without asking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub [u8; 16]);

impl ConversationId {
    /// The conversation of two users of one realm, in either order.
    pub fn direct(one: UserId, other: UserId) -> ConversationId {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let mut hash = Sha256::new();
        hash.update(b"ringpost direct conversation 1");
        hash.update(low.realm().0.to_be_bytes());
        hash.update(low.0.to_be_bytes());
        hash.update(high.0.to_be_bytes());
        ConversationId(first_16(hash))
    }

    /// The conversation that an operation creates: the same for every retry of it, and not for others to choose. Has
    /// the form of a UUIDv7 with the time of the operation.
    pub fn created_by(creator: UserId, device: DeviceId, client_op_id: ClientMsgId) -> ConversationId {
        let mut hash = Sha256::new();
        hash.update(b"ringpost created conversation 1");
        hash.update(creator.0.to_be_bytes());
        hash.update(device.0.to_be_bytes());
        hash.update(client_op_id.0);
        let mut bytes = first_16(hash);
        bytes[..6].copy_from_slice(&client_op_id.0[..6]);
        set_uuid_v7(&mut bytes);
        ConversationId(bytes)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConversationId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_hex(text.bytes()).map(ConversationId)
    }
}

impl From<&wire::ConversationId> for ConversationId {
    fn from(id: &wire::ConversationId) -> Self {
        ConversationId(id.0)
    }
}

impl From<ConversationId> for wire::ConversationId {
    fn from(id: ConversationId) -> Self {
        wire::ConversationId(id.0)
    }
}

/// A UUIDv7 minted by a client for a message or an operation. Unique per conversation, sender and device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMsgId(pub [u8; 16]);

impl ClientMsgId {
    /// From server time and 74 random bits, of which the lowest are used.
    pub fn new(at: WallTime, random: u128) -> ClientMsgId {
        let mut bytes = random.to_be_bytes();
        bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
        set_uuid_v7(&mut bytes);
        ClientMsgId(bytes)
    }

    /// When it was minted, by the client's idea of server time.
    pub fn minted_at(self) -> WallTime {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0[..6]);
        WallTime(u64::from_be_bytes(millis))
    }

    /// Whether version and variant say UUIDv7.
    pub fn is_uuid_v7(self) -> bool {
        self.0[6] >> 4 == 7 && self.0[8] >> 6 == 2
    }

    /// The next id in order, for clients whose clock has not moved on. The counted bits lie around version and variant.
    pub fn successor(self) -> ClientMsgId {
        let value = u128::from_be_bytes(self.0);
        let next = ((value >> 80) << 74 | (value >> 64 & 0xfff) << 62 | value & ((1 << 62) - 1)) + 1;
        let mut bytes = ((next >> 74) << 80 | (next >> 62 & 0xfff) << 64 | next & ((1 << 62) - 1)).to_be_bytes();
        set_uuid_v7(&mut bytes);
        ClientMsgId(bytes)
    }
}

impl fmt::Display for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClientMsgId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let hyphens = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(index, _)| index);
        if !hyphens.eq([8, 13, 18, 23]) {
            return Err(IdError);
        }
        let id = ClientMsgId(parse_hex(text.bytes().filter(|byte| *byte != b'-'))?);
        if id.is_uuid_v7() { Ok(id) } else { Err(IdError) }
    }
}

impl From<&wire::ClientMsgId> for ClientMsgId {
    fn from(id: &wire::ClientMsgId) -> Self {
        ClientMsgId(id.0)
    }
}

impl From<ClientMsgId> for wire::ClientMsgId {
    fn from(id: ClientMsgId) -> Self {
        wire::ClientMsgId(id.0)
    }
}

/// `CONVERSATION/SEQ`: derived, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.conversation, self.seq)
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (conversation, seq) = text.split_once('/').ok_or(IdError)?;
        Ok(MessageId { conversation: conversation.parse()?, seq: seq.parse()? })
    }
}

fn first_16(hash: Sha256) -> [u8; 16] {
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// RFC 9562, section 5.7: version in the top half of byte 6, variant in the top two bits of byte 8.
fn set_uuid_v7(bytes: &mut [u8; 16]) {
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
}

fn parse_hex(digits: impl Iterator<Item = u8>) -> Result<[u8; 16], IdError> {
    let mut bytes = [0; 16];
    let mut count = 0;
    for digit in digits {
        let value = char::from(digit).to_digit(16).ok_or(IdError)? as u8;
        let byte = bytes.get_mut(count / 2).ok_or(IdError)?;
        *byte = *byte << 4 | value;
        count += 1;
    }
    if count == 32 { Ok(bytes) } else { Err(IdError) }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_direct_conversation_has_one_id_from_both_sides() {
        let (alice, bob) = (UserId::new(Realm(1), 7), UserId::new(Realm(1), 9));
        assert_eq!(ConversationId::direct(alice, bob), ConversationId::direct(bob, alice));
        assert_eq!(ConversationId::direct(alice, bob).to_string(), "ab520530a2781627357f01e42feaa88c");
    }

    #[test]
    fn a_client_msg_id_keeps_its_time_and_survives_its_text_form() {
        let id = ClientMsgId::new(WallTime(1_764_000_000_123), u128::MAX);
        assert!(id.is_uuid_v7());
        assert_eq!(id.minted_at(), WallTime(1_764_000_000_123));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string(), "019ab697-e87b-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_successor_is_later_and_still_a_uuid_v7() {
        for random in [0, 1, u128::MAX, u128::from(u64::MAX), 0x3fff_ffff_ffff_ffff] {
            let id = ClientMsgId::new(WallTime(5), random);
            assert!(id.successor() > id, "{id} {}", id.successor());
            assert!(id.successor().is_uuid_v7());
        }
    }

    #[test]
    fn texts_that_are_no_ids_are_refused() {
        for text in ["", "0", "b0d4ee3dbb7ae1f1bf9d55ef7bca2ef", "ab520530a2781627357f01e42feaa88ca", "zz"] {
            assert_eq!(text.parse::<ConversationId>(), Err(IdError), "{text}");
        }
        for text in ["019abc61-ab7b-4fff-bfff-ffffffffffff", "019abc61ab7b7fffbfffffffffffffff", "1-2-3-4-5"] {
            assert_eq!(text.parse::<ClientMsgId>(), Err(IdError), "{text}");
        }
    }
}
