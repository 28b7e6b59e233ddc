//! What each reading request is answered, as a function of what is in memory and of what its memo has been given.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ids::{ConversationId, Epoch, Ordinal, Seq, UserId, UserSeq};
use protocol::time::WallTime;
use storage_api::{
    Entry, EntryBody, EntryKey, Erasure, Identity, LoggedEvent, Response, StoreError, UserEvent, UserState,
};
use storage_log::Place;

use crate::memo::{Lacking, Memo};
use crate::open_segment::identity_hash;
use crate::recent::Recent;
use crate::record::{Row, any_entry_prefix, entry_prefix, user_events_prefix};
use crate::search::{Order, Range, Search, Source};
use crate::state::State;
use crate::table::{Key, Table};

/// A request that may have to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    User(UserId),
    Entries {
        conversation: ConversationId,
        from: Seq,
        to: Seq,
        newest_first: bool,
        bounds: Bounds,
    },
    UserLog {
        user: UserId,
        after: UserSeq,
        bounds: Bounds,
    },
    Identity {
        conversation: ConversationId,
        identity: Identity,
    },
    /// Where it is; the rest follows from a write.
    Erase(EntryKey),
}

/// How much of a read goes into one answer; one thing goes always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

impl Bounds {
    fn cut<T>(self, things: impl IntoIterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<T> {
        let mut bytes = 0_usize;
        let mut fits = |thing: &T| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(size(thing).max(1));
            is_first || bytes <= self.bytes_max
        };
        things.into_iter().take(self.count_max).take_while(|thing| fits(thing)).collect()
    }
}

/// What is in memory.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) now: WallTime,
    pub(crate) state: &'a State,
    pub(crate) recent: &'a Recent,
    pub(crate) search: Search<'a>,
}

