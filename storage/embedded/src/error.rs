//! Why a store cannot be opened.

use std::fmt;

use storage_log::{Class, Place};

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
        let OpenError::Record { place, fault, .. } = self else {
            let OpenError::Log(error) = self else { unreachable!("the other kind was handled") };
            return error.fmt(f);
        };
        let file = storage_log::FileName::Segment(place.segment);
        write!(f, "{file} offset {}: {fault}", place.offset)
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
