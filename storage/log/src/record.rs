//! A record: class, format version, key and payload, under a checksum of its own.
//!
//! Stored, little-endian: CRC32C `u32` of everything behind it, payload size `u32`, class `u8`, key size `u8`, format
//! version `u16`, key, payload. This layout is final. A record does not know where it stands, so that it can be moved
//! to another segment as it is; a read therefore compares the key as well.

use crate::bytes::Fields;
use crate::class::Class;
use crate::disk::FileName;
use crate::error::{Corruption, Damage, Newer, NewerFeature, ReadError};
use crate::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX};
use crate::position::Place;

const HEADER_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// How long it is kept.
    pub class: Class,
    /// The version of the payload's format. The log passes it on; whoever decodes the payload refuses a newer one.
    pub format_version: u16,
    /// At most [`KEY_BYTES_MAX`] bytes.
    pub key: &'a [u8],
    /// The payload in parts, stored one after another, so that a header made on the spot and a body that came from the
    /// wire are copied once.
    pub payload: &'a [&'a [u8]],
}

impl Record<'_> {
    /// Bytes that the record takes in the log.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        HEADER_BYTES + self.key.len() + self.payload_bytes()
    }

    fn payload_bytes(&self) -> usize {
        self.payload.iter().map(|part| part.len()).sum()
    }

    /// Appends the stored form.
    ///
    /// # Panics
    /// If the record does not fit a batch, or its key the limit.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        assert!(self.key.len() <= KEY_BYTES_MAX, "a key is at most {KEY_BYTES_MAX} bytes");
        assert!(self.stored_bytes() <= BATCH_BYTES_MAX as usize, "a record fits a batch");
        let start = buffer.len();
        buffer.reserve(self.stored_bytes());
        buffer.extend_from_slice(&[0; CHECKSUM_BYTES]);
        buffer.extend_from_slice(&(self.payload_bytes() as u32).to_le_bytes());
        buffer.push(self.class.number());
        buffer.push(self.key.len() as u8);
        buffer.extend_from_slice(&self.format_version.to_le_bytes());
        buffer.extend_from_slice(self.key);
        self.payload.iter().for_each(|part| buffer.extend_from_slice(part));
        let (checksum, covered) =
            buffer[start..].split_first_chunk_mut::<CHECKSUM_BYTES>().expect("the checksum's room was just added");
        *checksum = crc32c::crc32c(covered).to_le_bytes();
    }
}

/// A record as it stands in verified bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// How long it is kept.
    pub class: Class,
    /// The version of the payload's format.
    pub format_version: u16,
    /// The key.
    pub key: &'a [u8],
    /// The payload in one piece.
    pub payload: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The record that starts `bytes`, and how many of them it takes. `None`: they end too early.
    ///
    /// # Errors
    /// It is no record, or one of a newer version.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Damage> {
        match verify(bytes) {
            Ok(verified) => Ok(Some((verified.view(bytes), verified.stored_bytes))),
            Err(BadRecord::Short) => Ok(None),
            Err(BadRecord::Checksum | BadRecord::UnknownClass(_)) => Err(Damage::Record),
        }
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRecord {
    /// They end too early.
    Short,
    /// They do not match their checksum.
    Checksum,
    /// The class is of a newer version.
    UnknownClass(u8),
}

/// A record that has been verified, apart from the bytes that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    class: Class,
    format_version: u16,
    key_bytes: usize,
    /// Header, key and payload.
    pub(crate) stored_bytes: usize,
}

