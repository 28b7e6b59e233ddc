//! The embedded store on a real disk: its state machine, and the threads of the disk that perform what it wants.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use protocol::time::Now;
use protocol_shell::random;
use storage_api::{Request, StoreToken};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, Opening, OpeningProgress, StoreEvent};
use storage_log::limits::{SECTOR_BYTES, SEGMENT_BYTES_MAX};
use storage_log::{Completion, Disk, LogId, LogIdentity, Monotonic, RealDisk, StoreIncarnation};

use crate::bell::Bell;
use crate::disk_watch::DiskWatch;
use crate::figures::{LogFigures, RouterFigures, StoreFigures, StoreTime};
use crate::server::StartError;

/// Where the store is and what it may take.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Its folder. Made when it is missing.
    pub folder: PathBuf,
    /// Size of a log segment in bytes, from 4 MiB, so that a batch may have its full size, to 1 GiB; whole sectors.
    pub segment_bytes: u32,
    /// Below this much free space new messages are refused.
    pub disk_low_bytes: u64,
    /// See [`storage_log::Options::ballast_bytes`].
    pub ballast_bytes: u32,
    /// See [`EmbeddedOptions::recent_bytes_max`].
    pub recent_bytes_max: usize,
    /// See [`EmbeddedOptions::backlog_bytes_max`].
    pub backlog_bytes_max: usize,
    /// See [`EmbeddedOptions::snapshot_every_bytes`].
    pub snapshot_every_bytes: u64,
    /// See [`EmbeddedOptions::segment_age_max`].
    pub segment_age_max: Duration,
}

impl StoreConfig {
    /// What one segment may have.
    pub const SEGMENT_BYTES: RangeInclusive<u32> = 4 << 20..=SEGMENT_BYTES_MAX;
    /// One segment is made of whole ones.
    pub const SECTOR_BYTES: u32 = SECTOR_BYTES;

    /// With the defaults of the store, which has them from its log.
    pub fn new(folder: PathBuf) -> StoreConfig {
        let EmbeddedOptions {
            log,
            recent_bytes_max,
            backlog_bytes_max,
            snapshot_every_bytes,
            segment_age_max,
            renewed: _,
        } = defaults();
        let storage_log::Options { segment_bytes, disk_low_bytes, ballast_bytes, new_log: _ } = log;
        StoreConfig {
            folder,
            segment_bytes,
            disk_low_bytes,
            ballast_bytes,
            recent_bytes_max,
            backlog_bytes_max,
            snapshot_every_bytes,
            segment_age_max,
        }
    }

    fn options(&self) -> EmbeddedOptions {
        let defaults = defaults();
        EmbeddedOptions {
            log: storage_log::Options {
                segment_bytes: self.segment_bytes,
                disk_low_bytes: self.disk_low_bytes,
                ballast_bytes: self.ballast_bytes,
                ..defaults.log
            },
            recent_bytes_max: self.recent_bytes_max,
            backlog_bytes_max: self.backlog_bytes_max,
            snapshot_every_bytes: self.snapshot_every_bytes,
            segment_age_max: self.segment_age_max,
            ..defaults
        }
    }
}

/// For a log that is called by random numbers, which are used only where there is none yet.
fn defaults() -> EmbeddedOptions {
    let new_log = LogIdentity { log_id: LogId(random::bytes()), incarnation: StoreIncarnation(random::number()) };
    EmbeddedOptions::new(storage_log::Options::new(new_log))
}

/// An open store.
pub(crate) struct EmbeddedExecutor {
    store: EmbeddedStore,
    disk: RealDisk,
    watch: DiskWatch,
    waiting: HashMap<StoreToken, Waiting>,
    time: StoreTime,
    figures: StoreFigures,
    log_figures: LogFigures,
    /// When the sizes of the store were taken; they take a look at each segment.
    measured: Option<Instant>,
}

/// A request that has not been answered.
struct Waiting {
    is_write: bool,
    since: Instant,
}

/// Between two looks at the sizes of the store.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn monotonic(now: Now) -> Monotonic {
    Monotonic(Duration::from_nanos(now.monotonic.0))
}

