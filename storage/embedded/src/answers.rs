//! What each reading request is answered, as a function of what is in memory and of what its memo has been given.

use std::sync::Arc;

use protocol::ids::{ConversationId, Seq, UserId, UserSeq};
use storage_api::{Entry, EntryKey, Identity, LoggedEvent, Response, UserEvent, UserState};
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
    Entries { conversation: ConversationId, from: Seq, to: Seq, newest_first: bool, bounds: Bounds },
    UserLog { user: UserId, after: UserSeq, bounds: Bounds },
    Identity { conversation: ConversationId, identity: Identity },
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
    pub(crate) state: &'a State,
    pub(crate) recent: &'a Recent,
    pub(crate) search: Search<'a>,
}

impl Sight<'_> {
    pub(crate) fn answer(self, memo: &mut Memo, question: &Question) -> Result<Response, Lacking> {
        match *question {
            Question::User(user) => self.user(memo, user).map(Response::User),
            Question::Entries { conversation, from, to, newest_first, bounds } => {
                self.entries(memo, conversation, (from, to), newest_first, bounds).map(Response::Entries)
            }
            Question::UserLog { user, after, bounds } => self.user_log(memo, user, after, bounds),
            Question::Identity { conversation, identity } => {
                self.identity(memo, conversation, identity).map(Response::Found)
            }
        }
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
        lacking.map(|()| state)
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
        let (from, to) = (from.max(Seq(1)), to.min(head));
        if from > to {
            return Ok(Vec::new());
        }
        let (low, high) = (Key::entry(conversation, from), Key::entry(conversation, to));
        let range = Range { table: Table::Entries, low, high };
        let order = if newest_first { Order::Descending } else { Order::Ascending };
        let mut rows = self.search.rows(memo, range, order, bounds.count_max)?;
        // Of two places of one entry the later one counts; they were found next to each other.
        if newest_first {
            rows.dedup_by_key(|row| row.key);
        } else {
            rows.reverse();
            rows.dedup_by_key(|row| row.key);
            rows.reverse();
        }
        let mut wanted = bounds.cut(rows, |row| row.place.length as usize);
        if newest_first {
            wanted.reverse();
        }
        let keyed = wanted.into_iter().map(|row| (EntryKey { conversation, seq: row.key.seq() }, row.place));
        all(keyed.map(|(key, place)| self.entry_at(memo, key, place)))
    }

    fn user_log(self, memo: &mut Memo, user: UserId, after: UserSeq, bounds: Bounds) -> Result<Response, Lacking> {
        let events = self.user_events(memo, user, after, bounds.count_max)?;
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
            Ok(LoggedEvent { user_seq, event, entry })
        });
        all(logged).map(Response::UserLog)
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
                memo.record(row.place, prefix).cloned().map(|record| (row.key.user_seq(), record))
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
        match memo.record(place, prefix)? {
            Row::Entry(entry) => Ok(entry.clone()),
            _ => unreachable!("the log compares keys, and this was the key of an entry"),
        }
    }
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
