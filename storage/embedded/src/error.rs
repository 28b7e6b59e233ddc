//! Why a store cannot be opened.

use std::fmt;

use storage_log::{Class, FileName, Place};

/// None of them is cured by trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The log cannot be opened.
    Log(storage_log::OpenError),
    /// A whole record, and not one that this version understands.
    Record {
        /// Where it is.
        place: Place,
        /// In which stream.
        class: Class,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// A whole side file, and not one that this version may use.
    Index {
        /// Which, or the remnant that it is in.
        file: FileName,
        /// What is wrong with it.
        fault: IndexFault,
    },
}

/// Why a whole side file is not used. A damaged one is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexFault {
    /// A newer version wrote it, in this format.
    NewerFormat(u16),
    /// It belongs to another log.
    ForeignLog,
    /// It does not match its checksum, and is all that is left of its segment.
    Damaged,
}

/// Why a whole record is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// A newer version wrote it, in this format.
    NewerFormat(u16),
    /// Its content is not what its kind promises.
    Invalid,
}

impl From<storage_log::OpenError> for OpenError {
    fn from(error: storage_log::OpenError) -> OpenError {
        OpenError::Log(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Log(error) => error.fmt(f),
            OpenError::Record { place, fault, .. } => {
                write!(f, "{} offset {}: {fault}", FileName::Segment(place.segment), place.offset)
            }
            OpenError::Index { file, fault } => write!(f, "{file}: {fault}"),
        }
    }
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexFault::NewerFormat(version) => write!(
                f,
                "index format {version} is newer than {}, the newest known here. A newer Ringpost wrote this; start that \
                 version",
                crate::sealed_segment::INDEX_FORMAT_VERSION
            ),
            IndexFault::Damaged => {
                f.write_str("it does not match its checksum. Nothing was changed: restore that file from a backup")
            }
            IndexFault::ForeignLog => f.write_str(
                "it belongs to another log. Nothing was changed: remove that file, and it is made again from its segment",
            ),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::NewerFormat(version) => write!(
                f,
                "record format {version} is newer than {}, the newest known here. A newer Ringpost wrote this; start that \
                 version",
                crate::record::FORMAT_VERSION
            ),
            RecordFault::Invalid => f.write_str(
                "a record is whole and makes no sense. Nothing was changed: restore the data folder from a backup",
            ),
        }
    }
}

impl std::error::Error for OpenError {}
