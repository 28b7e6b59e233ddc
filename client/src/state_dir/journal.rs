//! The state as a file of batches: each is written whole and synced before the next, so that a process may die at any
//! byte.
//!
//! A batch is its size, its CRC32C over size and content, and its content. What follows the last whole batch was being
//! written when the process, or the machine, went down, and is cut; a whole batch after a bad one cannot be, since the
//! bad one was synced before it: that is damage, and is said. When the file has grown enough the whole state is written
//! to a new file that takes its place.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use protocol::client::{Change, ClientState, OUTBOX_BYTES_MAX};

use super::StateError;
use super::record;

const MAGIC: &[u8; 12] = b"rp-client\r\n\0";
/// Of every record there may be. Version 1 had no tickets.
const VERSION: u32 = 2;
const HEADER_SIZE: usize = MAGIC.len() + 4;
const BATCH_HEADER_SIZE: usize = 8;
/// A whole state with a full outbox and its marks is less.
const BATCH_SIZE_MAX: usize = 2 * OUTBOX_BYTES_MAX;
/// The file is written anew when it has grown by so much, and by twice what a whole state took.
const GROWTH_MIN: u64 = 256 * 1024;

pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    state: ClientState,
    size: u64,
    size_when_whole: u64,
    is_broken: bool,
}

impl Journal {
    /// `fresh` is written where there is no journal yet.
    pub(super) fn open(folder: &Path, fresh: &ClientState) -> Result<Journal, StateError> {
        let path = folder.join("journal");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Journal::write_whole(folder, fresh),
            Err(error) => return Err(StateError::io("read", &path, error)),
        };
        let (state, size, version) = replay(&bytes, &path)?;
        if version < VERSION {
            return Journal::write_whole(folder, &state);
        }
        let io_error = |error| StateError::io("write", &path, error);
        let mut file = File::options().write(true).open(&path).map_err(io_error)?;
        if size < bytes.len() as u64 {
            file.set_len(size).and_then(|()| file.sync_all()).map_err(io_error)?;
        }
        file.seek(SeekFrom::Start(size)).map_err(io_error)?;
        Ok(Journal { folder: folder.into(), file, state, size, size_when_whole: 0, is_broken: false })
    }

    pub(super) fn state(&self) -> &ClientState {
        &self.state
    }

    /// On disk when it returns. After an error the end of the file is unknown, and every further call fails.
    pub(super) fn append(&mut self, changes: &[Change]) -> Result<(), StateError> {
        let path = self.folder.join("journal");
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(StateError::io("write", &path, std::io::Error::other("an earlier write has failed")));
        }
        let mut content = Vec::new();
        changes.iter().for_each(|change| record::encode_change(&mut content, change));
        let batch = seal(&content);
        let written = self.file.write_all(&batch).and_then(|()| self.file.sync_data());
        written.map_err(|error| StateError::io("write", &path, error))?;
        changes.iter().for_each(|change| self.state.apply(change));
        self.size += batch.len() as u64;
        self.is_broken = false;
        if self.size > self.size_when_whole * 3 + GROWTH_MIN {
            *self = Journal::write_whole(&self.folder, &self.state)?;
        }
        Ok(())
    }

    /// A new file that takes the place of the old one when it is on disk.
    fn write_whole(folder: &Path, state: &ClientState) -> Result<Journal, StateError> {
        let (path, new_path) = (folder.join("journal"), folder.join("journal.new"));
        let io_error = |error| StateError::io("write", &new_path, error);
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        let mut content = Vec::new();
        record::encode_state(&mut content, state);
        bytes.extend(seal(&content));
        let mut file = File::create(&new_path).map_err(io_error)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io_error)?;
        fs::rename(&new_path, &path).map_err(io_error)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error)?;
        let size = bytes.len() as u64;
        let (folder, state) = (folder.into(), state.clone());
        Ok(Journal { folder, file, state, size, size_when_whole: size, is_broken: false })
    }
}

fn seal(content: &[u8]) -> Vec<u8> {
    assert!((1..=BATCH_SIZE_MAX).contains(&content.len()), "the session's bounds keep a batch small");
    let size = (content.len() as u32).to_le_bytes();
    [&size[..], &checksum(size, content).to_le_bytes(), content].concat()
}

fn checksum(size: [u8; 4], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&size), content)
}

/// The content of the batch that begins here.
fn batch(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first_chunk::<BATCH_HEADER_SIZE>()?;
    let [size @ .., _, _, _, _] = *header;
    let [_, _, _, _, expected @ ..] = *header;
    let content = rest.get(..u32::from_le_bytes(size) as usize)?;
    let is_whole = !content.is_empty() && checksum(size, content) == u32::from_le_bytes(expected);
    is_whole.then_some(content)
}

/// The state, up to where the file is good, and of which version it is.
fn replay(bytes: &[u8], path: &Path) -> Result<(ClientState, u64, u32), StateError> {
    let damaged = |offset: usize| StateError::Damaged { path: path.into(), offset: offset as u64 };
    let (header, _) = bytes.split_first_chunk::<HEADER_SIZE>().ok_or_else(|| damaged(0))?;
    let [magic @ .., _, _, _, _] = *header;
    let [.., v0, v1, v2, v3] = *header;
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if magic != *MAGIC {
        return Err(damaged(0));
    }
    if version > VERSION {
        return Err(StateError::TooNew { path: path.into(), version });
    }
    let mut state = ClientState::new(protocol::ids::ClientMsgId([0; 16]));
    let mut offset = HEADER_SIZE;
    while let Some(content) = bytes.get(offset..).and_then(batch) {
        record::apply(&mut state, content).map_err(|_| damaged(offset))?;
        offset += BATCH_HEADER_SIZE + content.len();
    }
    let is_damaged = (offset + 1..bytes.len()).any(|later| bytes.get(later..).and_then(batch).is_some());
    // The first batch was synced before the file got its name.
    if is_damaged || offset == HEADER_SIZE { Err(damaged(offset)) } else { Ok((state, offset as u64, version)) }
}
