//! A process with a store on a simulated disk, driven as the shell of a router drives it. It can be killed, and its
//! machine lose power.

use std::sync::Arc;
use std::time::Duration;

use protocol::encode::FrameBuilder;
use protocol::event::Message;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Realm, Seq, UserId, UserSeq};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::Encryption;
use storage_api::{Entry, EntryBody, EntryKey, Mutation, Request, Response, StoreError, StoreToken, UserEvent};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, OpenError, Opening, OpeningProgress, StoreEvent};
use storage_log::{
    Disk, FileName, LogId, LogIdentity, Monotonic, Operation, OperationId, Options, Purpose, Recovery, SegmentNumber,
    SimDisk, StoreIncarnation,
};

/// 2025-11-25.
const FIRST_DAY: WallTime = WallTime(1_764_028_800_000);
pub(crate) const SEGMENT_BYTES: u32 = 16 << 10;

pub(crate) struct Machine {
    pub(crate) disk: SimDisk,
    /// What the process submits to.
    seam: SimDisk,
    pub(crate) store: Option<EmbeddedStore>,
    pub(crate) now: Now,
    pub(crate) opened: OpeningProgress,
    token_count: u64,
    pub(crate) damages: Vec<String>,
}

/// What a request has led to.
pub(crate) type Answer = (StoreToken, Result<Response, StoreError>);

/// The disk has failed a write or a sync of the log.
#[derive(Debug)]
pub(crate) struct Failed;

impl Machine {
    pub(crate) fn new(seed: u64) -> Machine {
        let disk = SimDisk::new(seed, 1 << 40);
        let mut machine = Machine {
            seam: disk.clone(),
            disk,
            store: None,
            now: Now { monotonic: Instant(0), wall: FIRST_DAY },
            opened: OpeningProgress::default(),
            token_count: 0,
            damages: Vec::new(),
        };
        machine.start();
        machine
    }

    fn options() -> EmbeddedOptions {
        let identity = LogIdentity { log_id: LogId(*b"a log of a test."), incarnation: StoreIncarnation(1) };
        let log = Options { segment_bytes: SEGMENT_BYTES, disk_low_bytes: 0, ballast_bytes: 0, new_log: identity };
        EmbeddedOptions { recent_bytes_max: 2000, snapshot_every_bytes: 24 << 10, ..EmbeddedOptions::new(log) }
    }

    pub(crate) fn start(&mut self) {
        self.try_start(u64::MAX).expect("the store can be opened");
    }

    /// `Ok(false)`: it was not open after so many operations of the disk.
    pub(crate) fn try_start(&mut self, steps_max: u64) -> Result<bool, OpenError> {
        self.store = None;
        let mut opening = Opening::new(Self::options());
        let mut steps = 0;
        while !opening.is_done() {
            if steps == steps_max {
                return Ok(false);
            }
            steps += 1;
            while let Some((id, operation)) = opening.poll_operation() {
                self.seam.submit(id, operation);
            }
            assert!(self.disk.perform_one(), "an opening that is not done waits for the disk");
            while let Some(completion) = self.seam.poll_completion() {
                opening.handle_completion(completion)?;
            }
        }
        self.opened = opening.progress();
        self.store = Some(opening.finish(self.monotonic()));
        Ok(true)
    }

    /// `ringpost store check`.
    pub(crate) fn check(&mut self) {
        let last_remnant = (1..500).rev().find(|number| self.remnant(*number).is_some());
        let first = SegmentNumber(last_remnant.unwrap_or(0) + 1);
        let mut recovery = Recovery::new(Self::options().log, Purpose::Check).starting_at(first);
        while !recovery.is_done() {
            while let Some((id, operation)) = recovery.poll_operation() {
                self.seam.submit(id, operation);
            }
            self.disk.perform_one();
            while let Some(completion) = self.seam.poll_completion() {
                recovery.handle_completion(completion).expect("the log is whole");
            }
            while recovery.poll_record().expect("the log is whole").is_some() {}
        }
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(Duration::from_nanos(self.now.monotonic.0))
    }

    /// The process is gone: killed, or with the power of its machine.
    pub(crate) fn crash(&mut self, loses_power: bool) {
        if loses_power {
            self.disk.cut_power();
        } else {
            self.disk.kill();
        }
        self.store = None;
        self.seam = self.disk.clone();
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now.monotonic = self.now.monotonic + time;
        self.now.wall = self.now.wall.plus(time);
    }

    pub(crate) fn submit(&mut self, request: Request) -> StoreToken {
        self.token_count += 1;
        let token = StoreToken(self.token_count);
        self.store.as_mut().expect("a process runs").handle_request(self.now, token, request);
        token
    }

    fn depart(&mut self) {
        let store = self.store.as_mut().expect("a process runs");
        while let Some((id, operation)) = store.poll_operation() {
            self.seam.submit(id, operation);
        }
    }

