//! The bytes of the baseline: records of a fixed header and as much padding as the product's frames have under TLS.
//!
//! A header is the size of the whole record `u16`, its kind `u8`, five bytes of nothing, and two numbers `u64` of the
//! sender, which the server passes on; little-endian.

/// Bytes of a header.
pub const HEADER_SIZE: usize = 24;
/// Bytes of a message of either direction: 128 of text and what the product puts around them.
pub const MESSAGE_SIZE: usize = 330;
/// Bytes of an answer, an ack or a tick.
pub const NOTE_SIZE: usize = 110;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The first record of a connection: which pair, and which end of it.
    Join = 1,
    /// Of a sender, and as the other end gets it.
    Message = 2,
    /// To the sender of a message.
    Answer = 3,
    /// Of whoever got a message.
    Ack = 4,
    /// To the sender, that it got there.
    Tick = 5,
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// For `Join` the pair, otherwise the sender's own.
    pub first: u64,
    /// For `Join` the end, 0 or 1, otherwise the sender's own.
    pub second: u64,
}

impl Record {
    /// Appends it with its padding.
    pub fn encode(self, bytes: &mut Vec<u8>) {
        let size = if self.kind == Kind::Message { MESSAGE_SIZE } else { NOTE_SIZE };
        let start = bytes.len();
        bytes.extend((size as u16).to_le_bytes());
        bytes.extend([self.kind as u8, 0, 0, 0, 0, 0]);
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.second.to_le_bytes());
        bytes.resize(start + size, 0);
    }

    /// The record that begins here, and its size; `None` when it is not whole, or is none.
    pub fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
        let header = bytes.get(..HEADER_SIZE)?;
        let number = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let size = usize::from(u16::from_le_bytes(header.get(..2)?.try_into().ok()?));
        let kind = match header.get(2)? {
            1 => Kind::Join,
            2 => Kind::Message,
            3 => Kind::Answer,
            4 => Kind::Ack,
            _ => Kind::Tick,
        };
        (bytes.len() >= size && size >= HEADER_SIZE)
            .then_some((Record { kind, first: number(8)?, second: number(16)? }, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_part_of_it_does_not() {
        let mut bytes = Vec::new();
        let record = Record { kind: Kind::Message, first: 7, second: u64::MAX };
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Some((record, MESSAGE_SIZE)));
        assert_eq!(Record::decode(&bytes[..MESSAGE_SIZE - 1]), None);
    }
}
