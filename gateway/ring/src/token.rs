//! What an operation takes along through the kernel: 64 bits that say what has ended, and where.

use crate::socket_id::SocketId;

/// Generations are counted modulo this.
pub(crate) const GENERATIONS: u32 = 1 << 28;

/// What kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Accept,
    StopAccepting,
    Watch,
    Receive,
    Send,
    ShutDown,
    Cancel,
    Close,
    Detach,
    Attach,
}

const KINDS: [Kind; 10] = [
    Kind::Accept,
    Kind::StopAccepting,
    Kind::Watch,
    Kind::Receive,
    Kind::Send,
    Kind::ShutDown,
    Kind::Cancel,
    Kind::Close,
    Kind::Detach,
    Kind::Attach,
];

/// The kind in 4 bits, the generation in 28, the slot and what was lent to the kernel in 16 each. The ring is known from
/// where it comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) generation: u32,
    pub(crate) slot: u16,
    /// Where that is which the kernel writes to; 0 where it does not.
    pub(crate) lent: u16,
}

impl Token {
    pub(crate) fn of_ring(kind: Kind, lent: u16) -> Token {
        Token { kind, generation: 0, slot: 0, lent }
    }

    pub(crate) fn of_socket(kind: Kind, socket: SocketId, lent: u16) -> Token {
        Token { kind, generation: socket.generation, slot: socket.slot, lent }
    }

    pub(crate) fn pack(self) -> u64 {
        let head = u64::from(self.kind as u8) << 28 | u64::from(self.generation % GENERATIONS);
        head << 32 | u64::from(self.slot) << 16 | u64::from(self.lent)
    }

    pub(crate) fn unpack(bits: u64) -> Token {
        let kind = KINDS.get((bits >> 60) as usize).copied().expect("the kernel gives back what it was given");
        Token { kind, generation: (bits >> 32) as u32 % GENERATIONS, slot: (bits >> 16) as u16, lent: bits as u16 }
    }

    pub(crate) fn socket(self, ring: u16) -> SocketId {
        SocketId { ring, slot: self.slot, generation: self.generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_went() {
        for kind in KINDS {
            for (generation, slot, lent) in [(0, 0, 0), (GENERATIONS - 1, u16::MAX, u16::MAX), (1, 2, 3)] {
                let token = Token { kind, generation, slot, lent };
                assert_eq!(Token::unpack(token.pack()), token);
            }
        }
    }
}
