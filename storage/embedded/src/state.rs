//! Everything that one scan of the log finds: where each entry is, and what follows from all records.

use std::collections::HashMap;

use protocol::ids::{ClientMsgId, ConversationId, Epoch, Realm, Seq, UserEpoch, UserId};
use storage_api::{ConversationRow, DeviceRow, Entry, USER_CONVERSATIONS_MAX, UserConversationRow, UserRow, UserState};
use storage_log::Place;

use crate::conversation::{Conversation, Conversations};
use crate::error::RecordFault;
use crate::identities::Identities;
use crate::record::Row;
use crate::user::{Holding, User};

/// The part of a user id below the realm.
const USER_COUNTER_MASK: u64 = (1 << 48) - 1;

/// See the file's head. What it shows is durable.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) conversations: Conversations,
    pub(crate) users: HashMap<UserId, User>,
    pub(crate) identities: Identities,
    handles: HashMap<(Realm, String), UserId>,
    /// The highest epoch of any record.
    pub(crate) epoch: Epoch,
    /// The highest ever given.
    pub(crate) user_counter: u64,
    /// The highest ever given.
    pub(crate) device_counter: u64,
    pub(crate) entries_count: u64,
    pub(crate) user_events_count: u64,
}

impl Index {
    /// A record has been found, or has become durable. What belongs to a user comes after that user.
    pub(crate) fn apply(&mut self, place: Place, row: &Row) -> Result<(), RecordFault> {
        match row {
            Row::Entry(entry) => self.apply_entry(place, entry),
            Row::UserEvents { user, first_user_seq, epoch, events } => {
                self.epoch = self.epoch.max(*epoch);
                self.user_events_count += events.len() as u64;
                self.user_mut(*user)?.append(*first_user_seq, events);
            }
            Row::DeviceCursor { user, device, user_seq } => self.user_mut(*user)?.save_cursor(*device, *user_seq),
            Row::ReadCursor { user, conversation, seq, ordinal } => {
                self.user_mut(*user)?.read_up_to(*conversation, *seq, *ordinal);
                self.conversations.entry(*conversation).or_default().read_up_to(*user, *seq);
            }
            Row::User(row) => {
                self.user_counter = self.user_counter.max(row.id.0 & USER_COUNTER_MASK);
                self.handles.insert((row.id.realm(), row.handle.clone()), row.id);
                self.users.entry(row.id).or_insert_with(|| User::new(row.clone())).row = row.clone();
            }
            Row::Device { user, install_id, row, .. } => {
                self.device_counter = self.device_counter.max(row.id.0);
                self.user_mut(*user)?.register(*install_id, *row);
            }
            Row::Started(epoch) => self.epoch = self.epoch.max(*epoch),
        }
        Ok(())
    }

    fn apply_entry(&mut self, place: Place, entry: &Entry) {
        self.epoch = self.epoch.max(entry.epoch);
        self.entries_count += 1;
        let conversation = entry.key.conversation;
        self.conversations.entry(conversation).or_default().apply(place, entry);
        if let Some(identity) = entry.identity() {
            self.identities.insert(conversation, identity, entry.key.seq);
        }
    }

    fn user_mut(&mut self, user: UserId) -> Result<&mut User, RecordFault> {
        self.users.get_mut(&user).ok_or(RecordFault::Invalid)
    }

    pub(crate) fn user_called(&self, realm: Realm, handle: &str) -> Option<&UserRow> {
        // A key that borrows both parts would need a type of its own; a lookup by name is rare.
        let id = self.handles.get(&(realm, handle.to_owned()))?;
        self.users.get(id).map(|user| &user.row)
    }

    pub(crate) fn users(&self, realm: Realm, handles: &[String], ids: &[UserId]) -> Vec<UserRow> {
        let by_handle = handles.iter().filter_map(|handle| self.user_called(realm, handle));
        let by_id = ids.iter().filter(|id| id.realm() == realm).filter_map(|id| self.users.get(id));
        let mut rows: Vec<UserRow> = by_handle.chain(by_id.map(|user| &user.row)).cloned().collect();
        rows.sort_by_key(|row| row.id);
        rows.dedup();
        rows
    }

    pub(crate) fn device(&self, user: UserId, install_id: ClientMsgId) -> Option<DeviceRow> {
        self.users.get(&user)?.device_installed_as(install_id)
    }

    pub(crate) fn conversation_row(&self, id: ConversationId) -> Option<ConversationRow> {
        let conversation = self.conversations.get(&id)?;
        conversation.row(self.fanned(id, conversation))
    }

    /// In order of id.
    pub(crate) fn unfanned(&self) -> Vec<ConversationId> {
        let unfanned = self.conversations.iter().filter(|(id, found)| self.fanned(**id, found) < found.head());
        let mut ids: Vec<_> = unfanned.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn user_state(&self, id: UserId) -> Option<UserState> {
        let user = self.users.get(&id)?;
        let newest = user.conversations().into_iter().take(USER_CONVERSATIONS_MAX);
        Some(UserState {
            row: user.row.clone(),
            user_epoch: UserEpoch(1),
            head: user.head(),
            devices: user.devices().collect(),
            conversations: newest.filter_map(|(held, holding)| self.user_conversation(id, held, holding)).collect(),
        })
    }

    fn user_conversation(&self, user: UserId, id: ConversationId, holding: Holding) -> Option<UserConversationRow> {
        let conversation = self.conversations.get(&id)?;
        Some(UserConversationRow {
            conversation: id,
            kind: conversation.kind(),
            direct_peer: conversation.peer_of(user),
            title: conversation.title().to_owned(),
            held: holding.held,
            held_ordinal: conversation.slot(holding.held)?.ordinal,
            read: holding.read,
            read_ordinal: holding.read_ordinal,
        })
    }

    fn fanned(&self, id: ConversationId, conversation: &Conversation) -> Seq {
        conversation.fanned(|user| self.users.get(&user).map(|user| user.held(id)).unwrap_or_default())
    }
}
