//! The product's own store on a simulated disk, driven as the shell of the router drives it.
//!
//! What it holds is also kept as plain rows, for the checker: a write is applied to them when the store says that it is
//! durable, and at every opening they are read anew from the medium. So a loss shows when the store is opened next.

mod at_once;
mod batches;
mod rot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::ids::{ConversationId, Realm, UserId};
use protocol::time::{Instant, Now};
use storage_api::{EntryBody, Mutation, Request, Response, StoreError, StoreToken, StoreTraits, UserRow};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, OpenError, Opening, StoreEvent};
use storage_log::{
    Disk, FileName, LogId, LogIdentity, Monotonic, Operation, Options, Purpose, Recovery, SegmentNumber, SimDisk,
    StoreIncarnation,
};

use super::database::{Database, Row};
use super::lying_disk::LyingDisk;
use super::{Completion, Death, Harm, News, Store, StoreToll, Weather};
use crate::agenda::Agenda;
use crate::clock::Clock;
use crate::prng::Prng;
use at_once::StoreAtOnce;
use batches::Batches;
use rot::Rot;

/// No operation of the disk is faster.
const LATENCY_MIN: Duration = Duration::from_micros(50);
/// More than a seed ever writes.
const ROOMY_BYTES: u64 = 1 << 30;
/// Below this new messages are shed.
const DISK_LOW_BYTES: u64 = 256 << 10;
/// A segment takes batches of a quarter of it: the largest message has to fit one, and a seed to fill several.
const SEGMENT_BYTES: [u32; 2] = [136 << 10, 256 << 10];
/// Bytes of messages that are kept in memory: with few of them, most reads go to the disk.
const RECENT_BYTES: [usize; 3] = [0, 16 << 10, 32 << 20];
/// With few of them, an opening begins in the middle of the log.
const SNAPSHOT_EVERY_BYTES: [u64; 3] = [32 << 10, 128 << 10, 128 << 20];
/// About so many operations it takes to open a store and to prepare the next segment.
const INTERRUPT_OPERATIONS: u64 = 40;
/// What a mutation takes in the log beside its message, at most, about.
const MUTATION_BYTES: usize = 256;

enum Life {
    None,
    Opening(Box<Opening>),
    Checking(Box<Recovery>),
    Open(Box<EmbeddedStore>),
}

/// A write on its way.
struct Write {
    rows: Vec<Row>,
    /// It may become durable in several steps.
    is_large: bool,
}

/// See the file's head.
pub struct EmbeddedHost {
    options: EmbeddedOptions,
    traits: StoreTraits,
    disk: SimDisk,
    lies: bool,
    life: Life,
    /// What this life sees of the disk.
    seam: Box<dyn Disk>,
    /// When an operation of the disk ends. Which one, the disk decides.
    endings: Agenda<()>,
    /// Something was asked for since the last poll.
    asked_at: Option<Instant>,
    news: VecDeque<News>,
    under_way: BTreeMap<StoreToken, Option<Write>>,
    batches: Batches,
    /// To come with the next operation of that kind.
    failures: Vec<Harm>,
    rotten: Option<Rot>,
    operations_until_interrupt: Option<u64>,
    users: Vec<UserRow>,
    /// All that were ever written to.
    conversations: BTreeSet<ConversationId>,
    held: Database,
    prng: Prng,
    weather: Weather,
    fair: Weather,
    toll: StoreToll,
}

