//! For the tests of stores: a conversation of voids.

use std::sync::Arc;

use protocol::ids::{ConversationId, Epoch, Ordinal, Seq};
use storage_api::{Entry, EntryBody, EntryKey, Mutation, Request, Response};

use super::Store;

pub(super) const HERE: ConversationId = ConversationId([7; 16]);

/// A write of one.
pub(super) fn void(seq: u64, epoch: u64) -> Request {
    let key = EntryKey { conversation: HERE, seq: Seq(seq) };
    let entry = Entry { key, epoch: Epoch(epoch), ordinal: Ordinal(0), body: EntryBody::Void };
    Request::Write(vec![Mutation::Entry(Arc::new(entry))])
}

/// Those that are there.
pub(super) fn seqs(store: &mut dyn Store) -> Vec<u64> {
    let read = Request::ReadEntries {
        conversation: HERE,
        from: Seq(1),
        to: Seq(999),
        newest_first: false,
        count_max: 999,
        bytes_max: 9999,
    };
    let Response::Entries(entries) = store.look(&read) else { panic!("entries were asked for") };
    entries.iter().map(|entry| entry.key.seq.0).collect()
}

/// From the first on, without a gap.
pub(super) fn are_dense(seqs: &[u64]) -> bool {
    seqs.iter().copied().eq(1..=seqs.len() as u64)
}