impl Sight<'_> {
    pub(crate) fn answer(self, memo: &mut Memo, question: &Question) -> Result<Result<Response, StoreError>, Lacking> {
        Ok(Ok(match *question {
            Question::User(user) => Response::User(self.user(memo, user)?),
            Question::Entries { conversation, from, to, newest_first, bounds } => {
                Response::Entries(self.entries(memo, conversation, (from, to), newest_first, bounds)?)
            }
            Question::UserLog { user, after, bounds } => return self.user_log(memo, user, after, bounds),
            Question::Identity { conversation, identity } => {
                Response::Found(self.identity(memo, conversation, identity)?)
            }
            Question::Erase(_) => unreachable!("it is not answered by what is read"),
        }))
    }

    fn user(self, memo: &mut Memo, user: UserId) -> Result<Option<UserState>, Lacking> {
        let mut lacking = Ok(());
        let state = self.state.user_state(user, |key| match self.located_entry(memo, key) {
            Ok(entry) => entry.map(|entry| entry.ordinal),
            Err(Lacking) => {
                lacking = Err(Lacking);
                None
            }
        });
        lacking?;
        let Some(mut state) = state else { return Ok(None) };
        state.log_start = self.log_start(memo, user)?.unwrap_or(state.head.next());
        Ok(Some(state))
    }

    /// The first place of a user's log that is still there.
    fn log_start(self, memo: &mut Memo, user: UserId) -> Result<Option<UserSeq>, Lacking> {
        if !self.search.segments.has_remnants() {
            return Ok(Some(UserSeq(1)));
        }
        let key = Key::user_row(user, UserSeq(0));
        for source in self.search.sources(Table::UserRows, &key) {
            // The filter may be wrong.
            if let Some(first) = self.search.first(memo, Table::UserRows, source, &key)? {
                return Ok(Some(first.user_seq()));
            }
        }
        Ok(None)
    }

    fn entries(
        self,
        memo: &mut Memo,
        conversation: ConversationId,
        (from, to): (Seq, Seq),
        newest_first: bool,
        bounds: Bounds,
    ) -> Result<Vec<Arc<Entry>>, Lacking> {
        let head = self.state.conversations.find(conversation).map_or(Seq(0), |found| found.head);
        let (mut from, mut to) = (from.max(Seq(1)), to.min(head));
        if from > to {
            return Ok(Vec::new());
        }
        // Seqs have no gap, so so many are enough.
        let more = (bounds.count_max as u64).saturating_sub(1);
        if newest_first {
            from = from.max(Seq(to.0.saturating_sub(more)));
        } else {
            to = to.min(Seq(from.0.saturating_add(more)));
        }
        let (low, high) = (Key::entry(conversation, from), Key::entry(conversation, to));
        let range = Range { table: Table::Entries, low, high };
        let mut rows = self.search.rows(memo, range, Order::Descending, usize::MAX / 2)?;
        // Of two places of one entry the later one counts; it was found first.
        rows.dedup_by_key(|row| row.key);
        let place_of: BTreeMap<Seq, Place> = rows.into_iter().map(|row| (row.key.seq(), row.place)).collect();
        let mut seqs: Vec<Seq> = (from.0..=to.0).map(Seq).collect();
        if newest_first {
            seqs.reverse();
        }
        let size = |seq: &Seq| place_of.get(seq).map_or(0, |place| place.length as usize);
        let mut wanted = bounds.cut(seqs, size);
        wanted.sort_unstable();
        all(wanted.into_iter().map(|seq| {
            let key = EntryKey { conversation, seq };
            let entry = place_of.get(&seq).map(|place| self.entry_at(memo, key, *place)).transpose()?;
            Ok(entry.filter(|entry| !self.is_over(entry)).unwrap_or_else(|| void(key)))
        }))
    }

    /// It has been erased, or has had its time, whether or not it is still on the disk.
    fn is_over(self, entry: &Entry) -> bool {
        if self.state.erasures.entries.contains_key(&entry.key) {
            return true;
        }
        let EntryBody::Message(message) = &entry.body else { return false };
        let head = message.head();
        if self.state.is_erased(head.sender) {
            return true;
        }
        let lifetime_ms = u64::from(head.expires_in_s) * 1000;
        lifetime_ms > 0 && head.server_time.0.saturating_add(lifetime_ms) <= self.now.0
    }

    fn user_log(self, memo: &mut Memo, user: UserId, after: UserSeq, bounds: Bounds) -> LogAnswer {
        let events = self.user_events(memo, user, after, bounds.count_max)?;
        let head = self.state.users.find(user).map_or(UserSeq(0), |found| found.head);
        if events.is_empty() && after < head {
            return Ok(Err(StoreError::Expired));
        }
        let places = all(events.iter().map(|(_, event)| match event {
            UserEvent::Entry { key, .. } if self.recent.find(*key).is_none() => self.search.entry(memo, *key),
            _ => Ok(None),
        }))?;
        let size = |(_, event): &(_, UserEvent), place: &Option<Place>| match (event, place) {
            (_, Some(place)) => place.length as usize,
            (UserEvent::Entry { key, .. }, None) => self.recent.size(*key),
            _ => 0,
        };
        let page = bounds.cut(events.into_iter().zip(places), |(event, place)| size(event, place));
        let logged = page.into_iter().map(|((user_seq, event), place)| {
            let entry = match (event, place) {
                (UserEvent::Entry { key, .. }, Some(place)) => Some(self.entry_at(memo, key, place)?),
                (UserEvent::Entry { key, .. }, None) => self.recent.find(key),
                _ => None,
            };
            Ok(LoggedEvent { user_seq, event, entry: entry.filter(|entry| !self.is_over(entry)) })
        });
        all(logged).map(|logged| Ok(Response::UserLog(logged)))
    }

    /// Events after this place, in order and without a gap.
    fn user_events(
        self,
        memo: &mut Memo,
        user: UserId,
        after: UserSeq,
        count_max: usize,
    ) -> Result<Vec<(UserSeq, UserEvent)>, Lacking> {
        let mut run = Run { next: after.next(), events: Vec::new(), count_max };
        let (low, high) = (Key::user_row(user, after.next()), Key::user_row(user, UserSeq(u64::MAX)));
        let (sources, start) = self.search.narrow(memo, Table::UserRows, &low)?;
        for source in sources.into_iter().skip(start.saturating_sub(1)) {
            let mut rows = Vec::new();
            // The row that begins before `low` may reach into the range.
            let before = Range { table: Table::UserRows, low: low.prefix(Table::UserRows), high: low };
            self.search.rows_of(memo, source, before, Order::Descending, 1, &mut rows)?;
            let range = Range { table: Table::UserRows, low, high };
            self.search.rows_of(memo, source, range, Order::Ascending, run.room(), &mut rows)?;
            rows.dedup_by_key(|row| row.key);
            let records = rows.iter().map(|row| {
                let prefix = || user_events_prefix(user, row.key.user_seq());
                memo.record(self.search.file_of(row.place), row.place, prefix)
                    .cloned()
                    .map(|record| (row.key.user_seq(), record))
            });
            for (first, record) in all(records)? {
                if let Row::UserEvents { events, .. } = record {
                    run.take(first, &events);
                }
            }
            if run.room() == 0 {
                break;
            }
        }
        Ok(run.events)
    }

    fn identity(
        self,
        memo: &mut Memo,
        conversation: ConversationId,
        identity: Identity,
    ) -> Result<Option<Arc<Entry>>, Lacking> {
        let key = Key::identity(identity_hash(conversation, &identity));
        let minted = identity.client_id.minted_at();
        let range = Range { table: Table::Identities, low: key, high: key };
        let mut rows = Vec::new();
        for source in self.search.sources(Table::Identities, &key) {
            let may_have = match source {
                Source::Open(_) => true,
                Source::Sealed(sealed) => (sealed.summary.minted.0..=sealed.summary.minted.1).contains(&minted),
            };
            if may_have {
                self.search.rows_of(memo, source, range, Order::Ascending, usize::MAX / 2, &mut rows)?;
            }
        }
        let found = all(rows.iter().map(|row| self.entry_with(memo, row.place, any_entry_prefix)))?;
        // Hashes may collide, so what was found is compared. The highest seq counts: ids come once, but for what a
        // former format may have left.
        let is_wanted =
            |entry: &Arc<Entry>| entry.key.conversation == conversation && entry.identity() == Some(identity);
        Ok(found.into_iter().filter(is_wanted).max_by_key(|entry| entry.key.seq))
    }

    /// Where a message is that can be erased, or what there is to say instead.
    pub(crate) fn erasable(self, memo: &mut Memo, key: EntryKey) -> Result<Result<Place, Erasure>, Lacking> {
        let head = self.state.conversations.find(key.conversation).map_or(Seq(0), |found| found.head);
        if key.seq == Seq(0) || key.seq > head {
            return Ok(Err(Erasure::NotThere));
        }
        let Some(place) = self.search.entry(memo, key)? else { return Ok(Err(Erasure::Done)) };
        Ok(match self.entry_at(memo, key, place)?.body {
            EntryBody::Message(_) if self.state.erasures.entries.contains_key(&key) => Err(Erasure::Done),
            EntryBody::Message(_) => Ok(place),
            EntryBody::Membership(_) => Err(Erasure::NotAMessage),
            EntryBody::Void => Err(Erasure::Done),
        })
    }

    fn located_entry(self, memo: &mut Memo, key: EntryKey) -> Result<Option<Arc<Entry>>, Lacking> {
        if let Some(entry) = self.recent.find(key) {
            return Ok(Some(entry));
        }
        let Some(place) = self.search.entry(memo, key)? else { return Ok(None) };
        self.entry_at(memo, key, place).map(Some)
    }

    fn entry_at(self, memo: &mut Memo, key: EntryKey, place: Place) -> Result<Arc<Entry>, Lacking> {
        match self.recent.find(key) {
            Some(entry) => Ok(entry),
            None => self.entry_with(memo, place, || entry_prefix(key)),
        }
    }

    fn entry_with(
        self,
        memo: &mut Memo,
        place: Place,
        prefix: impl FnOnce() -> Vec<u8>,
    ) -> Result<Arc<Entry>, Lacking> {
        match memo.record(self.search.file_of(place), place, prefix)? {
            Row::Entry(entry) => Ok(entry.clone()),
            _ => unreachable!("the log compares keys, and this was the key of an entry"),
        }
    }
}