/// Verifies the record that starts `bytes`.
pub(crate) fn verify(bytes: &[u8]) -> Result<Verified, BadRecord> {
    let mut fields = Fields(bytes);
    let checksum = fields.u32().ok_or(BadRecord::Short)?;
    let payload_bytes = fields.u32().ok_or(BadRecord::Short)? as usize;
    let class = fields.u8().ok_or(BadRecord::Short)?;
    let key_bytes = usize::from(fields.u8().ok_or(BadRecord::Short)?);
    let format_version = fields.u16().ok_or(BadRecord::Short)?;
    let stored_bytes = HEADER_BYTES + key_bytes + payload_bytes;
    let covered = bytes.get(CHECKSUM_BYTES..stored_bytes).ok_or(BadRecord::Short)?;
    if crc32c::crc32c(covered) != checksum {
        return Err(BadRecord::Checksum);
    }
    let class = Class::from_number(class).ok_or(BadRecord::UnknownClass(class))?;
    Ok(Verified { class, format_version, key_bytes, stored_bytes })
}

impl Verified {
    /// The record in the bytes that were verified.
    pub(crate) fn view(self, bytes: &[u8]) -> RecordView<'_> {
        let (key, payload) = bytes[HEADER_BYTES..self.stored_bytes].split_at(self.key_bytes);
        RecordView { class: self.class, format_version: self.format_version, key, payload }
    }
}

/// A record that was read back and verified, with the bytes that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    verified: Verified,
    bytes: Vec<u8>,
}

impl StoredRecord {
    /// The record that was read at `place` of `file`, for whoever reads without a [`crate::Log`].
    ///
    /// # Errors
    /// It does not match its checksum, is of a newer version, or has a key that does not begin with `key_prefix`.
    pub fn read_back(file: FileName, place: Place, key_prefix: &[u8], bytes: Vec<u8>) -> Result<Self, ReadError> {
        let offset = place.offset;
        let corrupt = |damage| ReadError::Corrupt(Corruption { file, offset, damage });
        let record = Self::from_bytes(bytes).map_err(|bad| match bad {
            BadRecord::Short | BadRecord::Checksum => corrupt(Damage::Record),
            BadRecord::UnknownClass(number) => {
                ReadError::Newer(Newer { file, offset, feature: NewerFeature::RecordClass(number) })
            }
        })?;
        if !record.view().key.starts_with(key_prefix) {
            return Err(corrupt(Damage::WrongKey));
        }
        Ok(record)
    }

    /// Verifies that `bytes` are exactly one record.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self, BadRecord> {
        let verified = verify(&bytes)?;
        if verified.stored_bytes != bytes.len() {
            return Err(BadRecord::Short);
        }
        Ok(Self { verified, bytes })
    }

    /// The record, borrowed.
    #[must_use]
    pub fn view(&self) -> RecordView<'_> {
        self.verified.view(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(record: &Record<'_>) -> Vec<u8> {
        let mut buffer = Vec::new();
        record.encode_into(&mut buffer);
        buffer
    }

    #[test]
    fn a_record_in_parts_comes_back_whole() {
        let record = Record { class: Class::Ttl7d, format_version: 3, key: b"key", payload: &[b"he", b"", b"ad"] };
        let bytes = stored(&record);
        assert_eq!(bytes.len(), record.stored_bytes());
        let read = StoredRecord::from_bytes(bytes).expect("it was just encoded");
        assert_eq!(read.view(), RecordView { class: Class::Ttl7d, format_version: 3, key: b"key", payload: b"head" });
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = stored(&Record { class: Class::State, format_version: 1, key: b"k", payload: &[b"payload"] });
        for bit in 0..bytes.len() * 8 {
            let mut rotten = bytes.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert!(StoredRecord::from_bytes(rotten).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(StoredRecord::from_bytes(bytes[..length].to_vec()), Err(BadRecord::Short), "length {length}");
        }
    }

    #[test]
    fn a_class_of_a_newer_version_is_named_and_zeros_are_no_record() {
        let mut bytes = stored(&Record { class: Class::State, format_version: 1, key: b"k", payload: &[] });
        bytes[8] = 99;
        let checksum = crc32c::crc32c(&bytes[4..]).to_le_bytes();
        bytes[..4].copy_from_slice(&checksum);
        assert_eq!(verify(&bytes), Err(BadRecord::UnknownClass(99)));
        assert_eq!(verify(&[0; 64]), Err(BadRecord::Checksum));
    }
}
