//! What is durable, as plain rows in plain maps, and the answer to each request that follows from them.
//!
//! A row becomes durable alone. Of rows with the same key the one with the highest epoch counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Realm, Seq, UserEpoch, UserId, UserSeq};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{
    ConversationRow, DeviceRow, Entry, EntryBody, Identity, LoggedEvent, MEMBER_SPANS_MAX, MemberRow, Mutation,
    ReceiptRow, Request, Response, Span, UserConversationRow, UserEvent, UserRow, UserState,
};

/// What becomes durable as one.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Entry(Arc<Entry>),
    Identity { conversation: ConversationId, identity: Identity, epoch: Epoch, seq: Seq },
    Other(Mutation),
}

impl Row {
    /// The rows that follow from a mutation.
    pub(super) fn of(mutation: Mutation) -> Vec<Row> {
        let Mutation::Entry(entry) = mutation else { return vec![Row::Other(mutation)] };
        let identity = entry.identity().map(|identity| Row::Identity {
            conversation: entry.key.conversation,
            identity,
            epoch: entry.epoch,
            seq: entry.key.seq,
        });
        std::iter::once(Row::Entry(entry)).chain(identity).collect()
    }
}

#[derive(Default)]
struct ConversationRows {
    entries: BTreeMap<Seq, BTreeMap<Epoch, Arc<Entry>>>,
    identities: BTreeMap<Identity, BTreeSet<(Epoch, Seq)>>,
    fanned: Seq,
}

struct UserRows {
    row: UserRow,
    devices: BTreeMap<DeviceId, DeviceRow>,
    devices_by_install: BTreeMap<ClientMsgId, DeviceId>,
    log: UserLog,
    read: BTreeMap<ConversationId, (Seq, Ordinal)>,
}

/// A user's log as rows, and as who reads it finds it.
#[derive(Default)]
struct UserLog {
    rows: BTreeMap<UserSeq, BTreeMap<Epoch, Vec<UserEvent>>>,
    /// The event with user_seq 1 and those that follow without a gap.
    dense: Vec<UserEvent>,
}

impl UserLog {
    fn apply(&mut self, first: UserSeq, epoch: Epoch, events: Vec<UserEvent>) {
        let appends = first.0 == self.dense.len() as u64 + 1 && self.rows.range(first..).next().is_none();
        if appends {
            self.dense.extend_from_slice(&events);
        }
        self.rows.entry(first).or_default().insert(epoch, events);
        if !appends {
            self.read_anew();
        }
    }

    /// Row after row, of each place the higher epoch first; a row that starts at or before what has been read is
    /// dropped, and behind a gap nothing is read.
    fn read_anew(&mut self) {
        self.dense.clear();
        for (first, epochs) in &self.rows {
            for events in epochs.values().rev() {
                let next = self.dense.len() as u64 + 1;
                if first.0 > next {
                    return;
                }
                if first.0 == next {
                    self.dense.extend_from_slice(events);
                }
            }
        }
    }
}

/// Everything durable.
#[derive(Default)]
pub struct Database {
    conversations: BTreeMap<ConversationId, ConversationRows>,
    users: BTreeMap<UserId, UserRows>,
    devices_count: u64,
}

impl Database {
    /// Nothing but these users.
    pub(super) fn of_users(users: &[UserRow]) -> Database {
        let mut database = Database::default();
        users.iter().cloned().for_each(|user| database.insert_user(user));
        database
    }

    pub(super) fn apply(&mut self, row: Row) {
        match row {
            Row::Entry(entry) => {
                let rows = self.conversations.entry(entry.key.conversation).or_default();
                rows.entries.entry(entry.key.seq).or_default().insert(entry.epoch, entry);
            }
            Row::Identity { conversation, identity, epoch, seq } => {
                let rows = self.conversations.entry(conversation).or_default();
                rows.identities.entry(identity).or_default().insert((epoch, seq));
            }
            Row::Other(mutation) => self.apply_other(mutation),
        }
    }

