//! The content of the `needs_check` file, which a failed write or sync leaves behind.
//!
//! It says how far the log had been acked. What stands behind that was never acked: a read-only log does not show it,
//! and a check may keep it or cut it. Everything before it must be there.
//!
//! Stored, little-endian: acked through `u64`, CRC32C `u32` of it. The file's existence counts also when its content
//! never reached the disk.

use crate::bytes::Fields;
use crate::position::Position;

/// Bytes of the file.
pub(crate) const MARK_BYTES: u32 = 12;

pub(crate) fn encode(acked_through: Position) -> Vec<u8> {
    let position = acked_through.to_u64().to_le_bytes();
    [&position[..], &crc32c::crc32c(&position).to_le_bytes()].concat()
}

/// `None`: the content is not there, whatever the reason.
pub(crate) fn decode(bytes: &[u8]) -> Option<Position> {
    let mut fields = Fields(bytes);
    let position: [u8; 8] = fields.take()?;
    (fields.u32()? == crc32c::crc32c(&position)).then(|| Position::from_u64(u64::from_le_bytes(position)))
}
