//! Big-endian fields, put and taken one after another.

use protocol::ids::ConversationId;
use storage_log::{Place, SegmentNumber};

/// Appends fields.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, value: u8) -> Writer {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    /// In seven bits a byte, lowest first, each but the last with its highest bit set: most numbers are small.
    pub(crate) fn small(mut self, value: u64) -> Writer {
        let mut rest = value;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    pub(crate) fn id(self, id: ConversationId) -> Writer {
        self.bytes(&id.0)
    }

    pub(crate) fn text(self, text: &str) -> Writer {
        self.bytes(text.as_bytes())
    }

    /// Behind its size, so that more may follow.
    pub(crate) fn sized_text(self, text: &str) -> Writer {
        self.u32(text.len() as u32).text(text)
    }

    pub(crate) fn place(self, place: Place) -> Writer {
        self.u32(place.segment.0).u32(place.offset).u32(place.length)
    }
}

/// Takes fields from the front; `None` instead of reading past the end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// What [`Writer::small`] has put. `None` also for what it never puts: a number above the largest.
    pub(crate) fn small(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if byte < 0x80 {
                return (bits << shift >> shift == bits).then_some(value);
            }
        }
        None
    }

    pub(crate) fn id(&mut self) -> Option<ConversationId> {
        self.array().map(ConversationId)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn rest_as_text(&mut self) -> Option<String> {
        std::str::from_utf8(self.rest()).ok().map(ToOwned::to_owned)
    }

    pub(crate) fn sized_text(&mut self) -> Option<String> {
        let size = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(ToOwned::to_owned)
    }

    pub(crate) fn place(&mut self) -> Option<Place> {
        Some(Place { segment: SegmentNumber(self.u32()?), offset: self.u32()?, length: self.u32()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_is_short_and_every_number_comes_back() {
        for (value, size) in [(0, 1), (0x7f, 1), (0x80, 2), (1 << 48, 7), (u64::MAX, 10)] {
            let bytes = Writer::default().small(value).0;
            assert_eq!(bytes.len(), size, "{value}");
            assert_eq!(Reader(&bytes).small(), Some(value));
        }
        assert_eq!(Reader(&[0xff; 9]).small(), None);
        let too_large = [[0x80; 9].as_slice(), &[2]].concat();
        assert_eq!(Reader(&too_large).small(), None);
    }
}
