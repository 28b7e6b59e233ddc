//! The store as values: what an owner may ask, what it is answered, and what a failure means.
//!
//! Pure. A back end may be one process-local log or a cluster with failures, latency and unknown outcomes; the
//! differences an owner must know are in [`StoreTraits`].
#![no_std]

extern crate alloc;

mod entry;
mod error;
mod request;
mod rows;

pub use entry::{Entry, EntryBody, EntryKey, Identity, UserEvent};
pub use error::StoreError;
pub use request::{Erasure, Mutation, Request, Response, StoreToken};
pub use rows::{
    ConversationRow, DeviceRow, LoggedEvent, MemberRow, ReceiptRow, Span, Standing, StoreTraits, UserConversationRow,
    UserRow, UserState,
};

/// Entries in flight per conversation. A reader of a possibly unfinished tail looks at twice as many.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 64;
/// Stints of one member that are remembered; the oldest are forgotten first, and with them the right to that history.
pub const MEMBER_SPANS_MAX: usize = 8;
/// Users that a conversation knows, those who have left included: one that would be too many is not let in.
pub const MEMBER_ROWS_MAX: usize = 4096;
/// Conversations that come with a user, newest first.
pub const USER_CONVERSATIONS_MAX: usize = 4096;
/// Days that a client id is found again.
pub const DEDUP_DAYS: u32 = 7;
