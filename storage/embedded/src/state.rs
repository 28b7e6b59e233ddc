//! The small state: what follows from all records but the entries and the events of users' logs themselves. It lives in
//! memory, and in the snapshots of the log.
//!
//! Applying a record that is in it already changes nothing: so a snapshot may be taken while records come, and a start
//! may read records again that the snapshot knows.

use protocol::ids::{ClientMsgId, ConversationId, Epoch, Ordinal, Realm, Seq, UserEpoch, UserId, UserSeq};
use protocol::small_map::SmallMap;
use protocol::wire::{ConversationKind, Role};
use storage_api::{
    ConversationRow, DeviceRow, Entry, EntryKey, USER_CONVERSATIONS_MAX, UserConversationRow, UserRow, UserState,
};
use storage_log::SegmentNumber;

use crate::conversation::Conversation;
use crate::erasures::{ErasedUser, Erasures};
use crate::error::RecordFault;
use crate::handles::Handles;
use crate::record::Row;
use crate::slab::Slab;
use crate::user::{Holding, User};

/// The part of a user id below the realm.
const USER_COUNTER_MASK: u64 = (1 << 48) - 1;

/// See the file's head. What it shows is durable.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) conversations: Slab<ConversationId, Conversation>,
    pub(crate) users: Slab<UserId, User>,
    handles: Handles,
    pub(crate) erasures: Erasures,
    pub(crate) counters: Counters,
}

/// What is counted over the life of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// The highest epoch of any record.
    pub(crate) epoch: Epoch,
    /// The highest ever given.
    pub(crate) user: u64,
    /// The highest ever given.
    pub(crate) device: u64,
    /// Of all conversations, and of the logs of all users.
    pub(crate) entries: u64,
    pub(crate) user_events: u64,
}

/// What is kept of everybody the store knows, online or not: of somebody with one device and one conversation between two
/// these, two places in tables and the names, some 450 bytes.
const _: () = {
    assert!(size_of::<(UserId, User)>() == 104);
    assert!(size_of::<(ClientMsgId, DeviceRow)>() == 64);
    assert!(size_of::<(ConversationId, Holding)>() == 64);
    assert!(size_of::<(ConversationId, Conversation)>() == 120);
};

impl State {
    /// A record has been found in this segment, or has become durable there. What belongs to a user comes after that
    /// user.
    pub(crate) fn apply(&mut self, row: &Row, segment: SegmentNumber) -> Result<(), RecordFault> {
        match row {
            Row::Entry(entry) => self.apply_entry(entry),
            Row::UserEvents { user, first_user_seq, epoch, events } => {
                self.counters.epoch = self.counters.epoch.max(*epoch);
                let conversations = &self.conversations;
                let ordinal_of = |key: EntryKey| {
                    let found = conversations.find(key.conversation).filter(|found| found.head == key.seq);
                    found.map(|found| found.head_ordinal)
                };
                let user = self.users.find_mut(*user).ok_or(RecordFault::Invalid)?;
                self.counters.user_events += user.append(*first_user_seq, events, ordinal_of) as u64;
            }
            Row::DeviceCursor { user, device, user_seq } => self.user_mut(*user)?.save_cursor(*device, *user_seq),
            Row::ReadCursor { user, conversation, seq, ordinal } => {
                self.user_mut(*user)?.read_up_to(*conversation, *seq, *ordinal);
                self.conversations.find_or_insert(*conversation, Conversation::default).read_up_to(*user, *seq);
            }
            Row::User(row) => {
                let new = || User::new(row.clone());
                self.insert_user(row.id, new).row = row.clone();
                self.handles.put(&self.users, row.id);
            }
            Row::Device { user, install_id, row } => {
                self.counters.device = self.counters.device.max(row.id.0);
                self.user_mut(*user)?.register(*install_id, row);
            }
            Row::DeviceStanding { user, device, standing } => self.user_mut(*user)?.save_standing(*device, *standing),
            Row::Started(epoch) => self.counters.epoch = self.counters.epoch.max(*epoch),
            Row::Erased { key, erased } => {
                self.erasures.entries.insert(*key, *erased);
            }
            Row::Gone(key) => {
                self.erasures.entries.remove(key);
            }
            Row::UserErased { user, at } => {
                self.erase_user(*user)?;
                self.erasures.users.insert(*user, ErasedUser { at: *at, segment, is_forgotten: false });
            }
            Row::UserForgotten(user) => {
                self.user_mut(*user)?.conversations = SmallMap::new();
                if let Some(erased) = self.erasures.users.get_mut(user) {
                    (erased.is_forgotten, erased.segment) = (true, segment);
                }
            }
            Row::Swept(sweep) => self.erasures.swept(*sweep),
            Row::SnapshotPart { .. } | Row::Snapshot(_) => {}
        }
        Ok(())
    }

