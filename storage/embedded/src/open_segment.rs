//! What is known in memory of a segment that has no side file yet: where its entries, rows of users' logs and identities
//! are. The only place where the index of a message lives in memory.

use protocol::ids::ConversationId;
use protocol::time::WallTime;
use storage_api::{Entry, Identity};
use storage_log::{Class, Place, SegmentNumber};

use crate::hash::hash;
use crate::open_table::OpenTable;
use crate::record::Row;
use crate::table::{Key, Located, Table};

/// Records of one class and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u32,
    pub(crate) bytes: u32,
}

/// What a side file says of its segment besides where things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// By the number of the class, from 1.
    pub(crate) tallies: [Tally; Class::ALL.len()],
    /// When the newest entry was ordered; 1970 without one.
    pub(crate) newest: WallTime,
    /// When the oldest and the newest identity were minted; the first is later than the second without one.
    pub(crate) minted: (WallTime, WallTime),
}

impl Summary {
    /// It has more than small state: something that may have its time, or be erased.
    pub(crate) fn has_content(&self) -> bool {
        let of_state = usize::from(Class::State.number()) - 1;
        self.tallies.iter().enumerate().any(|(class, tally)| class != of_state && tally.count > 0)
    }
}

impl Default for Summary {
    fn default() -> Self {
        let minted = (WallTime(u64::MAX), WallTime(0));
        Summary { tallies: Default::default(), newest: WallTime(0), minted }
    }
}

pub(crate) struct OpenSegment {
    pub(crate) number: SegmentNumber,
    pub(crate) summary: Summary,
    /// When its oldest record was written, as far as records say so.
    pub(crate) oldest: Option<WallTime>,
    /// In the order of [`Table::ALL`].
    tables: [OpenTable; 3],
}

/// The hash under which an identity is looked up.
pub(crate) fn identity_hash(conversation: ConversationId, identity: &Identity) -> u64 {
    let Identity { sender, device, client_id } = identity;
    let mut bytes = [0; 48];
    let parts: [&[u8]; 4] = [&conversation.0, &sender.0.to_be_bytes(), &device.0.to_be_bytes(), &client_id.0];
    bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    hash(&bytes)
}

impl OpenSegment {
    pub(crate) fn new(number: SegmentNumber) -> OpenSegment {
        let tables = [number; 3].map(OpenTable::new);
        OpenSegment { number, summary: Summary::default(), oldest: None, tables }
    }

    pub(crate) fn table(&self, table: Table) -> &OpenTable {
        &self.tables[table as usize]
    }

    /// A record of this segment; they come in order.
    pub(crate) fn insert(&mut self, place: Place, class: Class, row: &Row) {
        if let Some(tally) = self.summary.tallies.get_mut(usize::from(class.number()) - 1) {
            tally.count += 1;
            tally.bytes += place.length;
        }
        match row {
            Row::Entry(entry) => self.insert_entry(entry, place),
            Row::UserEvents { user, first_user_seq, .. } => {
                self.push(Table::UserRows, Key::user_row(*user, *first_user_seq), place);
            }
            _ => row.time().into_iter().for_each(|time| self.note(time)),
        }
    }

    fn note(&mut self, time: WallTime) {
        self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
    }

    fn insert_entry(&mut self, entry: &Entry, place: Place) {
        let conversation = entry.key.conversation;
        self.push(Table::Entries, Key::entry(conversation, entry.key.seq), place);
        let Some((identity, time)) = entry.stamp() else { return };
        self.summary.newest = self.summary.newest.max(time);
        self.note(time);
        let (minted, known) = (identity.client_id.minted_at(), self.summary.minted);
        self.summary.minted = (known.0.min(minted), known.1.max(minted));
        self.push(Table::Identities, Key::identity(identity_hash(conversation, &identity)), place);
    }

    fn push(&mut self, table: Table, key: Key, place: Place) {
        self.tables[table as usize].push(Located { key, place });
    }

    /// Bytes of its records.
    pub(crate) fn bytes(&self) -> u64 {
        self.summary.tallies.iter().map(|tally| u64::from(tally.bytes)).sum()
    }
}
