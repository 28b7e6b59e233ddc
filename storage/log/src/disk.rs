//! The seam to a disk: operations in, completions out, later. The log performs none of them itself.
//!
//! Promises of every [`Disk`]:
//! - `submit` never waits, and an operation completes exactly once.
//! - Writes and syncs of one file take effect in the order of their submission. A sync that succeeds makes every
//!   earlier write to that file durable, and the file's length with it.
//! - Operations on the folder (list, create, rename, unlink, sync) take effect in the order of their submission, those
//!   of the log and those of its embedder each; names are durable once a later `SyncFolder` has succeeded.
//! - A read sees every write that had completed when the read was submitted. Otherwise files are independent.

use std::fmt;
use std::io;

use crate::position::SegmentNumber;

/// Identifies an operation between its submission and its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

impl OperationId {
    /// The log counts up from 1; an embedder that shares its disk counts up from here.
    pub const FIRST_OF_EMBEDDER: Self = Self(1 << 63);

    /// Whether the embedder has submitted it.
    #[must_use]
    pub fn is_of_embedder(self) -> bool {
        self >= Self::FIRST_OF_EMBEDDER
    }
}

/// The files that a log keeps in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// A segment: `00000001.seg`.
    Segment(SegmentNumber),
    /// A segment that is still being prepared: `00000001.new`. Nobody misses it.
    Prepared(SegmentNumber),
    /// What the embedder knows of a segment that is full: `00000001.idx`. It can be made again from the segment.
    Index(SegmentNumber),
    /// Such a file that is still being written: `00000001.idx.new`. Nobody misses it.
    PreparedIndex(SegmentNumber),
    /// What is left of a segment, of some generation, in place of it: `00000001.0002.rem`. The embedder's.
    Remnant(SegmentNumber, u16),
    /// Such a file that is still being written: `00000001.0002.rem.new`. Nobody misses it.
    PreparedRemnant(SegmentNumber, u16),
    /// The mark of a failed write or sync: `needs_check`.
    NeedsCheck,
    /// Zeros that are let go of when the disk is full: `ballast`.
    Ballast,
    /// Such a file that is still being written: `ballast_new`. Nobody misses it.
    PreparedBallast,
}

impl FileName {
    /// The inverse of `to_string`; `None` for a file that is not the log's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let file = match name.split_once('.') {
            Some((number, "seg")) => Self::Segment(SegmentNumber(number.parse().ok()?)),
            Some((number, "new")) => Self::Prepared(SegmentNumber(number.parse().ok()?)),
            Some((number, "idx")) => Self::Index(SegmentNumber(number.parse().ok()?)),
            Some((number, "idx.new")) => Self::PreparedIndex(SegmentNumber(number.parse().ok()?)),
            Some((number, rest)) => {
                let (generation, kind) = rest.split_once('.')?;
                let (number, generation) = (SegmentNumber(number.parse().ok()?), generation.parse().ok()?);
                match kind {
                    "rem" => Self::Remnant(number, generation),
                    "rem.new" => Self::PreparedRemnant(number, generation),
                    _ => return None,
                }
            }
            None if name == "ballast" => Self::Ballast,
            None if name == "ballast_new" => Self::PreparedBallast,
            None => Self::NeedsCheck,
        };
        // There is one spelling of each name: `1.seg` is somebody else's file.
        (file.to_string() == name).then_some(file)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(number) => write!(formatter, "{:08}.seg", number.0),
            Self::Prepared(number) => write!(formatter, "{:08}.new", number.0),
            Self::Index(number) => write!(formatter, "{:08}.idx", number.0),
            Self::PreparedIndex(number) => write!(formatter, "{:08}.idx.new", number.0),
            Self::Remnant(number, generation) => write!(formatter, "{:08}.{generation:04}.rem", number.0),
            Self::PreparedRemnant(number, generation) => write!(formatter, "{:08}.{generation:04}.rem.new", number.0),
            Self::NeedsCheck => formatter.write_str("needs_check"),
            Self::Ballast => formatter.write_str("ballast"),
            Self::PreparedBallast => formatter.write_str("ballast_new"),
        }
    }
}

