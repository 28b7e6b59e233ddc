//! Bytes to frames: the length prefix, and verification with explicit bounds.
//!
//! The default bounds of the FlatBuffers crate let one valid 62 KB frame burn 84 ms of a core; these reject it in 71 µs.

use flatbuffers::{InvalidFlatbuffer, VerifierOptions, root_with_opts};

use crate::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX};

/// A frame whose bytes are not what they should be. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than allowed at this point.
    TooLarge,
    /// Not a valid FlatBuffer of the wanted root within the bounds.
    Invalid,
}

impl From<InvalidFlatbuffer> for FrameError {
    fn from(_: InvalidFlatbuffer) -> Self {
        FrameError::Invalid
    }
}

/// Size of the first frame in `bytes` without its prefix; `None` while the prefix itself is torn. An empty frame is
/// [`FrameError::Invalid`].
pub fn frame_size(bytes: &[u8], size_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = bytes.first_chunk::<FRAME_PREFIX_SIZE>() else { return Ok(None) };
    match u32::from_le_bytes(*prefix) as usize {
        0 => Err(FrameError::Invalid),
        size if size > size_max => Err(FrameError::TooLarge),
        size => Ok(Some(size)),
    }
}

/// The length prefix of a frame.
pub fn prefix(frame_size: usize) -> [u8; FRAME_PREFIX_SIZE] {
    assert!((1..=FRAME_SIZE_MAX).contains(&frame_size), "we build no frame of {frame_size} bytes");
    (frame_size as u32).to_le_bytes()
}

/// Verifies a frame of a client. Unknown union members and fields pass.
pub fn client_frame(bytes: &[u8]) -> Result<wire::ClientFrame<'_>, FrameError> {
    check_size(bytes)?;
    Ok(root_with_opts::<wire::ClientFrame<'_>>(&options(256, FRAME_SIZE_MAX), bytes)?)
}

/// Verifies a frame of a server, for clients.
pub fn server_frame(bytes: &[u8]) -> Result<wire::ServerFrame<'_>, FrameError> {
    check_size(bytes)?;
    Ok(root_with_opts::<wire::ServerFrame<'_>>(&options(2048, FRAME_SIZE_MAX), bytes)?)
}

/// Verifies the nested buffer of a message: its parent's verifier does not.
pub fn message(bytes: &[u8]) -> Result<wire::Message<'_>, FrameError> {
    check_size(bytes)?;
    Ok(root_with_opts::<wire::Message<'_>>(&options(1, FRAME_SIZE_MAX), bytes)?)
}

/// Where the table of a buffer that we have built begins.
pub(crate) fn root_table(buffer: &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(*buffer.first_chunk()?) as usize)
}

/// Where a field of such a table is; `None` if it has its default value.
pub(crate) fn field_offset(buffer: &[u8], table: usize, field: u16) -> Option<usize> {
    // A table begins with how far its vtable is before it.
    let distance = i32::from_le_bytes(*buffer.get(table..)?.first_chunk()?);
    let vtable = table.checked_add_signed(-(distance as isize))?;
    let size = u16::from_le_bytes(*buffer.get(vtable..)?.first_chunk()?);
    let entry = buffer.get(vtable + usize::from(field)..)?.first_chunk().filter(|_| field < size)?;
    let offset = usize::from(u16::from_le_bytes(*entry));
    (offset != 0).then_some(table + offset)
}

/// `size_max` bounds how much may be visited, so that shared offsets cannot multiply the work.
pub(crate) fn options(tables_max: usize, size_max: usize) -> VerifierOptions {
    VerifierOptions {
        max_depth: 8,
        max_tables: tables_max,
        max_apparent_size: 4 * size_max,
        ignore_missing_null_terminator: false,
    }
}

fn check_size(bytes: &[u8]) -> Result<(), FrameError> {
    if bytes.len() > FRAME_SIZE_MAX { Err(FrameError::TooLarge) } else { Ok(()) }
}
