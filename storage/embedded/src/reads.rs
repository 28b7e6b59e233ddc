//! Reads that need entries from the log: what is not at hand is fetched, and the answer waits until it is complete.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use protocol::ids::UserSeq;
use storage_api::{Entry, EntryKey, LoggedEvent, Response, StoreToken, UserEvent};
use storage_log::{Log, Place, ReadRefusal, ReadToken};

use crate::conversation::Slot;
use crate::recent::Recent;
use crate::record;

/// What the entries become.
pub(crate) enum Answer {
    Entries,
    Found,
    /// Events, and for those that name one the position of its entry in the read.
    UserLog(Vec<(UserSeq, UserEvent, Option<usize>)>),
}

/// An answer that waits for its entries.
struct Read {
    token: StoreToken,
    answer: Answer,
    entries: Vec<Option<Arc<Entry>>>,
    missing_count: usize,
}

/// One entry on its way from the disk, for one read.
#[derive(Clone)]
struct Fetch {
    read: u64,
    index: usize,
    place: Place,
    key: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Reads {
    reads: HashMap<u64, Read>,
    reads_count: u64,
    fetches: HashMap<ReadToken, Fetch>,
    fetches_count: u64,
    waiting: VecDeque<Fetch>,
}

impl Reads {
    /// Begins a read. `Some`: everything was at hand.
    pub(crate) fn begin(
        &mut self,
        token: StoreToken,
        answer: Answer,
        wanted: &[(EntryKey, Slot)],
        recent: &Recent,
    ) -> Option<Response> {
        let entries: Vec<_> = wanted.iter().map(|(key, _)| recent.find(*key)).collect();
        let missing_count = entries.iter().filter(|entry| entry.is_none()).count();
        if missing_count == 0 {
            return Some(response(answer, entries));
        }
        self.reads_count += 1;
        let read = self.reads_count;
        let missing = wanted.iter().zip(&entries).enumerate().filter(|(_, (_, entry))| entry.is_none());
        self.waiting.extend(missing.map(|(index, ((key, slot), _))| Fetch {
            read,
            index,
            place: slot.place,
            key: record::entry_key(*key, slot.epoch),
        }));
        self.reads.insert(read, Read { token, answer, entries, missing_count });
        None
    }

    /// Hands the log as many as it takes.
    pub(crate) fn advance(&mut self, log: &mut Log) {
        while let Some(fetch) = self.waiting.pop_front() {
            // Its read has failed for another entry.
            if !self.reads.contains_key(&fetch.read) {
                continue;
            }
            self.fetches_count += 1;
            let token = ReadToken(self.fetches_count);
            match log.read(token, fetch.place, &fetch.key) {
                Ok(()) => {
                    self.fetches.insert(token, fetch);
                }
                Err(ReadRefusal::Busy) => return self.waiting.push_front(fetch),
                Err(ReadRefusal::NotDurable) => panic!("the index names what is durable"),
            }
        }
    }

    /// An entry has come. `Some`: that was the last one of its read.
    pub(crate) fn fetched(&mut self, token: ReadToken, entry: Arc<Entry>) -> Option<(StoreToken, Response)> {
        let fetch = self.fetches.remove(&token).expect("the log answers what it was asked");
        let read = self.reads.get_mut(&fetch.read)?;
        *read.entries.get_mut(fetch.index).expect("a fetch is for a place of its read") = Some(entry);
        read.missing_count -= 1;
        if read.missing_count > 0 {
            return None;
        }
        let read = self.reads.remove(&fetch.read).expect("it was just looked at");
        Some((read.token, response(read.answer, read.entries)))
    }

    /// An entry cannot be had, and with it the whole answer. `None`: that is known already.
    pub(crate) fn failed(&mut self, token: ReadToken) -> Option<StoreToken> {
        let fetch = self.fetches.remove(&token).expect("the log answers what it was asked");
        self.reads.remove(&fetch.read).map(|read| read.token)
    }
}

fn response(answer: Answer, entries: Vec<Option<Arc<Entry>>>) -> Response {
    match answer {
        Answer::Entries => Response::Entries(entries.into_iter().flatten().collect()),
        Answer::Found => Response::Found(entries.into_iter().flatten().next()),
        Answer::UserLog(events) => {
            let entry_at = |index: usize| entries.get(index).cloned().flatten();
            let logged = events.into_iter().map(|(user_seq, event, index)| LoggedEvent {
                user_seq,
                event,
                entry: index.and_then(entry_at),
            });
            Response::UserLog(logged.collect())
        }
    }
}
