//! The name of a socket.

/// Names a socket from its accept to its close. The generation tells apart who has had the slot, so that a name that is
/// out of date finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// Which ring, in the order in which they were made.
    pub ring: u16,
    /// Its place in the table of that ring.
    pub slot: u16,
    /// How often the slot was given away before, modulo 2^28.
    pub generation: u32,
}

impl SocketId {
    /// In one number, for whoever keeps it.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.ring) << 16 | u64::from(self.slot)
    }

    /// What [`SocketId::to_bits`] gave.
    pub fn from_bits(bits: u64) -> SocketId {
        SocketId { ring: (bits >> 16) as u16, slot: bits as u16, generation: (bits >> 32) as u32 }
    }
}
