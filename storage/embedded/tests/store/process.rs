//! A process with a store in a real folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use protocol::ids::{Realm, UserId};
use protocol::time::{Now, WallTime};
use storage_api::{Entry, Mutation, Request, Response, StoreToken};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, Opening, StoreEvent};
use storage_log::{Disk, LogId, LogIdentity, Monotonic, Options, RealDisk, StoreIncarnation};

use crate::machine::{message, row};

pub(crate) struct Process {
    pub(crate) store: EmbeddedStore,
    disk: RealDisk,
    woken: Receiver<()>,
    started: Instant,
    /// What has been waited for without waiting.
    pub(crate) ahead: Duration,
    token_count: u64,
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Process {
        let (wake, woken) = sync_channel(1);
        let notify = move || {
            let _is_awake = wake.try_send(());
        };
        let mut disk = RealDisk::open(folder, notify).expect("the folder can be used");
        let identity = LogIdentity { log_id: LogId([7; 16]), incarnation: StoreIncarnation(1) };
        let log = Options { segment_bytes: 64 << 10, disk_low_bytes: 0, ballast_bytes: 0, new_log: identity };
        let options = EmbeddedOptions { snapshot_every_bytes: 100 << 10, ..EmbeddedOptions::new(log) };
        let mut opening = Opening::new(options);
        while !opening.is_done() {
            while let Some((id, operation)) = opening.poll_operation() {
                disk.submit(id, operation);
            }
            match disk.poll_completion() {
                Some(completion) => opening.handle_completion(completion).expect("the store can be opened"),
                None => woken.recv().expect("the disk lives"),
            }
        }
        let store = opening.finish(Monotonic::default());
        Process { store, disk, woken, started: Instant::now(), ahead: Duration::ZERO, token_count: 0 }
    }

    fn now(&self) -> Now {
        let elapsed = self.started.elapsed() + self.ahead;
        let wall = WallTime(1_764_028_800_000).plus(elapsed);
        Now { monotonic: protocol::time::Instant(elapsed.as_nanos() as u64), wall }
    }

    fn turn(&mut self) {
        while let Some((id, operation)) = self.store.poll_operation() {
            self.disk.submit(id, operation);
        }
        let _is_woken = self.woken.recv_timeout(Duration::from_millis(20));
        let now = self.now();
        while let Some(completion) = self.disk.poll_completion() {
            self.store.handle_completion(now, completion);
        }
        self.store.handle_timeout(now);
    }

    pub(crate) fn ask(&mut self, request: Request) -> Response {
        self.token_count += 1;
        let token = StoreToken(self.token_count);
        self.store.handle_request(self.now(), token, request);
        loop {
            match self.store.poll_event() {
                Some(StoreEvent::Answer { token: answered, result }) => {
                    assert_eq!(answered, token);
                    return result.expect("the disk is well");
                }
                Some(event) => panic!("{event:?}"),
                None => self.turn(),
            }
        }
    }

    pub(crate) fn make_users(&mut self) -> (UserId, UserId) {
        let mut make = |handle: &str| {
            let request = Request::EnsureUser { realm: Realm(1), handle: handle.to_owned() };
            match self.ask(request) {
                Response::Users(rows) => rows[0].id,
                other => panic!("{other:?}"),
            }
        };
        (make("alice"), make("bob"))
    }

    pub(crate) fn say(&mut self, pair: (UserId, UserId), seq: u64) -> Arc<Entry> {
        let entry = message(self.now().wall, pair, seq, seq.into(), vec![b'x'; 3000]);
        let mutations =
            vec![Mutation::Entry(entry.clone()), row(pair.0, seq, &entry, pair.0), row(pair.1, seq, &entry, pair.0)];
        assert_eq!(self.ask(Request::Write(mutations)), Response::Written);
        entry
    }

    /// Until what is full has its index, and all is proved.
    pub(crate) fn settle(&mut self) {
        self.store.seal();
        while !self.store.is_settled() || self.store.figures().unsealed_bytes > 0 {
            self.turn();
        }
    }
}

/// A folder that goes away with the test, also when it fails.
pub(crate) struct TemporaryFolder(pub(crate) PathBuf);

impl TemporaryFolder {
    pub(crate) fn new(name: &str) -> TemporaryFolder {
        let path = std::env::temp_dir().join(format!("storage-embedded-{name}-{}", std::process::id()));
        let _was_not_there = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a folder can be made");
        TemporaryFolder(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _may_be_gone = std::fs::remove_dir_all(&self.0);
    }
}