/// Something to do on the disk. Buffers travel with the operation and come back with its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Names and sizes of the log's files; others are not mentioned.
    List,
    /// A new file of `size_bytes` zeros, with all its blocks allocated and written, so that overwriting them is cheap
    /// and cannot run out of space. Fails if the name is taken. After a failure a part of the file may be there.
    Create {
        /// The new file.
        file: FileName,
        /// Its size.
        size_bytes: u32,
    },
    /// Writes all of `bytes`. Behind the end of the file it grows; a segment never does.
    Write {
        /// An existing file.
        file: FileName,
        /// Where the first byte goes.
        offset: u32,
        /// The content.
        bytes: Vec<u8>,
    },
    /// Makes earlier writes to the file durable. Never repeated after it has failed: the kernel forgets what it could
    /// not write, and the second answer would be a lie.
    Sync {
        /// An existing file.
        file: FileName,
    },
    /// Fills `bytes` from the file; fewer come back at its end.
    Read {
        /// An existing file.
        file: FileName,
        /// Where the first byte comes from.
        offset: u32,
        /// How many bytes are wanted.
        length: u32,
    },
    /// Gives a file another name, replacing the file that had it.
    Rename {
        /// The old name.
        from: FileName,
        /// The new name.
        to: FileName,
    },
    /// Gives back the space of a file from a place on, without changing its size: zeros are read there from now on, or
    /// what was there. A hint.
    Trim {
        /// An existing file.
        file: FileName,
        /// Where the first byte is that nobody will read.
        offset: u32,
    },
    /// Removes a file.
    Unlink {
        /// An existing file.
        file: FileName,
    },
    /// Makes earlier creations, renames and removals durable.
    SyncFolder,
    /// Lets go of clean cached pages of the file, so that the next read comes from the medium. A hint.
    DropCache {
        /// An existing file.
        file: FileName,
    },
    /// How many bytes can still be allocated.
    FreeSpace,
}

/// What a successful operation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// Of `Write`: the buffer, for reuse. Its content is of no more interest.
    Written(Vec<u8>),
    /// Of `Read`: the bytes, fewer than wanted at the end of the file.
    Read(Vec<u8>),
    /// Of `List`: each file with its size in bytes, in no order.
    Listed(Vec<(FileName, u64)>),
    /// Of `FreeSpace`: bytes.
    FreeSpace(u64),
}

/// The end of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which operation.
    pub id: OperationId,
    /// How it ended. After an error nothing is known about how much of it was done.
    pub result: Result<Outcome, DiskError>,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// The kind, for decisions.
    pub kind: io::ErrorKind,
    /// The system's number, for the operator; `None` for an error that is not the system's.
    pub os_code: Option<i32>,
}

impl DiskError {
    /// No room, or no quota: freeing space cures it.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self.kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl From<&io::Error> for DiskError {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), os_code: error.raw_os_error() }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.os_code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(formatter),
            None => self.kind.fmt(formatter),
        }
    }
}

impl std::error::Error for DiskError {}

/// A disk, real or simulated, with one folder for one log.
pub trait Disk {
    /// Takes an operation to be performed later. The log keeps few enough in flight that no queue overflows: one
    /// commit (a write and a sync), one step of preparation, one of marking, one query of free space, and
    /// [`crate::limits::READS_IN_FLIGHT_MAX`] reads. Its embedder may have [`crate::limits::SIDE_READS_IN_FLIGHT_MAX`]
    /// reads and a handful of other operations of its own under way, on files that the log does not touch, under ids
    /// from [`OperationId::FIRST_OF_EMBEDDER`] on.
    fn submit(&mut self, id: OperationId, operation: Operation);

    /// The next operation that has ended; `None` when there is none now.
    fn poll_completion(&mut self) -> Option<Completion>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_has_one_spelling() {
        for file in [
            FileName::Segment(SegmentNumber(1)),
            FileName::Prepared(SegmentNumber(123_456_789)),
            FileName::Index(SegmentNumber(7)),
            FileName::PreparedIndex(SegmentNumber(7)),
            FileName::Remnant(SegmentNumber(7), 2),
            FileName::PreparedRemnant(SegmentNumber(7), 65_535),
            FileName::NeedsCheck,
        ] {
            assert_eq!(FileName::parse(&file.to_string()), Some(file));
        }
        for other in ["1.seg", "00000001.seg.bak", "LOCK", "needs_check.old", "+0000001.seg", "00000001.idx.old", ""] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }
}