    fn apply_other(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::Entry(_) => unreachable!("an entry has rows of its own"),
            Mutation::UserEvents { user, first_user_seq, epoch, events } => {
                self.user_rows(user).log.apply(first_user_seq, epoch, events);
            }
            Mutation::DeviceCursor { user, device, user_seq } => {
                let device = self.user_rows(user).devices.get_mut(&device).expect("cursors are of known devices");
                device.cursor = device.cursor.max(user_seq);
            }
            Mutation::DeviceStanding { user, device, standing } => {
                let device = self.user_rows(user).devices.get_mut(&device).expect("only known devices are revoked");
                device.standing = device.standing.max(standing);
            }
            Mutation::ReadCursor { user, conversation, seq, ordinal } => {
                let read = self.user_rows(user).read.entry(conversation).or_default();
                *read = (*read).max((seq, ordinal));
            }
            Mutation::Fanned { conversation, seq } => {
                let rows = self.conversations.entry(conversation).or_default();
                rows.fanned = rows.fanned.max(seq);
            }
        }
    }

    fn user_rows(&mut self, user: UserId) -> &mut UserRows {
        self.users.get_mut(&user).expect("only users that exist are written to")
    }

    /// The answer to anything but a write. Registrations are durable with their answer.
    pub(super) fn answer(&mut self, request: &Request) -> Response {
        match request {
            Request::Write(_) => unreachable!("writes are applied row by row"),
            Request::LoadConversation(conversation) => Response::Conversation(self.conversation(*conversation)),
            Request::LoadUser(user) => Response::User(self.user(*user)),
            Request::ReadEntries { conversation, from, to, newest_first, count_max, bytes_max } => {
                let mut entries: Vec<_> = self.entries(*conversation, *from, *to).collect();
                if *newest_first {
                    entries.reverse();
                }
                let mut entries = cut(entries, *count_max, *bytes_max, |entry| message_size(entry));
                if *newest_first {
                    entries.reverse();
                }
                Response::Entries(entries)
            }
            Request::ReadUserLog { user, after, count_max, bytes_max } => {
                let events = self.user_log(*user, *after);
                Response::UserLog(cut(events, *count_max, *bytes_max, |logged| {
                    logged.entry.as_deref().map_or(0, message_size)
                }))
            }
            Request::FindIdentity { conversation, identity } => {
                let rows = self.conversations.get(conversation);
                let place = rows.and_then(|rows| rows.identities.get(identity)?.last());
                Response::Found(place.and_then(|(_, seq)| self.entry(*conversation, *seq)))
            }
            Request::LookupUsers { realm, handles, ids } => {
                let is_meant = |row: &&UserRow| {
                    row.id.realm() == *realm && (handles.contains(&row.handle) || ids.contains(&row.id))
                };
                Response::Users(self.users.values().map(|rows| &rows.row).filter(is_meant).cloned().collect())
            }
            Request::EnsureUser { realm, handle } => Response::Users(vec![self.ensure_user(*realm, handle)]),
            // Nobody here has so many.
            Request::RegisterDevice { user, install_id, name, registered_at, devices_max: _ } => {
                Response::Device(Some(self.register_device(*user, *install_id, name, *registered_at)))
            }
            Request::ListLeaving => Response::Users(Vec::new()),
            Request::EraseEntry(_) | Request::EraseUser(_) | Request::ForgetUser(_) => {
                unreachable!("an operator erases only where the store is the embedded one")
            }
            Request::ListUnfanned => {
                let is_unfanned = |rows: &ConversationRows| {
                    rows.entries.last_key_value().is_some_and(|(head, _)| *head > rows.fanned)
                };
                let unfanned = self.conversations.iter().filter(|(_, rows)| is_unfanned(rows));
                Response::Conversations(unfanned.map(|(conversation, _)| *conversation).collect())
            }
        }
    }

    fn ensure_user(&mut self, realm: Realm, handle: &str) -> UserRow {
        let known = self.users.values().find(|rows| rows.row.id.realm() == realm && rows.row.handle == handle);
        if let Some(rows) = known {
            return rows.row.clone();
        }
        let row = UserRow { id: UserId::new(realm, self.users.len() as u64 + 1), handle: handle.to_owned() };
        self.insert_user(row.clone());
        row
    }

    fn insert_user(&mut self, row: UserRow) {
        let rows = UserRows {
            row,
            devices: BTreeMap::new(),
            devices_by_install: BTreeMap::new(),
            log: UserLog::default(),
            read: BTreeMap::new(),
        };
        self.users.insert(rows.row.id, rows);
    }

    fn register_device(
        &mut self,
        user: UserId,
        install_id: ClientMsgId,
        name: &str,
        registered_at: WallTime,
    ) -> DeviceRow {
        let next = DeviceId(self.devices_count + 1);
        let rows = self.user_rows(user);
        let device = *rows.devices_by_install.entry(install_id).or_insert(next);
        let row = rows.devices.entry(device).or_insert_with(|| DeviceRow::new(device, name, registered_at)).clone();
        self.devices_count = self.devices_count.max(device.0);
        row
    }

    fn entry(&self, conversation: ConversationId, seq: Seq) -> Option<Arc<Entry>> {
        let epochs = self.conversations.get(&conversation)?.entries.get(&seq)?;
        epochs.last_key_value().map(|(_, entry)| Arc::clone(entry))
    }

    fn entries(&self, conversation: ConversationId, from: Seq, to: Seq) -> impl Iterator<Item = Arc<Entry>> + '_ {
        let rows = self.conversations.get(&conversation).filter(|_| from <= to);
        let epochs = rows.into_iter().flat_map(move |rows| rows.entries.range(from..=to));
        epochs.filter_map(|(_, epochs)| epochs.last_key_value()).map(|(_, entry)| Arc::clone(entry))
    }

    /// Events after this place, with the entries they name.
    fn user_log(&self, user: UserId, after: UserSeq) -> impl Iterator<Item = LoggedEvent> + '_ {
        let events = self.users.get(&user).map_or(&[][..], |rows| &rows.log.dense);
        let events = events.iter().zip(1..).skip(after.0 as usize);
        events.map(|(event, place)| LoggedEvent {
            user_seq: UserSeq(place),
            event: *event,
            entry: self.entry_of(event),
        })
    }

    fn entry_of(&self, event: &UserEvent) -> Option<Arc<Entry>> {
        let UserEvent::Entry { key, .. } = event else { return None };
        self.entry(key.conversation, key.seq)
    }

    fn conversation(&self, conversation: ConversationId) -> Option<ConversationRow> {
        let rows = self.conversations.get(&conversation)?;
        let entries: Vec<_> = self.entries(conversation, Seq(1), Seq(u64::MAX)).collect();
        let last = entries.last()?;
        let (kind, title) = kind_and_title(&entries);
        let members = members(&entries);
        let read_by = |user: UserId| self.users.get(&user)?.read.get(&conversation).map(|(seq, _)| *seq);
        let receipts = members
            .iter()
            .filter_map(|member| Some(ReceiptRow { user: member.user, read: read_by(member.user)? }))
            .collect();
        Some(ConversationRow {
            kind,
            title,
            head: last.key.seq,
            head_ordinal: last.ordinal,
            head_epoch: last.epoch,
            members,
            receipts,
            fanned: rows.fanned,
        })
    }

    fn user(&self, user: UserId) -> Option<UserState> {
        let rows = self.users.get(&user)?;
        let mut held: BTreeMap<ConversationId, (Arc<Entry>, UserSeq)> = BTreeMap::new();
        for (event, user_seq) in rows.log.dense.iter().zip((1..).map(UserSeq)) {
            let Some(entry) = self.entry_of(event) else { continue };
            let last = held.entry(entry.key.conversation).or_insert_with(|| (Arc::clone(&entry), user_seq));
            if entry.key.seq > last.0.key.seq {
                *last = (entry, user_seq);
            }
        }
        let row = |(last, touched): &(Arc<Entry>, UserSeq)| self.user_conversation(rows, last, *touched);
        let conversations = held.values().map(row).collect();
        Some(UserState {
            row: rows.row.clone(),
            user_epoch: UserEpoch(1),
            head: UserSeq(rows.log.dense.len() as u64),
            log_start: UserSeq(1),
            devices: rows.devices.values().cloned().collect(),
            conversations,
        })
    }

    fn user_conversation(&self, user: &UserRows, last: &Entry, touched: UserSeq) -> UserConversationRow {
        let conversation = last.key.conversation;
        let entries: Vec<_> = self.entries(conversation, Seq(1), last.key.seq).collect();
        let (kind, title) = kind_and_title(&entries);
        let (read, read_ordinal) = user.read.get(&conversation).copied().unwrap_or_default();
        let peer = members(&entries).iter().map(|member| member.user).find(|member| *member != user.row.id);
        UserConversationRow {
            conversation,
            kind,
            direct_peer: peer.filter(|_| kind == ConversationKind::Direct),
            title,
            held: last.key.seq,
            held_ordinal: last.ordinal,
            touched,
            read,
            read_ordinal,
        }
    }
}

