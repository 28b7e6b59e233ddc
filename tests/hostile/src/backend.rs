//! A router on the embedded store on a simulated disk: everything behind a link, in one thread, without waiting.

use std::time::Duration;

use protocol::ids::{Realm, UserId};
use protocol::link::{Batch, LinkError};
use protocol::time::Now;
use router_core::{Action, DropCause, LinkId, Router, RouterConfig};
use storage_api::{Request, StoreToken};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, StoreEvent};
use storage_log::{LogId, LogIdentity, Options, SimDisk, StoreIncarnation};

use crate::machine;

/// The tenant of all users.
pub const REALM: Realm = Realm(1);
/// Who there is. Their ids are counted from 1.
pub const HANDLES: [&str; 3] = ["alice", "bob", "carol"];
/// The largest message and some events fit a batch of a quarter of it.
const SEGMENT_BYTES: u32 = 224 << 10;
const DISK_BYTES: u64 = 1 << 30;

/// The user with the handle of this index.
pub fn user(index: usize) -> UserId {
    UserId::new(REALM, index as u64 + 1)
}

/// See the file's head.
pub struct Backend {
    router: Router,
    store: EmbeddedStore,
    disk: SimDisk,
    /// Processes that there were, this one included.
    pub lives: u64,
    /// Links that the router has given up, and why; reported to it as down.
    pub dropped: Vec<(LinkId, DropCause)>,
}

impl Backend {
    /// With the users of [`HANDLES`].
    pub fn new(now: Now) -> Backend {
        let disk = SimDisk::new(1, DISK_BYTES);
        let mut store = open(now, &disk);
        for (index, handle) in HANDLES.iter().enumerate() {
            let request = Request::EnsureUser { realm: REALM, handle: (*handle).to_owned() };
            store.handle_request(now, StoreToken(index as u64), request);
        }
        machine::perform(now, &mut store, &disk);
        while store.poll_event().is_some() {}
        Backend { router: start(now, &store, 1), store, disk, lives: 1, dropped: Vec::new() }
    }

    /// The process is killed, or the power cut, and another one begins. It has no links.
    pub fn restart(&mut self, now: Now, cuts_power: bool) {
        if cuts_power {
            self.disk.cut_power();
        } else {
            self.disk.kill();
        }
        self.lives += 1;
        self.store = open(now, &self.disk);
        self.router = start(now, &self.store, self.lives);
    }

    /// A gateway has connected.
    pub fn link_up(&mut self, now: Now, link: LinkId) {
        self.router.handle_link_up(now, link);
    }

    /// It is gone.
    pub fn link_down(&mut self, now: Now, link: LinkId) {
        self.router.handle_link_down(now, link);
    }

    /// A batch of a gateway. After an error the link is down.
    pub fn take_batch(&mut self, now: Now, link: LinkId, batch: &[u8]) -> Result<(), LinkError> {
        self.router.handle_link_batch(now, link, batch).inspect_err(|_| self.router.handle_link_down(now, link))
    }

    /// Whether the store says that it takes nothing new.
    pub fn pressure(&mut self, now: Now, disk_low: bool) {
        self.router.handle_pressure(now, disk_low);
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Now) {
        if self.router.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.router.handle_timeout(now);
        }
        self.store.handle_timeout(now);
    }

    /// Works until there is nothing left to do; the batches are for the gateways.
    pub fn settle(&mut self, now: Now) -> Vec<(LinkId, Batch)> {
        let mut batches = Vec::new();
        loop {
            let mut acted = false;
            while let Some(action) = self.router.poll_action() {
                acted = true;
                match action {
                    Action::SendBatch { link, batch } => batches.push((link, batch)),
                    Action::Store { token, request } => self.store.handle_request(now, token, request),
                    Action::OrderEnded(..) => {}
                    Action::DropLink { link, cause } => {
                        self.router.handle_link_down(now, link);
                        self.dropped.push((link, cause));
                    }
                }
            }
            machine::perform(now, &mut self.store, &self.disk);
            while let Some(event) = self.store.poll_event() {
                acted = true;
                match event {
                    StoreEvent::Answer { token, result } => self.router.handle_store(now, token, result),
                    StoreEvent::Pressure { is_pressed, .. } => self.router.handle_pressure(now, is_pressed),
                    StoreEvent::SideFileFailed { text } | StoreEvent::Damaged { text } => {
                        panic!("nothing has damaged the disk: {text}")
                    }
                    StoreEvent::Ballast { .. } => {}
                    StoreEvent::Failed { error, .. } => panic!("the disk has not failed: {error}"),
                }
            }
            if !acted {
                return batches;
            }
        }
    }
}

fn open(now: Now, disk: &SimDisk) -> EmbeddedStore {
    let new_log = LogIdentity { log_id: LogId([7; 16]), incarnation: StoreIncarnation(1) };
    let options = Options { segment_bytes: SEGMENT_BYTES, disk_low_bytes: 0, ballast_bytes: 0, new_log };
    let opened = machine::open(now, disk, EmbeddedOptions::new(options));
    opened.expect("what the store has written it can read")
}

fn start(now: Now, store: &EmbeddedStore, lives: u64) -> Router {
    let config = RouterConfig {
        router_incarnation: lives,
        epoch: store.next_epoch(),
        // Small enough that an input gets to what happens when it is full.
        push_window_events: 8,
        pull_after: Duration::from_secs(1),
        ..RouterConfig::default()
    };
    let mut router = Router::new(config, store.traits());
    router.handle_start(now);
    router
}