impl EmbeddedExecutor {
    /// Reads the whole log; says how far it is in between.
    pub(crate) async fn open(
        config: &StoreConfig,
        bell: &Bell,
        mut on_progress: impl FnMut(OpeningProgress),
    ) -> Result<EmbeddedExecutor, StartError> {
        let rung = bell.clone();
        let mut disk = RealDisk::open(&config.folder, move || rung.ring()).map_err(StartError::Folder)?;
        let mut opening = Opening::new(config.options());
        while !opening.is_done() {
            while let Some((id, operation)) = opening.poll_operation() {
                disk.submit(id, operation);
            }
            match disk.poll_completion() {
                Some(completion) => opening.handle_completion(completion).map_err(StartError::Open)?,
                None => bell.heard().await,
            }
            on_progress(opening.progress());
        }
        let store = opening.finish(monotonic(protocol_shell::clock::now()));
        Ok(EmbeddedExecutor {
            store,
            disk,
            watch: DiskWatch::default(),
            waiting: HashMap::new(),
            time: StoreTime::default(),
            figures: StoreFigures::default(),
            log_figures: LogFigures::default(),
            measured: None,
        })
    }

    pub(crate) fn set_limits(&mut self, config: &StoreConfig) {
        self.store.handle_limits(&config.options());
    }

    pub(crate) fn store(&mut self) -> &mut EmbeddedStore {
        &mut self.store
    }

    /// What the disk has done since the last turn. Before the clock is read.
    pub(crate) fn reap(&mut self) -> Vec<Completion> {
        std::iter::from_fn(|| self.disk.poll_completion()).collect()
    }

    pub(crate) fn handle(&mut self, now: Now, completions: Vec<Completion>) {
        let began = Instant::now();
        for completion in completions {
            self.watch.completed(&mut self.log_figures, &completion);
            self.store.handle_completion(now, completion);
        }
        self.store.handle_timeout(now);
        self.time.apply += began.elapsed();
    }

    pub(crate) fn request(&mut self, now: Now, token: StoreToken, request: Request) {
        let began = Instant::now();
        self.figures.requests.increment(&request);
        let is_write = matches!(request, Request::Write(_));
        self.waiting.insert(token, Waiting { is_write, since: began });
        self.store.handle_request(now, token, request);
        self.time.append += began.elapsed();
    }

    pub(crate) fn poll_event(&mut self) -> Option<StoreEvent> {
        let event = self.store.poll_event();
        if let Some(StoreEvent::Answer { token, result }) = &event {
            self.figures.failures += u64::from(result.is_err());
            if let Some(Waiting { is_write, since }) = self.waiting.remove(token) {
                let times = if is_write { &mut self.figures.write_seconds } else { &mut self.figures.read_seconds };
                times.observe(since.elapsed());
            }
        }
        event
    }

    /// Everything that was gathered in this turn departs together.
    pub(crate) fn depart(&mut self) {
        let began = Instant::now();
        while let Some((id, operation)) = self.store.poll_operation() {
            self.watch.submitted(&mut self.log_figures, id, &operation);
            self.disk.submit(id, operation);
        }
        self.time.append += began.elapsed();
    }

    /// What the store has cost this thread so far, and what it and its disk have done.
    pub(crate) fn report(&mut self, figures: &mut RouterFigures) {
        if self.measured.is_none_or(|at| at.elapsed() >= MEASURE_INTERVAL) {
            self.measured = Some(Instant::now());
            self.measure();
        }
        figures.thread.store_seconds = self.time;
        figures.store.clone_from(&self.figures);
        figures.log.clone_from(&self.log_figures);
    }

    fn measure(&mut self) {
        let sizes = self.store.figures();
        self.figures.conversations = sizes.conversations;
        self.figures.users = sizes.users;
        self.figures.entries = sizes.entries;
        self.figures.user_events = sizes.user_events;
        self.figures.identities = sizes.identities;
        self.figures.index_bytes = sizes.index_bytes;
        self.figures.unindexed_bytes = sizes.unsealed_bytes;
        self.log_figures.segments = sizes.segments;
        self.log_figures.ballast = sizes.has_ballast;
    }
}
