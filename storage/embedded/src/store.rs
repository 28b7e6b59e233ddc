//! The store: requests and disk completions in, disk operations and events out.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Realm, Seq, StoreIncarnation, UserId, UserSeq};
use protocol::time::Now;
use protocol::wire::Durability;
use storage_api::{
    DeviceRow, EntryKey, Identity, Mutation, Request, Response, StoreError, StoreToken, StoreTraits, UserEvent, UserRow,
};
use storage_log::{
    Completion, DiskError, Log, LogEvent, Monotonic, Operation, OperationId, ReadError, ReadToken, StoredRecord,
};

use crate::conversation::Slot;
use crate::index::Index;
use crate::options::EmbeddedOptions;
use crate::reads::{Answer, Reads};
use crate::recent::Recent;
use crate::record::Row;
use crate::registrations::Registrations;
use crate::writes::{Chunk, Ending, Writes};

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// A request has ended.
    Answer {
        /// As given.
        token: StoreToken,
        /// How.
        result: Result<Response, StoreError>,
    },
    /// New messages are to be shed, or no longer: the disk is almost full, or too much waits for it.
    Pressure {
        /// Now.
        is_pressed: bool,
        /// For the operator's log.
        text: String,
    },
    /// A record that was asked for is damaged.
    Damaged {
        /// For the operator's log: file, offset and what to do.
        text: String,
    },
    /// A write or a sync has failed: end the process with exit code 74.
    Failed {
        /// What the disk said.
        error: DiskError,
        /// The next start knows of it, and reads only until a check has passed.
        is_marked: bool,
    },
}

/// Sizes, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Conversations with at least one entry.
    pub conversations: u64,
    /// Users.
    pub users: u64,
    /// Entries.
    pub entries: u64,
    /// Events of users' logs.
    pub user_events: u64,
    /// Client ids that are found again.
    pub identities: u64,
}

/// An open store.
pub struct EmbeddedStore {
    log: Log,
    index: Index,
    recent: Recent,
    writes: Writes,
    reads: Reads,
    registrations: Registrations,
    events: VecDeque<StoreEvent>,
    /// Until the epoch of this process is durable nothing is answered.
    early: Option<VecDeque<(Now, StoreToken, Request)>>,
    epoch: Epoch,
    /// The highest that a registration under way has been given.
    user_counter: u64,
    device_counter: u64,
    backlog_bytes_max: usize,
    is_disk_low: bool,
    is_behind: bool,
}

impl EmbeddedStore {
    pub(crate) fn new(options: EmbeddedOptions, log: Log, index: Index) -> EmbeddedStore {
        let epoch = Epoch(index.epoch.0 + 1);
        let mut store = EmbeddedStore {
            recent: Recent::new(options.recent_bytes_max),
            writes: Writes::default(),
            reads: Reads::default(),
            registrations: Registrations::default(),
            events: VecDeque::new(),
            early: (!log.is_read_only()).then(VecDeque::new),
            epoch,
            user_counter: index.user_counter,
            device_counter: index.device_counter,
            backlog_bytes_max: options.backlog_bytes_max,
            is_disk_low: false,
            is_behind: false,
            log,
            index,
        };
        if !store.log.is_read_only() {
            store.write(vec![Row::Started(epoch)], Ending::Started);
        }
        store
    }

    /// What an owner has to know.
    pub fn traits(&self) -> StoreTraits {
        let incarnation = StoreIncarnation(self.log.identity().incarnation.0);
        StoreTraits { one_log: true, durability: Durability::Fsync, incarnation }
    }

