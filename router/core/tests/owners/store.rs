//! A store of maps: what was written is there at once, and what follows from entries is derived anew at each question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::event::nonzero;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal, Realm, Seq, UserEpoch, UserId, UserSeq};
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{
    ConversationRow, DeviceRow, Entry, EntryBody, EntryKey, Erasure, LoggedEvent, MemberRow, Mutation, Request,
    Response, Span, UserConversationRow, UserEvent, UserRow, UserState,
};

pub(crate) const ALICE: UserId = UserId(1 << 48 | 1);
pub(crate) const BOB: UserId = UserId(1 << 48 | 2);
pub(crate) const CAROL: UserId = UserId(1 << 48 | 3);

/// One of many more.
pub(crate) fn member(index: usize) -> UserId {
    UserId(ALICE.0 + 1000 + index as u64)
}

/// Of another realm.
pub(crate) const STRANGER: UserId = UserId(9 << 48 | 1);

fn exists(user: UserId) -> bool {
    user == STRANGER || (ALICE..=CAROL).contains(&user) || (member(0)..member(9000)).contains(&user)
}

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<ConversationId, BTreeMap<Seq, Arc<Entry>>>,
    pub(crate) logs: BTreeMap<UserId, BTreeMap<UserSeq, UserEvent>>,
    pub(crate) fanned: BTreeMap<ConversationId, Seq>,
    devices: BTreeMap<UserId, BTreeMap<ClientMsgId, DeviceRow>>,
    pub(crate) erased: BTreeSet<EntryKey>,
    /// Erased users, and whether they have left all conversations.
    pub(crate) leavers: BTreeMap<UserId, bool>,
    /// What stood before this in any log is gone.
    pub(crate) log_start: UserSeq,
}

impl Store {
    pub(crate) fn answer(&mut self, request: &Request) -> Response {
        match request {
            Request::Write(mutations) => {
                mutations.iter().for_each(|mutation| self.apply(mutation));
                Response::Written
            }
            Request::LoadConversation(id) => Response::Conversation(self.conversation(*id)),
            Request::LoadUser(id) => Response::User(self.user(*id)),
            Request::ReadEntries { conversation, from, to, newest_first, count_max, .. } => {
                let range = self.entries[conversation].range(*from..=*to).map(|(_, entry)| Arc::clone(entry));
                let mut entries: Vec<_> = if *newest_first {
                    range.rev().take(*count_max).collect()
                } else {
                    range.take(*count_max).collect()
                };
                entries.sort_by_key(|entry| entry.key);
                Response::Entries(entries)
            }
            Request::ReadUserLog { user, after, count_max, .. } => {
                let log = self.logs.get(user).into_iter().flat_map(|log| log.range(after.next()..)).take(*count_max);
                let page = log.map(|(user_seq, event)| LoggedEvent {
                    user_seq: *user_seq,
                    event: *event,
                    entry: match event {
                        UserEvent::Entry { key, .. } => self.shown(*key),
                        _ => None,
                    },
                });
                Response::UserLog(page.collect())
            }
            Request::FindIdentity { conversation, identity } => {
                let mut entries = self.entries.get(conversation).into_iter().flat_map(|entries| entries.values());
                Response::Found(entries.find(|entry| entry.identity() == Some(*identity)).cloned())
            }
            Request::LookupUsers { realm, ids, .. } => {
                assert_eq!(*realm, Realm(1));
                let known = ids.iter().filter(|id| exists(**id));
                Response::Users(known.map(|id| UserRow { id: *id, handle: id.to_string() }).collect())
            }
            Request::EnsureUser { .. } => unreachable!("no owner creates users"),
            Request::RegisterDevice { user, install_id, name, registered_at, devices_max } => {
                let devices = self.devices.entry(*user).or_default();
                let is_full = devices.values().filter(|row| !row.standing.revoked).count() >= *devices_max;
                if is_full && !devices.contains_key(install_id) {
                    return Response::Device(None);
                }
                let next = DeviceRow::new(DeviceId(user.0 << 8 | (devices.len() as u64 + 1)), name, *registered_at);
                Response::Device(Some(devices.entry(*install_id).or_insert(next).clone()))
            }
            Request::EraseEntry(_) | Request::EraseUser(_) | Request::ForgetUser(_) | Request::ListLeaving => {
                self.erase(request)
            }
            Request::ListUnfanned => Response::Conversations(self.entries.keys().copied().collect()),
        }
    }

    fn erase(&mut self, request: &Request) -> Response {
        match request {
            Request::EraseEntry(key) => {
                let Some(entry) = self.entries.get(&key.conversation).and_then(|entries| entries.get(&key.seq)) else {
                    return Response::Erased(Erasure::NotThere);
                };
                if matches!(entry.body, EntryBody::Membership(_)) {
                    return Response::Erased(Erasure::NotAMessage);
                }
                self.erased.insert(*key);
                Response::Erased(Erasure::Done)
            }
            Request::EraseUser(user) => {
                if self.user(*user).is_none() && !self.leavers.contains_key(user) {
                    return Response::Leaving(None);
                }
                self.leavers.entry(*user).or_insert(false);
                let conversations = self.entries.keys().copied().collect();
                Response::Leaving(Some(if self.leavers[user] { Vec::new() } else { conversations }))
            }
            Request::ForgetUser(user) => {
                self.leavers.insert(*user, true);
                Response::Written
            }
            Request::ListLeaving => {
                let leaving = self.leavers.iter().filter(|(_, is_forgotten)| !**is_forgotten);
                Response::Users(leaving.map(|(id, _)| UserRow { id: *id, handle: String::new() }).collect())
            }
            _ => unreachable!("it erases nothing"),
        }
    }

    fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Entry(entry) => {
                self.entries.entry(entry.key.conversation).or_default().insert(entry.key.seq, Arc::clone(entry));
            }
            Mutation::UserEvents { user, first_user_seq, events, .. } => {
                let log = self.logs.entry(*user).or_default();
                assert_eq!(log.len() as u64 + 1, first_user_seq.0, "a user's log is written without holes");
                for (index, event) in events.iter().enumerate() {
                    log.insert(UserSeq(first_user_seq.0 + index as u64), *event);
                }
            }
            Mutation::DeviceCursor { user, device, user_seq } => {
                self.device(*user, *device).cursor = *user_seq;
            }
            Mutation::DeviceStanding { user, device, standing } => {
                let row = self.device(*user, *device);
                row.standing = row.standing.max(*standing);
            }
            Mutation::ReadCursor { .. } => {}
            Mutation::Fanned { conversation, seq } => {
                self.fanned.insert(*conversation, *seq);
            }
        }
    }

    pub(crate) fn device(&mut self, user: UserId, device: DeviceId) -> &mut DeviceRow {
        let mut devices = self.devices.get_mut(&user).expect("known").values_mut();
        devices.find(|row| row.id == device).expect("known")
    }

    fn conversation(&self, id: ConversationId) -> Option<ConversationRow> {
        let entries = self.entries.get(&id)?;
        let (head, last) = entries.last_key_value()?;
        let mut kind = ConversationKind::Unknown;
        let mut members: BTreeMap<UserId, MemberRow> = BTreeMap::new();
        for entry in entries.values() {
            match &entry.body {
                EntryBody::Message(message) => {
                    let view = message.view();
                    let Some(peer) = nonzero(view.direct_peer()).map(UserId) else { continue };
                    kind = ConversationKind::Direct;
                    for user in [UserId(view.sender()), peer] {
                        let spans = vec![Span { join: Seq(1), left: None }];
                        members.insert(user, MemberRow { user, role: Role::Member, spans });
                    }
                }
                EntryBody::Membership(change) => {
                    kind = change.kind;
                    for &user in &change.users {
                        let row = members.entry(user).or_insert(MemberRow { user, role: Role::Member, spans: vec![] });
                        match change.action {
                            MembershipAction::Created | MembershipAction::Added => {
                                row.role = if user == change.actor { Role::Owner } else { Role::Member };
                                row.spans.push(Span { join: entry.key.seq, left: None });
                            }
                            _ => row.spans.last_mut().expect("was in it").left = Some(entry.key.seq),
                        }
                    }
                }
                EntryBody::Void => {}
            }
        }
        Some(ConversationRow {
            kind,
            title: String::new(),
            head: *head,
            head_ordinal: last.ordinal,
            head_epoch: last.epoch,
            members: members.into_values().collect(),
            receipts: Vec::new(),
            fanned: self.fanned.get(&id).copied().unwrap_or_default(),
        })
    }

    /// The entry, as long as nobody has taken it away.
    fn shown(&self, key: EntryKey) -> Option<Arc<Entry>> {
        let entry = self.entries[&key.conversation].get(&key.seq)?;
        let sender = entry.identity().map(|identity| identity.sender);
        let is_of_leaver = sender.is_some_and(|sender| self.leavers.contains_key(&sender));
        let is_over = is_of_leaver && matches!(entry.body, EntryBody::Message(_));
        Some(entry).filter(|_| !is_over && !self.erased.contains(&key)).cloned()
    }

    fn user(&self, id: UserId) -> Option<UserState> {
        if !exists(id) || self.leavers.contains_key(&id) {
            return None;
        }
        let log = self.logs.get(&id);
        let mut conversations: BTreeMap<ConversationId, UserConversationRow> = BTreeMap::new();
        for (user_seq, event) in log.into_iter().flatten() {
            let UserEvent::Entry { key, .. } = event else { continue };
            let known = conversations.get(&key.conversation).map_or(Seq(0), |row| row.held);
            let row = UserConversationRow {
                conversation: key.conversation,
                kind: ConversationKind::Direct,
                direct_peer: None,
                title: String::new(),
                held: known.max(key.seq),
                held_ordinal: Ordinal(known.max(key.seq).0),
                touched: *user_seq,
                read: Seq(0),
                read_ordinal: Ordinal(0),
            };
            conversations.insert(key.conversation, row);
        }
        Some(UserState {
            row: UserRow { id, handle: id.to_string() },
            user_epoch: UserEpoch(1),
            head: UserSeq(log.map_or(0, |log| log.len() as u64)),
            log_start: self.log_start.max(UserSeq(1)),
            devices: self.devices.get(&id).into_iter().flat_map(|devices| devices.values().cloned()).collect(),
            conversations: conversations.into_values().collect(),
        })
    }
}
