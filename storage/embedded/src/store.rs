//! The store: requests and disk completions in, disk operations and events out.

mod reading;
mod registering;

use std::collections::VecDeque;
use std::time::Duration;

use protocol::ids::{Epoch, StoreIncarnation};
use protocol::time::{Now, WallTime};
use protocol::wire::Durability;
use storage_api::{DEDUP_DAYS, Erasure, Mutation, Request, Response, StoreError, StoreToken, StoreTraits};
use storage_log::{Completion, DiskError, Log, LogEvent, Monotonic, Operation, OperationId};

use crate::answers::{Bounds, Question};
use crate::jobs::Jobs;
use crate::limits::INDEX_BEHIND_BYTES_MAX;
use crate::opening::Opened;
use crate::options::EmbeddedOptions;
use crate::pages::PageCache;
use crate::recent::Recent;
use crate::record::Row;
use crate::registrations::Registrations;
use crate::side_files::{SideFiles, Trouble};
use crate::snapshots::Snapshots;
use crate::state::State;
use crate::writes::{Chunk, Ending, Writes};

const DEDUP_WINDOW: Duration = Duration::from_secs(DEDUP_DAYS as u64 * 24 * 60 * 60);

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
    /// The ballast is there, or is let go of since the disk is full.
    Ballast {
        /// Now.
        is_there: bool,
    },
    /// The disk has refused a file beside the log, or its removal. Nothing is lost; it is tried again.
    SideFileFailed {
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
    /// Segments of the log, the open one included.
    pub segments: u64,
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
    /// Bytes in memory of the indexes of full segments: filters and directories.
    pub index_bytes: u64,
    /// Bytes of full segments whose index is in memory until its side file is written.
    pub unsealed_bytes: u64,
    /// The ballast is there.
    pub has_ballast: bool,
}

/// An open store.
pub struct EmbeddedStore {
    log: Log,
    state: State,
    side: SideFiles,
    snapshots: Snapshots,
    recent: Recent,
    pages: PageCache,
    writes: Writes,
    jobs: Jobs,
    registrations: Registrations,
    events: VecDeque<StoreEvent>,
    /// As of the last call.
    wall: WallTime,
    /// Until the epoch of this process is durable nothing is answered.
    early: Option<VecDeque<(Now, StoreToken, Request)>>,
    epoch: Epoch,
    /// The highest that a registration under way has been given.
    user_counter: u64,
    device_counter: u64,
    backlog_bytes_max: usize,
    segment_age_max: Duration,
    is_disk_low: bool,
    is_behind: bool,
    is_index_behind: bool,
}

