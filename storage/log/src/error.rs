//! What can go wrong, by whose fault it is: the medium's (corruption), a newer version's, the disk's, or the moment's.

use std::fmt;

use crate::disk::{DiskError, FileName};
use crate::position::Position;

/// Bytes that were durable cannot be read back as they were written. Nothing is repaired and nothing is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The damaged or missing file.
    pub file: FileName,
    /// Where in it, in bytes.
    pub offset: u32,
    /// What was found.
    pub damage: Damage,
}

/// What corruption looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The header block does not match its checksum.
    SegmentHeader,
    /// The header names another segment: the file was renamed or copied over.
    WrongSegmentNumber,
    /// The file belongs to another log.
    ForeignLog,
    /// The file is not as long as it was when it got its name.
    Length {
        /// Bytes that its header promises.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The file became shorter while it was read.
    Shrunk,
    /// The file is missing, though it was there once.
    MissingSegment,
    /// A batch that had been synced cannot be read.
    SyncedBatch {
        /// The later batch that was written only after that sync.
        proved_by: Position,
    },
    /// A batch does not follow the batches before it.
    BrokenChain,
    /// A batch was whole at the first look and not at the second.
    Unsteady,
    /// The log ends here, but the mark of a failed sync says that it was acked further.
    AckedTailMissing {
        /// How far it was acked.
        acked_through: Position,
    },
    /// A record does not match its checksum or its length.
    Record,
    /// A whole record, but not the one that was asked for.
    WrongKey,
}

impl fmt::Display for Corruption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is damaged at offset {}: ", self.file, self.offset)?;
        match self.damage {
            Damage::SegmentHeader => write!(formatter, "its header does not match its checksum"),
            Damage::WrongSegmentNumber => write!(formatter, "its header names another segment"),
            Damage::ForeignLog => write!(formatter, "it belongs to another log"),
            Damage::Length { expected, found } => write!(formatter, "it has {found} bytes and should have {expected}"),
            Damage::MissingSegment => write!(formatter, "it is missing"),
            Damage::Shrunk => write!(formatter, "it became shorter while it was read"),
            Damage::Unsteady => write!(formatter, "two reads of one batch differ"),
            Damage::SyncedBatch { proved_by } => {
                write!(formatter, "a batch that was synced before {proved_by} was written cannot be read")
            }
            Damage::BrokenChain => write!(formatter, "a batch does not follow the one before it"),
            Damage::AckedTailMissing { acked_through } => {
                write!(formatter, "the log ends here, but was acked through {acked_through}")
            }
            Damage::Record => write!(formatter, "a record does not match its checksum"),
            Damage::WrongKey => write!(formatter, "a record has another key than the index says"),
        }?;
        write!(formatter, ". Nothing was changed: check the disk (`dmesg`, `smartctl -a`) and restore the data folder")
    }
}

impl std::error::Error for Corruption {}

/// Something was written by a newer version than this one. Nothing is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer {
    /// The file.
    pub file: FileName,
    /// Where in it, in bytes.
    pub offset: u32,
    /// What is not known here.
    pub feature: NewerFeature,
}

/// What a newer version has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewerFeature {
    /// A segment of this format version.
    SegmentFormat(u16),
    /// A record of the class with this number.
    RecordClass(u8),
}

impl fmt::Display for Newer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} offset {}: ", self.file, self.offset)?;
        match self.feature {
            NewerFeature::SegmentFormat(version) => {
                let known = crate::FORMAT_VERSION;
                write!(formatter, "format version {version} is newer than {known}, the newest known here")?;
            }
            NewerFeature::RecordClass(number) => write!(formatter, "record class {number} is not known here")?,
        }
        formatter.write_str(". A newer Ringpost wrote this; start that version")
    }
}

impl std::error::Error for Newer {}

/// Why a log could not be opened or checked. None of them is cured by trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The log is damaged.
    Corrupt(Corruption),
    /// The log was written by a newer version.
    Newer(Newer),
    /// An operation failed.
    Disk {
        /// What was being done, as in "could not …".
        doing: &'static str,
        /// How it failed.
        error: DiskError,
    },
    /// A check found no log in the folder.
    NoLog,
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(corruption) => corruption.fmt(formatter),
            Self::Newer(newer) => newer.fmt(formatter),
            Self::Disk { doing, error } => write!(formatter, "could not {doing}: {error}"),
            Self::NoLog => formatter.write_str("there is no log in this folder"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<Corruption> for OpenError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// Why an append was refused. Nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendRefusal {
    /// The next batch is full, or its segment is not ready. Try again after the next completion has been handled.
    Full,
    /// The disk is nearly full: shed the work with a retryable error. It ends by itself when space is back.
    DiskLow,
    /// It can never fit: it is larger than [`crate::Log::append_bytes_max`].
    TooLarge,
    /// The log is read-only until a check has passed.
    NeedsCheck,
    /// The log has failed; end the process.
    Failed,
}

impl fmt::Display for AppendRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "the next batch is full; try again when the one before it is durable",
            Self::DiskLow => "the disk is nearly full; free some space and it goes on by itself",
            Self::TooLarge => "it is larger than a batch",
            Self::NeedsCheck => {
                "the log is read-only since a write or sync failed; run `ringpost store check`, which ends that when all is well"
            }
            Self::Failed => "a write or sync has failed; nothing is accepted until a restart and a check",
        })
    }
}

impl std::error::Error for AppendRefusal {}

/// Why a read was refused before it went to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadRefusal {
    /// [`crate::limits::READS_IN_FLIGHT_MAX`] are in flight. Try again after the next completion has been handled.
    Busy,
    /// The place is not durable yet; whoever appended the record still holds it.
    NotDurable,
}

/// Why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// What is there is not what was written. Report it; never serve it.
    Corrupt(Corruption),
    /// The record is of a newer version.
    Newer(Newer),
    /// The disk refused. Trying once more is safe.
    Disk(DiskError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(corruption) => corruption.fmt(formatter),
            Self::Newer(newer) => newer.fmt(formatter),
            Self::Disk(error) => write!(formatter, "could not read a record: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}