    /// The epoch of this process: higher than that of any process before. Durable before anything is answered.
    pub fn next_epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes a request; exactly one answer follows, unless the store fails.
    pub fn handle_request(&mut self, now: Now, token: StoreToken, request: Request) {
        if let Some(early) = &mut self.early {
            early.push_back((now, token, request));
            return;
        }
        match request {
            Request::Write(_) | Request::EnsureUser { .. } | Request::RegisterDevice { .. }
                if self.log.is_read_only() && self.known(&request).is_none() =>
            {
                self.answer(token, Err(StoreError::Unavailable));
            }
            Request::Write(mutations) => {
                self.index.identities.forget_before(now.wall);
                let rows: Vec<Row> = mutations.into_iter().filter_map(row_of).collect();
                if rows.is_empty() {
                    return self.answer(token, Ok(Response::Written));
                }
                self.write(rows, Ending::Write(token));
            }
            Request::LoadConversation(id) => {
                self.answer(token, Ok(Response::Conversation(self.index.conversation_row(id))));
            }
            Request::LoadUser(id) => self.answer(token, Ok(Response::User(self.index.user_state(id)))),
            Request::ReadEntries { conversation, from, to, newest_first, count_max, bytes_max } => {
                let bounds = Bounds { count_max, bytes_max };
                self.read_entries(token, conversation, (from, to), newest_first, bounds);
            }
            Request::ReadUserLog { user, after, count_max, bytes_max } => {
                self.read_user_log(token, user, after, Bounds { count_max, bytes_max });
            }
            Request::FindIdentity { conversation, identity } => self.find_identity(token, conversation, identity),
            Request::LookupUsers { realm, handles, ids } => {
                self.answer(token, Ok(Response::Users(self.index.users(realm, &handles, &ids))));
            }
            Request::EnsureUser { realm, handle } => self.ensure_user(token, realm, handle),
            Request::RegisterDevice { user, install_id, name } => self.register_device(token, user, install_id, name),
            Request::ListUnfanned => self.answer(token, Ok(Response::Conversations(self.index.unfanned()))),
        }
    }

    /// An operation of the disk has ended.
    pub fn handle_completion(&mut self, now: Now, completion: Completion) {
        self.log.handle_completion(monotonic(now), completion);
        self.handle_log_events();
    }

    /// The time that [`Self::poll_timeout`] named has come. Calling early or often is harmless.
    pub fn handle_timeout(&mut self, now: Now) {
        self.log.handle_timeout(monotonic(now));
        self.handle_log_events();
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        self.log.poll_timeout()
    }