    fn apply_entry(&mut self, entry: &Entry) {
        self.counters.epoch = self.counters.epoch.max(entry.epoch);
        let conversation = self.conversations.find_or_insert(entry.key.conversation, Conversation::default);
        self.counters.entries += u64::from(conversation.apply(entry));
    }

    /// All that is left is that its id is taken, and until it has left them, its conversations.
    fn erase_user(&mut self, id: UserId) -> Result<(), RecordFault> {
        self.handles.remove(&self.users, id);
        let user = self.user_mut(id)?;
        user.is_erased = true;
        user.devices = SmallMap::new();
        user.row.handle = String::new();
        Ok(())
    }

    /// Who is erased and has not left all conversations.
    pub(crate) fn leaving(&self) -> Vec<UserRow> {
        let rows = self.erasures.leaving().into_iter().filter_map(|user| self.users.find(user));
        rows.map(|user| user.row.clone()).collect()
    }

    /// A user who has not been erased.
    pub(crate) fn is_live(&self, id: UserId) -> bool {
        self.live_user(id).is_some()
    }

    /// See above.
    fn live_user(&self, id: UserId) -> Option<&User> {
        self.users.find(id).filter(|user| !user.is_erased)
    }

    /// What it has said is not shown to anybody.
    pub(crate) fn is_erased(&self, id: UserId) -> bool {
        self.users.find(id).is_some_and(|user| user.is_erased)
    }

    /// Where an erased user may still be a member. `None`: there is no such user.
    pub(crate) fn conversations_of(&self, id: UserId) -> Option<Vec<ConversationId>> {
        Some(self.users.find(id)?.conversations.keys().copied().collect())
    }

    fn user_mut(&mut self, user: UserId) -> Result<&mut User, RecordFault> {
        self.users.find_mut(user).ok_or(RecordFault::Invalid)
    }

    fn insert_user(&mut self, id: UserId, make: impl FnOnce() -> User) -> &mut User {
        self.counters.user = self.counters.user.max(id.0 & USER_COUNTER_MASK);
        self.users.find_or_insert(id, make)
    }

    /// The counters as a snapshot has them; what follows from the rest is counted there.
    pub(crate) fn restore_counters(&mut self, epoch: Epoch, user: u64, device: u64) {
        let counters = &mut self.counters;
        (counters.epoch, counters.user, counters.device) = (epoch, user, device);
    }

    /// A user as a snapshot has it.
    pub(crate) fn restore_user(&mut self, user: User) {
        let id = user.row.id;
        self.counters.user_events += user.head.0;
        self.insert_user(id, || user);
        self.handles.put(&self.users, id);
    }

    /// The user is there, as a snapshot has it.
    pub(crate) fn restore_erased_user(&mut self, id: UserId) {
        self.handles.remove(&self.users, id);
        if let Some(user) = self.users.find_mut(id) {
            user.is_erased = true;
        }
    }

    /// A conversation as a snapshot has it.
    pub(crate) fn restore_conversation(&mut self, id: ConversationId, conversation: Conversation) {
        self.counters.entries += conversation.head.0;
        self.conversations.find_or_insert(id, || conversation);
    }