impl EmbeddedStore {
    pub(crate) fn new(opened: Opened) -> EmbeddedStore {
        let Opened { options, log, state, mut side, snapshots } = opened;
        let epoch = Epoch(state.counters.epoch.0 + 1);
        let is_read_only = log.is_read_only();
        if !is_read_only {
            side.begin(options.log, log.identity().log_id);
        }
        let mut store = EmbeddedStore {
            recent: Recent::new(options.recent_bytes_max),
            pages: PageCache::default(),
            writes: Writes::default(),
            jobs: Jobs::default(),
            registrations: Registrations::default(),
            events: VecDeque::new(),
            wall: WallTime(0),
            early: (!is_read_only).then(VecDeque::new),
            epoch,
            user_counter: state.counters.user,
            device_counter: state.counters.device,
            backlog_bytes_max: options.backlog_bytes_max,
            segment_age_max: options.segment_age_max,
            is_disk_low: false,
            is_behind: false,
            is_index_behind: false,
            log,
            state,
            side,
            snapshots,
        };
        if !is_read_only {
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
        self.wall = now.wall;
        if let Some(early) = &mut self.early {
            early.push_back((now, token, request));
            return;
        }
        match request {
            Request::Write(_)
            | Request::EraseEntry(_)
            | Request::EraseUser(_)
            | Request::ForgetUser(_)
            | Request::EnsureUser { .. }
            | Request::RegisterDevice { .. }
                if self.log.is_read_only() && self.known(&request).is_none() =>
            {
                self.answer(token, Err(StoreError::Unavailable));
            }
            Request::Write(mutations) => {
                let rows: Vec<Row> = mutations.into_iter().filter_map(row_of).collect();
                if rows.is_empty() {
                    return self.answer(token, Ok(Response::Written));
                }
                self.write(rows, Ending::Write(token));
            }
            Request::LoadConversation(id) => {
                self.answer(token, Ok(Response::Conversation(self.state.conversation_row(id))));
            }
            Request::LoadUser(id) => self.ask(token, Question::User(id)),
            Request::ReadEntries { conversation, from, to, newest_first, count_max, bytes_max } => {
                let bounds = Bounds { count_max, bytes_max };
                self.ask(token, Question::Entries { conversation, from, to, newest_first, bounds });
            }
            Request::ReadUserLog { user, after, count_max, bytes_max } => {
                self.ask(token, Question::UserLog { user, after, bounds: Bounds { count_max, bytes_max } });
            }
            Request::FindIdentity { conversation, identity } => {
                let oldest = day_of(now.wall.minus(DEDUP_WINDOW));
                if day_of(identity.client_id.minted_at()) < oldest {
                    return self.answer(token, Ok(Response::Found(None)));
                }
                self.ask(token, Question::Identity { conversation, identity });
            }
            Request::LookupUsers { realm, handles, ids } => {
                self.answer(token, Ok(Response::Users(self.state.users(realm, &handles, &ids))));
            }
            Request::EnsureUser { realm, handle } => self.ensure_user(token, realm, handle),
            Request::RegisterDevice { user, install_id, name, registered_at, devices_max } => {
                self.register_device(token, user, install_id, &name, registered_at, devices_max);
            }
            Request::EraseEntry(key) => self.ask(token, Question::Erase(key)),
            Request::EraseUser(user) => self.erase_user(token, user),
            Request::ForgetUser(user) => self.write(vec![Row::UserForgotten(user)], Ending::Write(token)),
            Request::ListLeaving => self.answer(token, Ok(Response::Users(self.state.leaving()))),
            Request::ListUnfanned => self.answer(token, Ok(Response::Conversations(self.state.unfanned()))),
        }
    }

    /// An operation of the disk has ended.
    pub fn handle_completion(&mut self, now: Now, completion: Completion) {
        self.wall = now.wall;
        let id = completion.id;
        if !id.is_of_embedder() {
            self.log.handle_completion(monotonic(now), completion);
        } else if self.jobs.awaits(id) {
            self.page_read(completion);
        } else if self.side.awaits(id) {
            self.side_file_step(now, completion);
        }
        self.handle_log_events();
    }

    /// The time that [`Self::poll_timeout`] named has come. Calling early or often is harmless.
    pub fn handle_timeout(&mut self, now: Now) {
        self.log.handle_timeout(monotonic(now));
        let age_max = self.segment_age_max;
        let swept = self.side.handle_timeout(monotonic(now), now.wall, age_max, &self.state.erasures);
        if let Some(swept) = swept {
            self.write(vec![swept], Ending::Unasked);
        }
        if self.side.is_overdue() {
            self.leave_segment();
        }
        self.handle_log_events();
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        [self.log.poll_timeout(), self.side.poll_timeout()].into_iter().flatten().min()
    }

    /// What to submit to the disk next. Everything written since the last commit departs as one batch, so call it when
    /// nothing more is at hand.
    pub fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        let of_log = self.log.poll_operation();
        let jobs = &mut self.jobs;
        of_log
            .or_else(|| jobs.poll_operation(&mut self.side.ids))
            .or_else(|| self.side.poll_operation(|file| jobs.reads(file)))
    }

    /// What has happened, oldest first.
    pub fn poll_event(&mut self) -> Option<StoreEvent> {
        self.events.pop_front()
    }