    /// What to submit to the disk next. Everything written since the last commit departs as one batch, so call it when
    /// nothing more is at hand.
    pub fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        self.log.poll_operation()
    }

    /// What has happened, oldest first.
    pub fn poll_event(&mut self) -> Option<StoreEvent> {
        self.events.pop_front()
    }

    /// Asks for an orderly end: see [`Log::seal`].
    pub fn seal(&mut self) {
        self.log.seal();
    }

    /// Everything accepted is durable and proved.
    pub fn is_settled(&self) -> bool {
        self.log.is_read_only() || self.writes.is_empty() && self.log.is_settled()
    }

    /// Nothing can be written until a check has passed.
    pub fn is_read_only(&self) -> bool {
        self.log.is_read_only()
    }

    /// Sizes, for metrics.
    pub fn figures(&self) -> Figures {
        Figures {
            conversations: self.index.conversations.len() as u64,
            users: self.index.users.len() as u64,
            entries: self.index.entries_count,
            user_events: self.index.user_events_count,
            identities: self.index.identities.len() as u64,
        }
    }

    fn handle_log_events(&mut self) {
        while let Some(event) = self.log.poll_event() {
            match event {
                LogEvent::Appended { token } => {
                    let chunk = self.writes.appended(token);
                    self.durable(chunk);
                }
                // The failure that follows says the same of all that wait.
                LogEvent::AppendFailed { .. } => {}
                LogEvent::ReadDone { token, result } => self.fetched(token, result),
                LogEvent::DiskLow { is_low, free_bytes } => {
                    self.is_disk_low = is_low;
                    let free = free_bytes.map_or_else(String::new, |bytes| format!(" ({} MiB free)", bytes >> 20));
                    self.report_pressure(
                        if is_low { "the disk is almost full" } else { "the disk has room again" },
                        &free,
                    );
                }
                LogEvent::Failed { error, is_marked } => self.fail(error, is_marked),
            }
        }
        self.advance();
    }

    fn write(&mut self, rows: Vec<Row>, ending: Ending) {
        self.writes.push(&self.log, rows, ending);
        self.advance();
    }

    fn advance(&mut self) {
        self.writes.advance(&mut self.log);
        self.reads.advance(&mut self.log);
        let waiting_bytes = self.writes.waiting_bytes();
        let is_behind = waiting_bytes > self.backlog_bytes_max / if self.is_behind { 2 } else { 1 };
        if is_behind != self.is_behind {
            self.is_behind = is_behind;
            let text = if is_behind { "the disk does not keep up" } else { "the disk has caught up" };
            self.report_pressure(text, &format!(" ({} MiB wait)", waiting_bytes >> 20));
        }
    }

    fn report_pressure(&mut self, text: &str, detail: &str) {
        let is_pressed = self.is_disk_low || self.is_behind;
        self.events.push_back(StoreEvent::Pressure { is_pressed, text: format!("{text}{detail}") });
    }

    /// Only now does the index show it.
    fn durable(&mut self, chunk: Chunk) {
        for (row, place) in chunk.rows.iter().zip(&chunk.places) {
            self.index.apply(*place, row).expect("an owner writes for users that exist");
            match row {
                Row::Entry(entry) => self.recent.insert(entry),
                Row::User(row) => {
                    for token in self.registrations.user_made(row.id.realm(), &row.handle) {
                        self.answer(token, Ok(Response::Users(vec![row.clone()])));
                    }
                }
                Row::Device { user, install_id, row, .. } => {
                    for token in self.registrations.device_made(*user, *install_id) {
                        self.answer(token, Ok(Response::Device(*row)));
                    }
                }
                _ => {}
            }
        }
        match chunk.ending {
            Some(Ending::Write(token)) => self.answer(token, Ok(Response::Written)),
            Some(Ending::Started) => {
                for (now, token, request) in self.early.take().into_iter().flatten() {
                    self.handle_request(now, token, request);
                }
            }
            Some(Ending::Registration) | None => {}
        }
    }

    fn fail(&mut self, error: DiskError, is_marked: bool) {
        for chunk in self.writes.abandon() {
            if let Some(Ending::Write(token)) = chunk.ending {
                self.answer(token, Err(StoreError::UnknownOutcome));
            }
        }
        for token in self.registrations.abandon().collect::<Vec<_>>() {
            self.answer(token, Err(StoreError::UnknownOutcome));
        }
        self.events.push_back(StoreEvent::Failed { error, is_marked });
    }

    fn answer(&mut self, token: StoreToken, result: Result<Response, StoreError>) {
        self.events.push_back(StoreEvent::Answer { token, result });
    }

    fn read_entries(
        &mut self,
        token: StoreToken,
        conversation: ConversationId,
        (from, to): (Seq, Seq),
        newest_first: bool,
        bounds: Bounds,
    ) {
        let Some(found) = self.index.conversations.get(&conversation) else {
            return self.answer(token, Ok(Response::Entries(Vec::new())));
        };
        let keyed = found.slots(from, to).map(|(seq, slot)| (EntryKey { conversation, seq }, slot));
        let size = |(_, slot): &(EntryKey, Slot)| slot.place.length as usize;
        let wanted = if newest_first {
            let mut newest = bounds.cut(keyed.rev(), size);
            newest.reverse();
            newest
        } else {
            bounds.cut(keyed, size)
        };
        self.read(token, Answer::Entries, &wanted);
    }

    fn read_user_log(&mut self, token: StoreToken, user: UserId, after: UserSeq, bounds: Bounds) {
        let index = &self.index;
        let slot_of = |event: &UserEvent| match event {
            UserEvent::Entry { key, .. } => Some((*key, index.conversations.get(&key.conversation)?.slot(key.seq)?)),
            _ => None,
        };
        let events = index.users.get(&user).into_iter().flat_map(|user| user.events_after(after));
        let events = events.map(|(user_seq, event)| (user_seq, *event, slot_of(event)));
        let page = bounds.cut(events, |(.., slot)| slot.map_or(0, |(_, slot)| slot.place.length as usize));
        let mut wanted = Vec::new();
        let mut logged = Vec::with_capacity(page.len());
        for (user_seq, event, slot) in page {
            let position = slot.map(|slot| {
                wanted.push(slot);
                wanted.len() - 1
            });
            logged.push((user_seq, event, position));
        }
        self.read(token, Answer::UserLog(logged), &wanted);
    }

    fn find_identity(&mut self, token: StoreToken, conversation: ConversationId, identity: Identity) {
        let seq = self.index.identities.find(conversation, identity);
        let found = self.index.conversations.get(&conversation);
        let slot = seq.and_then(|seq| Some((EntryKey { conversation, seq }, found?.slot(seq)?)));
        self.read(token, Answer::Found, slot.as_slice());
    }

    fn read(&mut self, token: StoreToken, answer: Answer, wanted: &[(EntryKey, Slot)]) {
        if let Some(response) = self.reads.begin(token, answer, wanted, &self.recent) {
            self.answer(token, Ok(response));
        }
        self.reads.advance(&mut self.log);
    }

    fn fetched(&mut self, token: ReadToken, result: Result<StoredRecord, ReadError>) {
        let (text, error) = match result.map(|record| Row::decode(record.view())) {
            Ok(Ok(Row::Entry(entry))) => {
                self.recent.insert(&entry);
                if let Some((token, response)) = self.reads.fetched(token, entry) {
                    self.answer(token, Ok(response));
                }
                return;
            }
            Ok(Ok(_)) => unreachable!("the log compares keys, and this was the key of an entry"),
            Ok(Err(fault)) => (fault.to_string(), StoreError::Corrupt),
            Err(error @ ReadError::Disk(_)) => (error.to_string(), StoreError::Unavailable),
            Err(error) => (error.to_string(), StoreError::Corrupt),
        };
        self.events.push_back(StoreEvent::Damaged { text });
        if let Some(token) = self.reads.failed(token) {
            self.answer(token, Err(error));
        }
    }

    /// What a registration would find.
    fn known(&self, request: &Request) -> Option<Response> {
        match request {
            Request::EnsureUser { realm, handle } => {
                Some(Response::Users(vec![self.index.user_called(*realm, handle)?.clone()]))
            }
            Request::RegisterDevice { user, install_id, .. } => {
                Some(Response::Device(self.index.device(*user, *install_id)?))
            }
            _ => None,
        }
    }

    fn ensure_user(&mut self, token: StoreToken, realm: Realm, handle: String) {
        if let Some(row) = self.index.user_called(realm, &handle) {
            let row = row.clone();
            return self.answer(token, Ok(Response::Users(vec![row])));
        }
        if self.registrations.wait_for_user(realm, &handle, token) {
            self.user_counter += 1;
            let id = UserId::new(realm, self.user_counter);
            self.write(vec![Row::User(UserRow { id, handle })], Ending::Registration);
        }
    }

    fn register_device(&mut self, token: StoreToken, user: UserId, install_id: ClientMsgId, name: String) {
        if let Some(row) = self.index.device(user, install_id) {
            return self.answer(token, Ok(Response::Device(row)));
        }
        if self.registrations.wait_for_device(user, install_id, token) {
            self.device_counter += 1;
            let row = DeviceRow::new(DeviceId(self.device_counter));
            self.write(vec![Row::Device { user, install_id, row, name }], Ending::Registration);
        }
    }
}

/// How much of a read goes into one answer; one thing goes always.
#[derive(Clone, Copy)]
struct Bounds {
    count_max: usize,
    bytes_max: usize,
}

impl Bounds {
    fn cut<T>(self, things: impl Iterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<T> {
        let mut bytes = 0_usize;
        let mut fits = |thing: &T| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(size(thing).max(1));
            is_first || bytes <= self.bytes_max
        };
        things.take(self.count_max).take_while(|thing| fits(thing)).collect()
    }
}

/// `None`: what it says follows from other rows.
fn row_of(mutation: Mutation) -> Option<Row> {
    Some(match mutation {
        Mutation::Entry(entry) => Row::Entry(entry),
        Mutation::UserEvents { user, first_user_seq, epoch, events } => {
            Row::UserEvents { user, first_user_seq, epoch, events }
        }
        Mutation::DeviceCursor { user, device, user_seq } => Row::DeviceCursor { user, device, user_seq },
        Mutation::ReadCursor { user, conversation, seq, ordinal } => {
            Row::ReadCursor { user, conversation, seq, ordinal }
        }
        Mutation::Fanned { .. } => return None,
    })
}

fn monotonic(now: Now) -> Monotonic {
    Monotonic(Duration::from_nanos(now.monotonic.0))
}
