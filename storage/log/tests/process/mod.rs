//! A process with a log in a real folder: the loop that an embedder runs, blocking.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use storage_log::{
    Admission, AppendRefusal, AppendToken, Class, Disk, FolderError, Log, LogEvent, LogId, LogIdentity, Monotonic,
    OpenError, Options, Place, Purpose, RealDisk, Record, Recovery, RecoverySummary, StoreIncarnation,
};

pub(crate) const SEGMENT_BYTES: u32 = 64 << 10;

#[derive(Debug)]
pub(crate) enum StartError {
    Folder(FolderError),
    Log(OpenError),
}

pub(crate) struct Process {
    pub(crate) log: Log,
    disk: RealDisk,
    woken: Receiver<()>,
    started: Instant,
    /// What the recovery found: key, payload, place.
    pub(crate) found: Vec<(Vec<u8>, Vec<u8>, Place)>,
    pub(crate) summary: RecoverySummary,
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Result<Self, StartError> {
        Self::start_with(folder, 0, 0)
    }

    pub(crate) fn start_with(folder: &Path, disk_low_bytes: u64, ballast_bytes: u32) -> Result<Self, StartError> {
        let (wake, woken) = sync_channel(1);
        let notify = move || {
            let _is_awake = wake.try_send(());
        };
        let mut disk = RealDisk::open(folder, notify).map_err(StartError::Folder)?;
        let identity = LogIdentity { log_id: LogId([0x5a; 16]), incarnation: StoreIncarnation(7) };
        let options = Options { segment_bytes: SEGMENT_BYTES, disk_low_bytes, ballast_bytes, new_log: identity };
        let mut recovery = Recovery::new(options, Purpose::Open);
        let mut found = Vec::new();
        while !recovery.is_done() {
            while let Some((id, operation)) = recovery.poll_operation() {
                disk.submit(id, operation);
            }
            match disk.poll_completion() {
                Some(completion) => recovery.handle_completion(completion).map_err(StartError::Log)?,
                None => woken.recv().expect("the disk lives"),
            }
            while let Some(recovered) = recovery.poll_record().map_err(StartError::Log)? {
                found.push((recovered.record.key.to_vec(), recovered.record.payload.to_vec(), recovered.place));
            }
        }
        let summary = recovery.summary();
        let log = recovery.finish(Monotonic::default());
        Ok(Self { log, disk, woken, started: Instant::now(), found, summary })
    }

    pub(crate) fn append(&mut self, token: u64, payload: &[u8]) -> Result<Place, AppendRefusal> {
        let key = token.to_be_bytes();
        let record = Record { class: Class::Permanent, format_version: 1, key: &key, payload: &[payload] };
        let mut places = Vec::new();
        self.log.append(AppendToken(token), Admission::New, &[record], &mut places)?;
        Ok(places[0])
    }

    /// Waits for something to happen, and answers what did.
    pub(crate) fn turn(&mut self) -> Vec<LogEvent> {
        while let Some((id, operation)) = self.log.poll_operation() {
            self.disk.submit(id, operation);
        }
        let wait = self.log.poll_timeout().map(|due| due.0.saturating_sub(self.started.elapsed()));
        // Woken, or it is time: the log is told both.
        let _is_woken = self.woken.recv_timeout(wait.unwrap_or(Duration::from_secs(10)));
        let now = Monotonic(self.started.elapsed());
        while let Some(completion) = self.disk.poll_completion() {
            self.log.handle_completion(now, completion);
        }
        self.log.handle_timeout(now);
        std::iter::from_fn(|| self.log.poll_event()).collect()
    }

    /// Turns until something is reported: a turn may have had only time to pass on.
    pub(crate) fn events(&mut self) -> Vec<LogEvent> {
        loop {
            let events = self.turn();
            if !events.is_empty() {
                return events;
            }
        }
    }

    /// Appends one record and waits until it is durable.
    pub(crate) fn commit(&mut self, token: u64, payload: &[u8]) -> Place {
        let place = loop {
            match self.append(token, payload) {
                Ok(place) => break place,
                Err(AppendRefusal::Full) => drop(self.turn()),
                Err(refusal) => panic!("refused: {refusal}"),
            }
        };
        while !self.turn().contains(&LogEvent::Appended { token: AppendToken(token) }) {}
        place
    }

    /// Waits until what is durable is also proved.
    pub(crate) fn settle(&mut self) {
        self.log.seal();
        while !self.log.is_settled() {
            self.turn();
        }
    }
}

/// A folder that goes away with the test, also when it fails.
pub(crate) struct TemporaryFolder(pub(crate) PathBuf);

impl TemporaryFolder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("storage-log-{name}-{}", std::process::id()));
        let _was_not_there = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _may_be_gone = std::fs::remove_dir_all(&self.0);
    }
}