    /// Other limits from now on. The size of segments and the names of the store are for good, and not looked at.
    pub fn handle_limits(&mut self, options: &EmbeddedOptions) {
        self.log.set_disk_low_bytes(options.log.disk_low_bytes);
        self.recent.set_bytes_max(options.recent_bytes_max);
        self.snapshots.set_every_bytes(options.snapshot_every_bytes);
        self.backlog_bytes_max = options.backlog_bytes_max;
        self.segment_age_max = options.segment_age_max;
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
            segments: self.side.segments.iter().count() as u64,
            conversations: self.state.conversations.len() as u64,
            users: self.state.users.len() as u64,
            entries: self.state.counters.entries,
            user_events: self.state.counters.user_events,
            identities: self.side.segments.identity_count(),
            index_bytes: self.side.segments.resident_bytes() as u64,
            unsealed_bytes: self.side.segments.unsealed_bytes(),
            has_ballast: self.log.has_ballast(),
        }
    }

    fn side_file_step(&mut self, now: Now, completion: Completion) {
        match self.side.handle(monotonic(now), completion) {
            // What is not said now is said again after the next time.
            Ok(gone) if gone.is_empty() || self.log.is_read_only() => {}
            Ok(gone) => self.write(gone, Ending::Unasked),
            Err(Trouble::Disk(text)) => self.events.push_back(StoreEvent::SideFileFailed { text }),
            Err(Trouble::Damage(text)) => self.events.push_back(StoreEvent::Damaged { text }),
        }
        if !self.side.is_sealing() {
            let oldest = WallTime(day_of(now.wall.minus(DEDUP_WINDOW)) * DAY_MS);
            self.side.segments.forget_identities_before(oldest);
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
                LogEvent::Ballast { is_there } => {
                    self.is_disk_low |= !is_there;
                    self.events.push_back(StoreEvent::Ballast { is_there });
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
        self.jobs.advance(&mut self.log);
        let waiting_bytes = self.writes.waiting_bytes();
        let is_behind = waiting_bytes > self.backlog_bytes_max / if self.is_behind { 2 } else { 1 };
        if is_behind != self.is_behind {
            self.is_behind = is_behind;
            let text = if is_behind { "the disk does not keep up" } else { "the disk has caught up" };
            self.report_pressure(text, &format!(" ({} MiB wait)", waiting_bytes >> 20));
        }
        let unsealed_bytes = self.side.segments.unsealed_bytes();
        let is_index_behind = unsealed_bytes > INDEX_BEHIND_BYTES_MAX / if self.is_index_behind { 2 } else { 1 };
        if is_index_behind != self.is_index_behind {
            self.is_index_behind = is_index_behind;
            let text = if is_index_behind { "the index does not keep up" } else { "the index has caught up" };
            self.report_pressure(text, &format!(" ({} MiB wait)", unsealed_bytes >> 20));
        }
    }

    fn report_pressure(&mut self, text: &str, detail: &str) {
        let is_pressed = self.is_disk_low || self.is_behind || self.is_index_behind;
        self.events.push_back(StoreEvent::Pressure { is_pressed, text: format!("{text}{detail}") });
    }

    /// Only now does the index show it.
    fn durable(&mut self, chunk: Chunk) {
        for ((row, place), class) in chunk.rows.iter().zip(&chunk.places).zip(&chunk.classes) {
            self.state.apply(row, place.segment).expect("an owner writes for users that exist");
            self.side.segments.insert(*place, *class, row);
            if let Some(snapshot) = self.snapshots.note(*place, row) {
                self.side.snapshot = Some(snapshot);
            }
            match row {
                Row::Entry(entry) => self.recent.insert(entry),
                Row::User(row) => {
                    for token in self.registrations.user_made(row.id.realm(), &row.handle) {
                        self.answer(token, Ok(Response::Users(vec![row.clone()])));
                    }
                }
                Row::Device { user, install_id, row } => {
                    for token in self.registrations.device_made(*user, *install_id) {
                        self.answer(token, Ok(Response::Device(Some(row.clone()))));
                    }
                }
                _ => {}
            }
        }
        match chunk.ending {
            Some(Ending::Write(token)) => self.answer(token, Ok(Response::Written)),
            Some(Ending::Erased(token)) => self.answer(token, Ok(Response::Erased(Erasure::Done))),
            Some(Ending::UserErased(token, user)) => {
                self.answer(token, Ok(Response::Leaving(self.state.conversations_of(user))));
            }
            Some(Ending::Started) => {
                for (now, token, request) in self.early.take().into_iter().flatten() {
                    self.handle_request(now, token, request);
                }
            }
            Some(Ending::Unasked) | None => {}
        }
        self.write_snapshot();
    }

    fn write_snapshot(&mut self) {
        let append_bytes_max = self.log.append_bytes_max();
        while let Some(rows) = self.snapshots.poll_rows(self.wall, append_bytes_max, &self.state) {
            self.writes.push(&self.log, rows, Ending::Unasked);
        }
    }

    /// As soon as nothing is under way: then everything before the new segment is in the state.
    fn leave_segment(&mut self) {
        let is_at_rest = self.writes.is_empty() && !self.snapshots.is_writing();
        if is_at_rest && self.log.leave_segment() {
            self.side.segment_begun();
            self.snapshots.begin_in(self.log.synced_through().segment.next());
            self.write_snapshot();
            self.advance();
        }
    }

    fn fail(&mut self, error: DiskError, is_marked: bool) {
        for chunk in self.writes.abandon() {
            if let Some(Ending::Write(token) | Ending::Erased(token) | Ending::UserErased(token, _)) = chunk.ending {
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
}

/// `None`: what it says follows from other rows.
fn row_of(mutation: Mutation) -> Option<Row> {
    Some(match mutation {
        Mutation::Entry(entry) => Row::Entry(entry),
        Mutation::UserEvents { user, first_user_seq, epoch, events } => {
            Row::UserEvents { user, first_user_seq, epoch, events }
        }
        Mutation::DeviceCursor { user, device, user_seq } => Row::DeviceCursor { user, device, user_seq },
        Mutation::DeviceStanding { user, device, standing } => Row::DeviceStanding { user, device, standing },
        Mutation::ReadCursor { user, conversation, seq, ordinal } => {
            Row::ReadCursor { user, conversation, seq, ordinal }
        }
        Mutation::Fanned { .. } => return None,
    })
}

fn monotonic(now: Now) -> Monotonic {
    Monotonic(Duration::from_nanos(now.monotonic.0))
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Identities are forgotten a whole day at a time.
fn day_of(time: WallTime) -> u64 {
    time.0 / DAY_MS
}
