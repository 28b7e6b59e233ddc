//! A store that random things happen to, and beside it a model that knows only what was written and what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::event::MessageBytes;
use protocol::ids::{ConversationId, DeviceId, Ordinal, Seq, UserId, UserSeq};
use protocol::time::WallTime;
use storage_api::{
    Entry, EntryBody, EntryKey, Erasure, Identity, Mutation, Request, Response, StoreError, StoreToken, UserEvent,
    UserState,
};

use storage_embedded::EmbeddedStore;

use crate::machine::{Answer, Failed, Machine, disappearing};

/// The splitmix64 sequence.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// The message of an entry; a void has none.
fn message_of(entry: &Entry) -> Option<MessageBytes> {
    match &entry.body {
        EntryBody::Message(message) => Some(message.clone()),
        _ => None,
    }
}

/// What the store should hold.
#[derive(Clone, Default)]
struct Content {
    entries: BTreeMap<ConversationId, Vec<Arc<Entry>>>,
    /// With the time at which each event was written.
    logs: BTreeMap<UserId, Vec<(UserEvent, WallTime)>>,
    reads: BTreeMap<(UserId, ConversationId), (Seq, Ordinal)>,
    erased: BTreeSet<EntryKey>,
}

impl Content {
    fn apply(&mut self, mutation: &Mutation, at: WallTime) {
        match mutation {
            Mutation::Entry(entry) => self.entries.entry(entry.key.conversation).or_default().push(entry.clone()),
            Mutation::UserEvents { user, events, .. } => {
                self.logs.entry(*user).or_default().extend(events.iter().map(|event| (*event, at)));
            }
            Mutation::ReadCursor { user, conversation, seq, ordinal } => {
                self.reads.insert((*user, *conversation), (*seq, *ordinal));
            }
            Mutation::DeviceCursor { .. } | Mutation::DeviceStanding { .. } | Mutation::Fanned { .. } => {}
        }
    }

    /// An entry as a reader sees it now.
    fn shown(&self, entry: &Entry, now: WallTime) -> (EntryKey, Option<MessageBytes>) {
        let message = message_of(entry).filter(|message| {
            let view = message.view();
            let ends_at = view.server_time_ms() + u64::from(view.expires_in_s()) * 1000;
            view.expires_in_s() == 0 || ends_at > now.0
        });
        (entry.key, message.filter(|_| !self.erased.contains(&entry.key)))
    }

    fn entries(&self, conversation: ConversationId) -> &[Arc<Entry>] {
        self.entries.get(&conversation).map_or(&[], Vec::as_slice)
    }

    fn log(&self, user: UserId) -> &[(UserEvent, WallTime)] {
        self.logs.get(&user).map_or(&[], Vec::as_slice)
    }
}

#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) writes: u64,
    pub(crate) writes_lost: u64,
    pub(crate) reads: u64,
    pub(crate) starts: u64,
    pub(crate) starts_cut_short: u64,
    pub(crate) short_starts: u64,
    pub(crate) failures: u64,
    pub(crate) expired: u64,
    pub(crate) remnants: u64,
}