/// The bounds of a read: at least one goes always.
fn cut<T>(
    things: impl IntoIterator<Item = T>,
    count_max: usize,
    bytes_max: usize,
    size: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut bytes = 0;
    let mut fits = |thing: &T| {
        let is_first = bytes == 0;
        bytes += size(thing).max(1);
        is_first || bytes <= bytes_max
    };
    things.into_iter().take(count_max).take_while(|thing| fits(thing)).collect()
}

fn message_size(entry: &Entry) -> usize {
    if let EntryBody::Message(message) = &entry.body { message.as_bytes().len() } else { 0 }
}

fn kind_and_title(entries: &[Arc<Entry>]) -> (ConversationKind, String) {
    entries
        .iter()
        .find_map(|entry| match &entry.body {
            EntryBody::Membership(change) if change.action == MembershipAction::Created => {
                Some((change.kind, change.title.clone()))
            }
            _ => None,
        })
        .unwrap_or((ConversationKind::Direct, String::new()))
}

/// The members that follow from the entries of a conversation.
fn members(entries: &[Arc<Entry>]) -> Vec<MemberRow> {
    let mut members: BTreeMap<UserId, MemberRow> = BTreeMap::new();
    for entry in entries {
        let seq = entry.key.seq;
        match &entry.body {
            EntryBody::Message(message) => {
                let view = message.view();
                if view.direct_peer() != 0 && members.is_empty() {
                    for user in [view.sender(), view.direct_peer()].map(UserId) {
                        enter(&mut members, user, Seq(1), Role::Member);
                    }
                }
            }
            EntryBody::Membership(change) => {
                for user in &change.users {
                    match change.action {
                        MembershipAction::Created | MembershipAction::Added => {
                            let is_creator = change.action == MembershipAction::Created && *user == change.actor;
                            enter(&mut members, *user, seq, if is_creator { Role::Owner } else { change.role });
                        }
                        MembershipAction::Removed | MembershipAction::Left => leave(&mut members, *user, seq),
                        _ => {
                            if let Some(member) = members.get_mut(user).filter(|member| is_in(member)) {
                                member.role = change.role;
                            }
                        }
                    }
                }
            }
            EntryBody::Void => {}
        }
    }
    members.into_values().collect()
}

fn enter(members: &mut BTreeMap<UserId, MemberRow>, user: UserId, join: Seq, role: Role) {
    let member = members.entry(user).or_insert(MemberRow { user, role, spans: Vec::new() });
    if is_in(member) {
        return;
    }
    member.role = role;
    member.spans.push(Span { join, left: None });
    let forgotten_count = member.spans.len().saturating_sub(MEMBER_SPANS_MAX);
    member.spans.drain(..forgotten_count);
}

fn leave(members: &mut BTreeMap<UserId, MemberRow>, user: UserId, left: Seq) {
    let Some(member) = members.get_mut(&user).filter(|member| is_in(member)) else { return };
    member.role = Role::None;
    if let Some(span) = member.spans.last_mut() {
        span.left = Some(left);
    }
}

fn is_in(member: &MemberRow) -> bool {
    member.spans.last().is_some_and(|span| span.left.is_none())
}