    pub(crate) fn user_called(&self, realm: Realm, handle: &str) -> Option<&UserRow> {
        self.handles.find(&self.users, realm, handle)
    }

    pub(crate) fn users(&self, realm: Realm, handles: &[String], ids: &[UserId]) -> Vec<UserRow> {
        let by_handle = handles.iter().filter_map(|handle| self.user_called(realm, handle));
        let by_id = ids.iter().filter(|id| id.realm() == realm).filter_map(|id| self.live_user(*id));
        let mut rows: Vec<UserRow> = by_handle.chain(by_id.map(|user| &user.row)).cloned().collect();
        rows.sort_by_key(|row| row.id);
        rows.dedup();
        rows
    }

    pub(crate) fn device(&self, user: UserId, install_id: ClientMsgId) -> Option<&DeviceRow> {
        self.live_user(user)?.device_installed_as(install_id)
    }

    /// How many are not revoked.
    pub(crate) fn served_devices(&self, user: UserId) -> usize {
        let devices = self.live_user(user).into_iter().flat_map(|user| user.devices());
        devices.filter(|device| !device.standing.revoked).count()
    }

    pub(crate) fn conversation_row(&self, id: ConversationId) -> Option<ConversationRow> {
        let conversation = self.conversations.find(id)?;
        let mut row = conversation.row(self.fanned(id, conversation))?;
        let is_direct = row.kind == ConversationKind::Direct;
        for member in row.members.iter_mut().filter(|member| is_direct && self.is_erased(member.user)) {
            // There is no entry that says so.
            member.role = Role::None;
            member.spans.iter_mut().for_each(|span| span.left = span.left.or(Some(row.head)));
        }
        Some(row)
    }

    /// In order of id.
    pub(crate) fn unfanned(&self) -> Vec<ConversationId> {
        let all = self.conversations.iter(0..self.conversations.len());
        let mut ids: Vec<_> =
            all.filter(|(id, found)| self.fanned(*id, found) < found.head).map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// A user, and what it holds of its newest conversations: the count at the last entry is given by `ordinal_of` where
    /// it is not known here.
    pub(crate) fn user_state(
        &self,
        id: UserId,
        mut ordinal_of: impl FnMut(EntryKey) -> Option<Ordinal>,
    ) -> Option<UserState> {
        let user = self.live_user(id)?;
        let newest = user.conversations().into_iter().take(USER_CONVERSATIONS_MAX);
        let rows = newest.filter_map(|(conversation, holding)| {
            let key = EntryKey { conversation, seq: holding.held };
            // An entry that is gone is nothing to read.
            let held_ordinal = holding.held_ordinal.or_else(|| ordinal_of(key)).unwrap_or(holding.read_ordinal);
            self.user_conversation(id, conversation, holding, held_ordinal)
        });
        Some(UserState {
            row: user.row.clone(),
            user_epoch: UserEpoch(1),
            head: user.head,
            log_start: UserSeq(1),
            devices: user.devices().cloned().collect(),
            conversations: rows.collect(),
        })
    }

    fn user_conversation(
        &self,
        user: UserId,
        id: ConversationId,
        holding: Holding,
        held_ordinal: Ordinal,
    ) -> Option<UserConversationRow> {
        let conversation = self.conversations.find(id)?;
        Some(UserConversationRow {
            conversation: id,
            kind: conversation.kind,
            direct_peer: conversation.peer_of(user),
            title: conversation.title.clone(),
            held: holding.held,
            held_ordinal,
            touched: holding.touched,
            read: holding.read,
            read_ordinal: holding.read_ordinal,
        })
    }

    fn fanned(&self, id: ConversationId, conversation: &Conversation) -> Seq {
        // Nobody reads what an erased user lacks.
        conversation.fanned(|user| self.live_user(user).map_or(conversation.head, |user| user.held(id)))
    }
}