pub(crate) struct World {
    pub(crate) machine: Machine,
    random: Random,
    users: Vec<UserId>,
    /// Every write since the last start that has not been folded into `content`, oldest first.
    under_way: Vec<(StoreToken, Vec<Mutation>, WallTime)>,
    /// With what was answered.
    content: Content,
    /// With what is under way.
    ahead: Content,
    pub(crate) counts: Counts,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut machine = Machine::new(seed ^ 0x5eed);
        let users = machine.make_users(6);
        World {
            machine,
            random: Random(seed),
            users,
            under_way: Vec::new(),
            content: Content::default(),
            ahead: Content::default(),
            counts: Counts::default(),
        }
    }

    /// One random thing happens.
    pub(crate) fn step(&mut self) {
        match self.random.below(100) {
            0..60 => self.write(),
            60..88 => self.turn(),
            88..94 => self.check_some(),
            94 => self.machine.wait(Duration::from_millis(self.random.below(3000))),
            95 => self.machine.wait(DAY * self.random.below(8) as u32),
            96 => self.fail_something(),
            _ => self.crash(),
        }
    }

    fn pair(&mut self) -> (UserId, UserId) {
        let one = self.random.below(self.users.len() as u64) as usize;
        let other = (one + 1 + self.random.below(self.users.len() as u64 - 1) as usize) % self.users.len();
        (self.users[one], self.users[other])
    }

    fn write(&mut self) {
        let mut mutations = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let (sender, peer) = self.pair();
            let conversation = ConversationId::direct(sender, peer);
            let seq = self.ahead.entries(conversation).len() as u64 + 1;
            let body = vec![b'x'; self.random.below(200) as usize];
            let expires_in_s = [0, 0, 0, 12 * 3600, 5 * 86_400, 60 * 86_400][self.random.below(6) as usize];
            let id = self.random.next().into();
            let entry = disappearing(self.machine.now.wall, (sender, peer), seq, id, body, expires_in_s);
            let mut rows = vec![Mutation::Entry(entry.clone())];
            for user in [sender, peer] {
                let user_seq = self.ahead.log(user).len() as u64 + 1;
                rows.push(crate::machine::row(user, user_seq, &entry, sender));
            }
            if self.random.below(4) == 0 {
                rows.push(Mutation::ReadCursor {
                    user: peer,
                    conversation,
                    seq: entry.key.seq,
                    ordinal: entry.ordinal,
                });
            }
            rows.iter().for_each(|mutation| self.ahead.apply(mutation, self.machine.now.wall));
            mutations.extend(rows);
        }
        let token = self.machine.submit(Request::Write(mutations.clone()));
        self.under_way.push((token, mutations, self.machine.now.wall));
    }

    fn turn(&mut self) {
        let result = self.machine.step();
        self.handle(result);
    }

    fn drain(&mut self) -> bool {
        let result = self.machine.drain();
        self.handle(result)
    }

    /// False: the process has ended and another one has begun.
    fn handle(&mut self, result: Result<Vec<Answer>, Failed>) -> bool {
        let Ok(answers) = result else {
            self.counts.failures += 1;
            self.machine.crash(false);
            self.machine.check();
            self.start();
            return false;
        };
        for (token, result) in answers {
            assert_eq!(result, Ok(Response::Written), "a healthy disk takes every write");
            let (oldest, mutations, at) = self.under_way.remove(0);
            assert_eq!(oldest, token, "writes are answered in order");
            mutations.iter().for_each(|mutation| self.content.apply(mutation, at));
            self.counts.writes += 1;
        }
        true
    }

    /// A write or a sync fails, of the log or of a side file.
    fn fail_something(&mut self) {
        if self.random.below(2) == 0 {
            self.machine.disk.fail_next_sync();
        } else {
            self.machine.disk.fail_next_write();
        }
        let fired = |world: &World| {
            let tallies = world.machine.disk.tallies();
            tallies.failed_syncs.fired + tallies.failed_writes.fired
        };
        let before = fired(self);
        self.write();
        self.drain();
        assert!(fired(self) > before, "a fault does not wait for another step");
    }

    fn crash(&mut self) {
        let loses_power = self.random.below(2) == 0;
        self.machine.crash(loses_power);
        self.start();
    }

    /// Starts processes until one has opened the store, and compares what it found.
    fn start(&mut self) {
        loop {
            let steps_max = if self.random.below(3) == 0 { self.random.below(60) } else { u64::MAX };
            if self.machine.try_start(steps_max).expect("the store can be opened") {
                if !self.machine.store.as_ref().is_some_and(EmbeddedStore::is_read_only) {
                    break;
                }
                // It was killed while it failed.
                self.machine.crash(false);
                self.machine.check();
                continue;
            }
            self.counts.starts_cut_short += 1;
            let loses_power = self.random.below(2) == 0;
            self.machine.crash(loses_power);
        }
        self.counts.starts += 1;
        self.adopt_prefix();
    }

    /// Of what was under way some first part is there.
    fn adopt_prefix(&mut self) {
        let mut heads = BTreeMap::new();
        for user in self.users.clone() {
            heads.insert(user, self.load_user(user).head);
        }
        let mut is_lost = false;
        for (_, mutations, at) in std::mem::take(&mut self.under_way) {
            for mutation in &mutations {
                let is_there = match mutation {
                    Mutation::Entry(entry) => self.head(entry.key.conversation) >= entry.key.seq,
                    Mutation::UserEvents { user, first_user_seq, .. } => heads[user] >= *first_user_seq,
                    Mutation::ReadCursor { user, conversation, seq, .. } => {
                        let state = self.load_user(*user);
                        let found = state.conversations.iter().find(|row| row.conversation == *conversation);
                        found.is_some_and(|row| row.read >= *seq)
                    }
                    _ => true,
                };
                assert!(!(is_there && is_lost), "a later mutation is there without an earlier one");
                is_lost |= !is_there;
                if is_there {
                    self.content.apply(mutation, at);
                }
            }
            self.counts.writes_lost += u64::from(is_lost);
        }
        self.ahead = self.content.clone();
        self.machine.make_users(self.users.len());
    }

    fn load_user(&mut self, user: UserId) -> UserState {
        match self.machine.ask(Request::LoadUser(user)) {
            Ok(Response::User(Some(state))) => state,
            other => panic!("{other:?}"),
        }
    }

    fn head(&mut self, conversation: ConversationId) -> Seq {
        match self.machine.ask(Request::LoadConversation(conversation)) {
            Ok(Response::Conversation(row)) => row.map_or(Seq(0), |row| row.head),
            other => panic!("{other:?}"),
        }
    }

    /// Everything that was written and nothing else is there, looked at in random pieces.
    fn check_some(&mut self) {
        if !self.drain() {
            return;
        }
        for _ in 0..4 {
            let pair = self.pair();
            let conversation = ConversationId::direct(pair.0, pair.1);
            if self.random.below(8) == 0 {
                self.erase(conversation);
            }
            self.check_entries(conversation);
            self.check_log(pair.0);
            self.check_identity(conversation);
            self.check_user(pair.0);
            self.counts.reads += 4;
        }
    }

    fn erase(&mut self, conversation: ConversationId) {
        let head = self.content.entries(conversation).len() as u64;
        let key = EntryKey { conversation, seq: Seq(1 + self.random.below(head + 1)) };
        let erasure = if key.seq <= Seq(head) { Erasure::Done } else { Erasure::NotThere };
        assert_eq!(self.machine.ask(Request::EraseEntry(key)), Ok(Response::Erased(erasure)));
        if erasure == Erasure::Done {
            self.content.erased.insert(key);
            self.ahead.erased.insert(key);
        }
    }

    fn check_entries(&mut self, conversation: ConversationId) {
        let held = self.content.entries(conversation).to_vec();
        assert_eq!(self.head(conversation), Seq(held.len() as u64));
        let from = 1 + self.random.below(held.len() as u64 + 2);
        let to = from + self.random.below(held.len() as u64 + 2);
        let (newest_first, count_max) = (self.random.below(2) == 0, 1 + self.random.below(30) as usize);
        let request = Request::ReadEntries {
            conversation,
            from: Seq(from),
            to: Seq(to),
            newest_first,
            count_max,
            bytes_max: 1 << 20,
        };
        let all: Vec<_> = held.iter().filter(|entry| (from..=to).contains(&entry.key.seq.0)).cloned().collect();
        let skipped = if newest_first { all.len().saturating_sub(count_max) } else { 0 };
        let now = self.machine.now.wall;
        let expected: Vec<_> =
            all.into_iter().skip(skipped).take(count_max).map(|entry| self.content.shown(&entry, now)).collect();
        let Ok(Response::Entries(found)) = self.machine.ask(request) else { panic!("entries can be read") };
        let found: Vec<_> = found.into_iter().map(|entry| (entry.key, message_of(&entry))).collect();
        assert_eq!(found, expected, "{from}..={to} {newest_first}");
    }

    fn check_log(&mut self, user: UserId) {
        let log = self.content.log(user).to_vec();
        let after = if self.random.below(4) == 0 { 0 } else { self.random.below(log.len() as u64 + 1) };
        let count_max = 1 + self.random.below(60) as usize;
        let now = self.machine.now.wall;
        let request = Request::ReadUserLog { user, after: UserSeq(after), count_max, bytes_max: 1 << 20 };
        let answer = self.machine.ask(request);
        if answer == Err(StoreError::Expired) {
            let (_, written_at) = log[after as usize];
            assert!(written_at.plus(DAY * 30) < now, "an event of {written_at:?} is gone at {now:?}");
            self.counts.expired += 1;
            return;
        }
        let Ok(Response::UserLog(found)) = answer else { panic!("{answer:?}") };
        let expected: Vec<_> = log
            .iter()
            .zip(1..)
            .skip(after as usize)
            .take(count_max)
            .map(|((event, _), user_seq)| {
                let UserEvent::Entry { key, .. } = event else { panic!("only entries are written") };
                let entry = &self.content.entries(key.conversation)[key.seq.0 as usize - 1];
                (UserSeq(user_seq), *event, self.content.shown(entry, now).1)
            })
            .collect();
        let found: Vec<_> = found
            .into_iter()
            .map(|logged| (logged.user_seq, logged.event, logged.entry.and_then(|entry| message_of(&entry))))
            .collect();
        assert_eq!(found, expected, "after {after}");
    }

    fn check_identity(&mut self, conversation: ConversationId) {
        let held = self.content.entries(conversation);
        if held.is_empty() {
            return;
        }
        let entry = held[self.random.below(held.len() as u64) as usize].clone();
        let identity = entry.identity().expect("it is a message");
        let found = self.machine.ask(Request::FindIdentity { conversation, identity });
        let day = |time: WallTime| time.0 / 86_400_000;
        let is_recent = day(identity.client_id.minted_at()) >= day(self.machine.now.wall.minus(DAY * 7));
        assert_eq!(found, Ok(Response::Found(Some(entry).filter(|_| is_recent))));
        let stranger = Identity { device: DeviceId(99), ..identity };
        let found = self.machine.ask(Request::FindIdentity { conversation, identity: stranger });
        assert_eq!(found, Ok(Response::Found(None)));
    }

    fn check_user(&mut self, user: UserId) {
        let state = self.load_user(user);
        assert_eq!(state.head, UserSeq(self.content.log(user).len() as u64));
        if state.log_start <= state.head {
            let after = UserSeq(state.log_start.0 - 1);
            let request = Request::ReadUserLog { user, after, count_max: 1, bytes_max: 1 };
            let answer = self.machine.ask(request);
            assert!(matches!(&answer, Ok(Response::UserLog(events)) if events.len() == 1), "{answer:?}");
        }
        for row in &state.conversations {
            let held = self.content.entries(row.conversation);
            assert_eq!((row.held, row.held_ordinal), (Seq(held.len() as u64), Ordinal(held.len() as u64)));
            let read = self.content.reads.get(&(user, row.conversation)).copied().unwrap_or_default();
            assert_eq!((row.read, row.read_ordinal), read);
        }
        let spoken = self.content.entries.values().filter(|entries| {
            entries.first().is_some_and(|entry| {
                let EntryBody::Message(message) = &entry.body else { return false };
                [message.view().sender(), message.view().direct_peer()].contains(&user.0)
            })
        });
        assert_eq!(state.conversations.len(), spoken.count(), "a user has all of its conversations");
    }

    /// The end of a run: after a loss of power everything that was answered is there.
    pub(crate) fn finish(&mut self) {
        while !self.drain() {}
        self.machine.crash(true);
        self.start();
        for _ in 0..10 {
            self.check_some();
        }
        let read = self.machine.opened.records_read;
        let all = self.content.entries.values().map(Vec::len).sum::<usize>() as u64;
        self.counts.short_starts += u64::from(read < all);
        self.counts.remnants = (1..500).filter(|number| self.machine.remnant(*number).is_some()).count() as u64;
    }
}
