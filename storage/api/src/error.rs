//! Why a request of the store did not give what was asked, and whether asking again is safe.

use core::fmt;

/// A failed request. Every request may be repeated as it is: writes carry their key and epoch, registrations their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Nothing was done. Try again later.
    Unavailable,
    /// It may have been done, or may yet be. Repeat the same request; never a changed one under the same key.
    UnknownOutcome,
    /// What was asked for is older than what is kept, and what is kept does not follow from it.
    Expired,
    /// What was read is damaged. Trying again gives the same; the operator has been told where.
    Corrupt,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreError::Unavailable => "the store did not take the request",
            StoreError::UnknownOutcome => "the store did not say whether it took the request",
            StoreError::Expired => "what was asked for is no longer kept",
            StoreError::Corrupt => "a stored record is damaged; see the log and run `ringpost store check`",
        })
    }
}

impl core::error::Error for StoreError {}