impl EmbeddedHost {
    /// A new store with these users, not open. `lies`: the disk does, about syncs, from now on.
    pub fn new(handles: &[String], fair: Weather, lies: bool, mut prng: Prng) -> EmbeddedHost {
        let log_id = LogId(prng.draw_u128().to_be_bytes());
        let new_log = LogIdentity { log_id, incarnation: StoreIncarnation(prng.draw()) };
        let log = Options {
            segment_bytes: *prng.pick(&SEGMENT_BYTES),
            disk_low_bytes: DISK_LOW_BYTES,
            ballast_bytes: 0,
            new_log,
        };
        let options = EmbeddedOptions {
            recent_bytes_max: *prng.pick(&RECENT_BYTES),
            snapshot_every_bytes: *prng.pick(&SNAPSHOT_EVERY_BYTES),
            ..EmbeddedOptions::new(log)
        };
        let disk = SimDisk::new(prng.draw(), ROOMY_BYTES);
        let mut founder = StoreAtOnce::open(options, disk.clone()).expect("an empty disk takes a store");
        let users: Vec<UserRow> = handles.iter().map(|handle| founder.ensure_user(Realm(1), handle)).collect();
        let traits = founder.traits();
        founder.end();
        EmbeddedHost {
            options,
            traits,
            seam: seam(&disk, lies),
            disk,
            lies,
            life: Life::None,
            endings: Agenda::default(),
            asked_at: None,
            news: VecDeque::new(),
            under_way: BTreeMap::new(),
            batches: Batches::default(),
            failures: Vec::new(),
            rotten: None,
            operations_until_interrupt: None,
            held: Database::of_users(&users),
            users,
            conversations: BTreeSet::new(),
            prng,
            weather: fair,
            fair,
            toll: StoreToll::default(),
        }
    }

    /// In the order of their handles.
    pub fn users(&self) -> Vec<UserId> {
        self.users.iter().map(|user| user.id).collect()
    }

    /// The disk has done what it does by now.
    fn reap(&mut self, now: Now) {
        while self.endings.pop_due(now.monotonic).is_some() {
            self.disk.perform_one();
            self.count_down();
        }
        while let Some(completion) = self.seam.poll_completion() {
            self.batches.completed(&completion);
            match &mut self.life {
                Life::None => unreachable!("a crash empties the disk's queues"),
                Life::Open(store) => store.handle_completion(now, completion),
                Life::Opening(opening) => {
                    if let Err(error) = opening.handle_completion(completion) {
                        return self.fail_to_open(&error);
                    }
                }
                Life::Checking(recovery) => {
                    if let Err(error) = check_on(recovery, completion) {
                        return self.fail_to_open(&error.into());
                    }
                }
            }
        }
    }

    fn count_down(&mut self) {
        self.operations_until_interrupt = match self.operations_until_interrupt {
            Some(0) => {
                self.news.push_back(News::Interrupted);
                None
            }
            left => left.map(|left| left - 1),
        };
    }

    fn fail_to_open(&mut self, error: &OpenError) {
        self.life = Life::None;
        let text = error.to_string();
        let is_of_the_disk = matches!(error, OpenError::Log(storage_log::OpenError::Disk { .. }));
        self.news.push_back(if is_of_the_disk { News::Failed(text) } else { News::Refused(text) });
    }

    /// Whoever opens or checks is done.
    fn go_on(&mut self, now: Now) {
        self.life = match std::mem::replace(&mut self.life, Life::None) {
            Life::Opening(opening) if opening.is_done() => {
                let store = opening.finish(monotonic(now.monotonic));
                let (epoch, is_read_only) = (store.next_epoch(), store.is_read_only());
                assert_eq!(store.traits(), self.traits, "a store stays who it is");
                self.news.push_back(News::Opened { epoch, is_read_only });
                Life::Open(Box::new(store))
            }
            Life::Checking(recovery) if recovery.is_done() => {
                self.news.push_back(News::Checked);
                Life::None
            }
            life => life,
        };
        if let Life::Open(store) = &mut self.life {
            store.handle_timeout(now);
        }
    }

    fn depart(&mut self, now: Instant) {
        loop {
            let operation = match &mut self.life {
                Life::None => None,
                Life::Opening(opening) => opening.poll_operation(),
                Life::Checking(recovery) => recovery.poll_operation(),
                Life::Open(store) => store.poll_operation(),
            };
            let Some((id, operation)) = operation else { return };
            self.fail_if_due(&operation);
            self.batches.submitted(id, &operation);
            self.seam.submit(id, operation);
            self.endings.note(now + self.prng.between(LATENCY_MIN, self.weather.latency_max), ());
        }
    }

    fn fail_if_due(&mut self, operation: &Operation) {
        let due = match operation {
            Operation::Sync { .. } | Operation::SyncFolder => Harm::SyncFails,
            Operation::Write { .. } => Harm::WriteFails,
            _ => return,
        };
        match self.failures.iter().position(|failure| *failure == due).map(|index| self.failures.remove(index)) {
            Some(Harm::SyncFails) => self.disk.fail_next_sync(),
            Some(_) => self.disk.fail_next_write(),
            None => {}
        }
    }