type LogAnswer = Result<Result<Response, StoreError>, Lacking>;

/// What stands where an entry was.
fn void(key: EntryKey) -> Arc<Entry> {
    Arc::new(Entry { key, epoch: Epoch(0), ordinal: Ordinal(0), body: EntryBody::Void })
}

/// Events of a user's log as they are gathered.
struct Run {
    next: UserSeq,
    events: Vec<(UserSeq, UserEvent)>,
    count_max: usize,
}

impl Run {
    fn room(&self) -> usize {
        self.count_max - self.events.len()
    }

    /// Takes what follows from a run that begins with `first`; nothing behind a gap.
    fn take(&mut self, first: UserSeq, events: &[UserEvent]) {
        let Some(known) = self.next.0.checked_sub(first.0) else { return };
        let fresh = events.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or_default();
        for event in fresh.iter().take(self.room()) {
            self.events.push((self.next, *event));
            self.next = self.next.next();
        }
    }
}

/// All of them, or [`Lacking`] when each has been asked for.
fn all<T>(results: impl Iterator<Item = Result<T, Lacking>>) -> Result<Vec<T>, Lacking> {
    let mut things = Ok(Vec::new());
    for result in results {
        match (&mut things, result) {
            (Ok(things), Ok(thing)) => things.push(thing),
            (_, Err(Lacking)) => things = Err(Lacking),
            (Err(Lacking), Ok(_)) => {}
        }
    }
    things
}