    /// One operation of the disk, and what it leads to.
    pub(crate) fn step(&mut self) -> Result<Vec<Answer>, Failed> {
        self.depart();
        self.disk.perform_one();
        let store = self.store.as_mut().expect("a process runs");
        while let Some(completion) = self.seam.poll_completion() {
            store.handle_completion(self.now, completion);
        }
        store.handle_timeout(self.now);
        let mut answers = Vec::new();
        while let Some(event) = store.poll_event() {
            match event {
                StoreEvent::Answer { token, result } => answers.push((token, result)),
                StoreEvent::Damaged { text } => self.damages.push(text),
                StoreEvent::SideFileFailed { .. } | StoreEvent::Pressure { .. } | StoreEvent::Ballast { .. } => {}
                StoreEvent::Failed { .. } => return Err(Failed),
            }
        }
        Ok(answers)
    }

    /// Until nothing is left to do, side files included.
    pub(crate) fn drain(&mut self) -> Result<Vec<Answer>, Failed> {
        let mut answers = Vec::new();
        for _ in 0..100_000 {
            answers.extend(self.step()?);
            self.depart();
            if self.disk.pending_count() > 0 {
                continue;
            }
            if self.store.as_ref().is_some_and(|store| store.figures().unsealed_bytes == 0) {
                return Ok(answers);
            }
            // A side file that could not be written is tried again in a while.
            self.wait(Duration::from_secs(2));
        }
        panic!("the store does not come to rest");
    }

    /// Asks and waits.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Response, StoreError> {
        let token = self.submit(request);
        for _ in 0..100_000 {
            let answers = self.step().expect("the disk is well");
            if let Some((_, result)) = answers.into_iter().find(|(answered, _)| *answered == token) {
                return result;
            }
        }
        panic!("the store does not answer");
    }

    /// Does something to a file behind the back of the process.
    pub(crate) fn tamper(&mut self, operation: Operation) {
        let mut disk = self.disk.clone();
        disk.submit(OperationId(u64::MAX), operation);
        while self.disk.perform_one() {}
        let completion = disk.poll_completion().expect("it was performed");
        assert!(completion.result.is_ok(), "{completion:?}");
    }

    /// What is left of a segment.
    pub(crate) fn remnant(&self, segment: u32) -> Option<Vec<u8>> {
        (1..20).rev().find_map(|generation| self.disk.content(FileName::Remnant(SegmentNumber(segment), generation)))
    }

    pub(crate) fn index(&self, segment: u32) -> Option<Vec<u8>> {
        self.disk.content(FileName::Index(SegmentNumber(segment)))
    }

    /// Users with the handles `user-0` and on.
    pub(crate) fn make_users(&mut self, count: usize) -> Vec<UserId> {
        let make = |number| {
            let request = Request::EnsureUser { realm: Realm(1), handle: format!("user-{number}") };
            match self.ask(request) {
                Ok(Response::Users(rows)) => rows[0].id,
                other => panic!("{other:?}"),
            }
        };
        (0..count).map(make).collect()
    }
}

/// A message of a direct conversation, as a router writes it.
pub(crate) fn message(
    now: WallTime,
    (sender, peer): (UserId, UserId),
    seq: u64,
    random: u128,
    body: Vec<u8>,
) -> Arc<Entry> {
    disappearing(now, (sender, peer), seq, random, body, 0)
}

/// A message that is to disappear after a while; 0: never.
pub(crate) fn disappearing(
    now: WallTime,
    (sender, peer): (UserId, UserId),
    seq: u64,
    random: u128,
    body: Vec<u8>,
    expires_in_s: u32,
) -> Arc<Entry> {
    let conversation = ConversationId::direct(sender, peer);
    let key = EntryKey { conversation, seq: Seq(seq) };
    let message = Message {
        conversation,
        seq: key.seq,
        ordinal: Ordinal(seq),
        direct_peer: Some(peer),
        sender,
        sender_device: DeviceId(3),
        client_msg_id: ClientMsgId::new(now, random),
        server_time: now,
        content_type: "text/plain".to_owned(),
        encryption: Encryption::default(),
        body,
        reply_to: None,
        mentions: Vec::new(),
        expires_in_s,
    };
    let body = EntryBody::Message(FrameBuilder::default().message(&message));
    Arc::new(Entry { key, epoch: Epoch(1), ordinal: Ordinal(seq), body })
}

/// The row of a user's log that names an entry.
pub(crate) fn row(user: UserId, user_seq: u64, entry: &Entry, sender: UserId) -> Mutation {
    let events = vec![UserEvent::Entry { key: entry.key, sender }];
    Mutation::UserEvents { user, first_user_seq: UserSeq(user_seq), epoch: Epoch(1), events }
}