    /// A byte of an index, of whichever segment.
    fn byte_of_index(&mut self) -> Option<(FileName, u32)> {
        let segments = (1..=self.batches.last_segment()?.0).map(|number| FileName::Index(SegmentNumber(number)));
        let indexes: Vec<(FileName, usize)> = segments
            .filter_map(|file| Some((file, self.disk.content(file)?.len())))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        if indexes.is_empty() {
            return None;
        }
        let (file, bytes) = *self.prng.pick(&indexes);
        Some((file, self.prng.index(bytes) as u32))
    }

    fn hear_store(&mut self) -> Vec<Completion> {
        let mut completions = Vec::new();
        let Life::Open(store) = &mut self.life else { return completions };
        while let Some(event) = store.poll_event() {
            match event {
                // It has failed, and the process ends before anybody hears of it.
                StoreEvent::Answer { result: Err(StoreError::UnknownOutcome), .. } => {}
                StoreEvent::Answer { token, result } => {
                    let write = self.under_way.remove(&token).expect("what was asked is answered once");
                    if let (Some(write), Ok(Response::Written)) = (write, &result) {
                        write.rows.into_iter().for_each(|row| self.held.apply(row));
                    }
                    completions.push((token, result));
                }
                StoreEvent::Pressure { is_pressed, .. } => self.news.push_back(News::Pressed(is_pressed)),
                StoreEvent::SideFileFailed { .. } | StoreEvent::Ballast { .. } => {}
                StoreEvent::Damaged { text } => self.news.push_back(News::Damaged(text)),
                StoreEvent::Failed { error, is_marked } => {
                    self.news.push_back(News::Failed(format!("{error}, marked: {is_marked}")));
                }
            }
        }
        completions
    }

    /// What of a write the checker will look for.
    fn write_of(&mut self, mutations: &[Mutation]) -> Write {
        let mut bytes = 0;
        let mut rows = Vec::new();
        for mutation in mutations {
            bytes += MUTATION_BYTES;
            match mutation {
                Mutation::Entry(entry) => {
                    self.conversations.insert(entry.key.conversation);
                    if let EntryBody::Message(message) = &entry.body {
                        bytes += message.as_bytes().len();
                    }
                    rows.extend(Row::of(mutation.clone()));
                }
                Mutation::UserEvents { .. } => rows.push(Row::Other(mutation.clone())),
                Mutation::DeviceCursor { .. }
                | Mutation::DeviceStanding { .. }
                | Mutation::ReadCursor { .. }
                | Mutation::Fanned { .. } => {}
            }
        }
        Write { rows, is_large: bytes > self.options.log.segment_bytes as usize / 8 }
    }
}

impl Store for EmbeddedHost {
    fn traits(&self) -> StoreTraits {
        self.traits
    }

    fn open(&mut self, now: Instant) {
        assert!(matches!(self.life, Life::None), "a store is opened by one process at a time");
        self.life = Life::Opening(Box::new(Opening::new(self.options)));
        self.asked_at = Some(now);
    }

    fn check(&mut self, now: Instant) {
        assert!(matches!(self.life, Life::None), "a store is opened by one process at a time");
        self.life = Life::Checking(Box::new(Recovery::new(self.options.log, Purpose::Check)));
        self.asked_at = Some(now);
    }

    fn submit(&mut self, now: Instant, token: StoreToken, request: Request) {
        if self.weather.latency_max > self.fair.latency_max {
            self.toll.slowed += 1;
        }
        let write = if let Request::Write(mutations) = &request { Some(self.write_of(mutations)) } else { None };
        self.under_way.insert(token, write);
        let Life::Open(store) = &mut self.life else { panic!("only an open store is asked") };
        store.handle_request(Clock::default().read(now), token, request);
        // All that is asked for at one moment departs as one batch.
        self.asked_at = Some(now);
    }

    fn poll(&mut self, now: Instant) -> Vec<Completion> {
        self.asked_at = None;
        let reading = Clock::default().read(now);
        self.reap(reading);
        self.go_on(reading);
        self.depart(now);
        self.hear_store()
    }

    fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn next_at(&self) -> Option<Instant> {
        let timeout = if let Life::Open(store) = &self.life { store.poll_timeout() } else { None };
        let timeout = timeout.map(|due| Instant(u64::try_from(due.0.as_nanos()).unwrap_or(u64::MAX)));
        [self.endings.next_at(), self.asked_at, timeout].into_iter().flatten().min()
    }

    fn under_way(&self) -> usize {
        self.endings.things().count() + self.batches.unsynced_sectors()
    }

    fn crash(&mut self, _now: Instant, death: Death) {
        match death {
            Death::OfProcess => self.disk.kill(),
            Death::OfMachine => self.disk.cut_power(),
        }
        self.life = Life::None;
        self.seam = seam(&self.disk, self.lies);
        self.endings = Agenda::default();
        self.asked_at = None;
        self.news.clear();
        self.under_way.clear();
        self.batches.crashed();
        self.operations_until_interrupt = None;
    }

    fn set_weather(&mut self, weather: Option<Weather>) {
        self.weather = weather.unwrap_or(self.fair);
    }

    fn harm(&mut self, harm: Harm) -> bool {
        match harm {
            Harm::SyncFails | Harm::WriteFails => self.failures.push(harm),
            Harm::Full => {
                let free_bytes = if self.prng.chance(500) { 0 } else { self.prng.below(DISK_LOW_BYTES) };
                self.disk.set_capacity_bytes(self.disk.used_bytes() + free_bytes);
            }
            // What a lying disk has said is durable proves nothing.
            Harm::BitRots | Harm::IndexRots if self.rotten.is_none() && !self.lies => {
                let byte =
                    if harm == Harm::BitRots { self.batches.proved_byte(&mut self.prng) } else { self.byte_of_index() };
                let Some((file, offset)) = byte else { return false };
                self.rotten = Some(Rot::begin(&self.disk, file, offset, self.prng.below(8) as u8));
            }
            Harm::BitRots | Harm::IndexRots => return false,
            Harm::Interrupts => self.operations_until_interrupt = Some(self.prng.below(INTERRUPT_OPERATIONS)),
        }
        true
    }

    fn heal(&mut self, harm: Harm) {
        match harm {
            Harm::SyncFails | Harm::WriteFails => self.failures.retain(|failure| *failure != harm),
            Harm::Full => self.disk.set_capacity_bytes(ROOMY_BYTES),
            Harm::Interrupts => self.operations_until_interrupt = None,
            Harm::BitRots | Harm::IndexRots => {
                let is_there = self.rotten.take().is_none_or(|rot| rot.end(&self.disk));
                self.toll.replaced += u64::from(!is_there);
            }
        }
    }

    fn toll(&self) -> StoreToll {
        StoreToll { disk: self.disk.tallies(), ..self.toll }
    }

    fn look(&mut self, request: &Request) -> Response {
        // A part of a large write may be durable, and shown, before the store says so of the whole.
        let is_in_doubt = self.under_way.values().flatten().any(|write| write.is_large);
        if is_in_doubt && !self.lies {
            self.reread().expect("what is durable can be read at any time");
        }
        self.held.answer(request)
    }

    fn reread(&mut self) -> Result<(), String> {
        let medium = self.disk.medium();
        // The checker looks past the rot.
        if let Some(rot) = self.rotten {
            rot.end(&medium);
        }
        let options = EmbeddedOptions::new(self.options.log);
        self.held = StoreAtOnce::open(options, medium)?.read(&self.users, &self.conversations)?;
        Ok(())
    }
}

fn seam(disk: &SimDisk, lies: bool) -> Box<dyn Disk> {
    if lies { Box::new(LyingDisk::new(disk.clone())) } else { Box::new(disk.clone()) }
}

fn check_on(recovery: &mut Recovery, completion: storage_log::Completion) -> Result<(), storage_log::OpenError> {
    recovery.handle_completion(completion)?;
    while recovery.poll_record()?.is_some() {}
    Ok(())
}

fn monotonic(at: Instant) -> Monotonic {
    Monotonic(Duration::from_nanos(at.0))
}

#[cfg(test)]
mod tests;
