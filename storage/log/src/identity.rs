//! What tells one log from another.

/// A random number given to a log when it is created. It seeds the checksum of every batch, so that bytes of another
/// log, or a payload made to look like a batch, are never taken for one. It never leaves the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId(pub [u8; 16]);

/// The incarnation of the store. A restored backup gets a new one, so that no client trusts an old cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreIncarnation(pub u64);

/// What stands in the header of every segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The log.
    pub log_id: LogId,
    /// The incarnation of the store, as its newest segment names it.
    pub incarnation: StoreIncarnation,
}
