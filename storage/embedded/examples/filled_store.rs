//! A large store on a real folder: `filled_store fill FOLDER MESSAGES USERS CONVERSATIONS` writes one, and
//! `filled_store start FOLDER` measures how long a start takes, how much memory it holds and how long reads wait.
//!
//! Every user has a device, every conversation is a direct one, every message has 300 bytes and a row in the log of both
//! users, as a router writes them; now and then a device says how far it is and what was read. `fill` ends without
//! sealing anything, as a killed process does; kill it for the real thing.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use protocol::encode;
use protocol::event::Message;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal, Realm, Seq, UserId, UserSeq};
use protocol::time::{Now, WallTime};
use protocol::wire::Encryption;
use storage_api::{Entry, EntryBody, EntryKey, Identity, Mutation, Request, Response, StoreToken, UserEvent};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, Opening, StoreEvent};
use storage_log::{Disk, LogId, LogIdentity, Monotonic, Options, RealDisk, StoreIncarnation};

/// Messages of one turn of a busy router.
const BATCH: u64 = 256;
/// Messages of which a device says at once that it has them and that they were read.
const MESSAGES_PER_CURSOR: u64 = 4;
/// Turns that may wait for the disk.
const BATCHES_IN_FLIGHT_MAX: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["fill", folder, messages, users, conversations] => {
            let number = |text: &str| text.parse().expect("MESSAGES, USERS and CONVERSATIONS are numbers");
            fill(Path::new(folder), number(messages), number(users), number(conversations));
        }
        ["start", folder] => start(Path::new(folder)),
        _ => panic!("filled_store fill FOLDER MESSAGES USERS CONVERSATIONS | filled_store start FOLDER"),
    }
}

/// A store in a folder, and the sign that its disk has something to say.
struct Folder {
    disk: RealDisk,
    woken: Receiver<()>,
    started: Instant,
}

impl Folder {
    fn new(path: &Path) -> Folder {
        let (wake, woken) = sync_channel(1);
        let notify = move || {
            // A full channel has a wake-up in it already.
            let _is_awake = wake.try_send(());
        };
        Folder { disk: RealDisk::open(path, notify).expect("the folder can be used"), woken, started: Instant::now() }
    }

    fn now(&self) -> Now {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
        let monotonic = protocol::time::Instant(self.started.elapsed().as_nanos() as u64);
        Now { monotonic, wall: WallTime(since_1970.as_millis() as u64) }
    }

    /// The open store, and how many records were read for it.
    fn open(&mut self) -> (EmbeddedStore, u64) {
        let identity = LogIdentity { log_id: LogId(*b"filled_store log"), incarnation: StoreIncarnation(1) };
        let mut opening = Opening::new(EmbeddedOptions::new(Options::new(identity)));
        while !opening.is_done() {
            while let Some((id, operation)) = opening.poll_operation() {
                self.disk.submit(id, operation);
            }
            match self.disk.poll_completion() {
                Some(completion) => opening.handle_completion(completion).expect("the store can be opened"),
                None => self.woken.recv().expect("the disk lives"),
            }
        }
        let records_read = opening.progress().records_read;
        (opening.finish(Monotonic(self.started.elapsed())), records_read)
    }

    /// Waits for something to happen, and answers what did. Panics at trouble.
    fn turn(&mut self, store: &mut EmbeddedStore) -> Vec<(StoreToken, Response)> {
        while let Some((id, operation)) = store.poll_operation() {
            self.disk.submit(id, operation);
        }
        let answers = take_answers(store);
        if !answers.is_empty() {
            return answers;
        }
        let _is_woken = self.woken.recv_timeout(Duration::from_millis(10));
        let now = self.now();
        while let Some(completion) = self.disk.poll_completion() {
            store.handle_completion(now, completion);
        }
        store.handle_timeout(now);
        take_answers(store)
    }

    /// Asks and waits.
    fn ask(&mut self, store: &mut EmbeddedStore, request: Request) -> Response {
        store.handle_request(self.now(), StoreToken(u64::MAX), request);
        loop {
            if let Some((_, response)) = self.turn(store).into_iter().find(|(token, _)| token.0 == u64::MAX) {
                return response;
            }
        }
    }
}

fn take_answers(store: &mut EmbeddedStore) -> Vec<(StoreToken, Response)> {
    let mut answers = Vec::new();
    while let Some(event) = store.poll_event() {
        match event {
            StoreEvent::Answer { token, result } => answers.push((token, result.expect("nothing fails"))),
            StoreEvent::Pressure { text, .. } => say(&text),
            StoreEvent::Ballast { .. } => {}
            event => panic!("{event:?}"),
        }
    }
    answers
}

/// The splitmix64 sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The part of a user id below the realm.
const USER_NUMBER_MASK: u64 = (1 << 48) - 1;

fn user(number: u64) -> UserId {
    UserId::new(Realm(1), number + 1)
}

/// Who talks in the conversation with this number.
fn pair(number: u64, users: u64) -> (UserId, UserId) {
    let one = number % users;
    (user(one), user((one + 1 + number / users) % users))
}

fn fill(path: &Path, messages: u64, users: u64, conversations: u64) {
    let mut folder = Folder::new(path);
    let (mut store, _) = folder.open();
    let ensure = |number| Request::EnsureUser { realm: Realm(1), handle: format!("user-{number}") };
    make(&mut folder, &mut store, users, ensure);
    let registered_at = folder.now().wall;
    let register = |number: u64| Request::RegisterDevice {
        user: user(number),
        install_id: ClientMsgId::new(registered_at, number.into()),
        name: "phone".to_owned(),
        registered_at,
        devices_max: 1,
    };
    make(&mut folder, &mut store, users, register);
    let mut writer = Writer {
        builder: encode::FrameBuilder::default(),
        random: Random(7),
        users,
        ids: (0..conversations)
            .map(|number| {
                let (one, other) = pair(number, users);
                ConversationId::direct(one, other)
            })
            .collect(),
        seqs: vec![0; conversations as usize],
        user_seqs: vec![0; users as usize],
    };
    let started = Instant::now();
    let mut in_flight: VecDeque<StoreToken> = VecDeque::new();
    let mut written = 0;
    while written < messages || !in_flight.is_empty() {
        while written < messages && in_flight.len() < BATCHES_IN_FLIGHT_MAX {
            let now = folder.now();
            let mutations = (0..BATCH).flat_map(|_| writer.message(now.wall)).collect();
            written += BATCH;
            let token = StoreToken(written);
            store.handle_request(now, token, Request::Write(mutations));
            in_flight.push_back(token);
        }
        for (token, _) in folder.turn(&mut store) {
            assert_eq!(in_flight.pop_front(), Some(token), "writes are answered in order");
        }
        if written.is_multiple_of(BATCH * 4000) && in_flight.len() == BATCHES_IN_FLIGHT_MAX {
            say(&format!("{written} messages; {:?}", store.figures()));
        }
    }
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    say(&format!("{messages} messages, {rate:.0} a second; {:?}; resident {} MiB", store.figures(), resident_mib()));
}

/// So many things, each by a request.
fn make(folder: &mut Folder, store: &mut EmbeddedStore, count: u64, request: impl Fn(u64) -> Request) {
    for number in 0..count {
        store.handle_request(folder.now(), StoreToken(number), request(number));
    }
    let mut made = 0;
    while made < count {
        made += folder.turn(store).len() as u64;
    }
}

struct Writer {
    builder: encode::FrameBuilder,
    random: Random,
    users: u64,
    ids: Vec<ConversationId>,
    seqs: Vec<u64>,
    user_seqs: Vec<u64>,
}

impl Writer {
    /// An entry, and a row for each of the two users; sometimes the cursors of the one to whom it was sent.
    fn message(&mut self, now: WallTime) -> Vec<Mutation> {
        let number = self.random.below(self.ids.len() as u64);
        let conversation = self.ids[number as usize];
        let (sender, peer) = pair(number, self.users);
        self.seqs[number as usize] += 1;
        let (seq, ordinal) = (Seq(self.seqs[number as usize]), Ordinal(self.seqs[number as usize]));
        let message = Message {
            conversation,
            seq,
            ordinal,
            direct_peer: Some(peer),
            sender,
            sender_device: DeviceId(0),
            client_msg_id: ClientMsgId::new(now, self.random.next().into()),
            server_time: now,
            content_type: "text/plain".to_owned(),
            encryption: Encryption::default(),
            body: vec![b'x'; 140],
            reply_to: None,
            mentions: Vec::new(),
            expires_in_s: 0,
        };
        let key = EntryKey { conversation, seq };
        let body = EntryBody::Message(self.builder.message(&message));
        let entry = Mutation::Entry(Arc::new(Entry { key, epoch: protocol::ids::Epoch(1), ordinal, body }));
        let mut mutations = vec![entry];
        for user in [sender, peer] {
            let head = &mut self.user_seqs[(user.0 & USER_NUMBER_MASK) as usize - 1];
            *head += 1;
            let (first_user_seq, epoch) = (UserSeq(*head), protocol::ids::Epoch(1));
            let events = vec![UserEvent::Entry { key, sender }];
            mutations.push(Mutation::UserEvents { user, first_user_seq, epoch, events });
        }
        if seq.0.is_multiple_of(MESSAGES_PER_CURSOR) {
            let number = peer.0 & USER_NUMBER_MASK;
            let (device, user_seq) = (DeviceId(number), UserSeq(self.user_seqs[number as usize - 1]));
            mutations.push(Mutation::DeviceCursor { user: peer, device, user_seq });
            mutations.push(Mutation::ReadCursor { user: peer, conversation, seq, ordinal });
        }
        mutations
    }
}

fn start(path: &Path) {
    let mut folder = Folder::new(path);
    let (mut store, records_read) = folder.open();
    let (opened_in, cpu) = (folder.started.elapsed(), cpu_time());
    // What a router asks when it starts. Nothing is answered before the epoch of this process is durable.
    for request in [Request::ListUnfanned, Request::ListLeaving] {
        folder.ask(&mut store, request);
    }
    let figures = store.figures();
    say(&format!(
        "ready in {:?} (opened in {opened_in:?} with {cpu:?} of CPU, {records_read} records read); {figures:?}; resident {} \
         MiB",
        folder.started.elapsed(),
        resident_mib()
    ));
    measure_reads(&mut folder, &mut store, figures.users, figures.conversations);
}

/// How long one reader waits for a page of history, a page of a user's log, and an identity.
fn measure_reads(folder: &mut Folder, store: &mut EmbeddedStore, users: u64, conversations: u64) {
    let mut random = Random(11);
    let [mut histories, mut logs, mut identities, mut loads] = [const { Vec::new() }; 4];
    for _ in 0..500 {
        let number = random.below(conversations);
        let (one, other) = pair(number, users);
        let conversation = ConversationId::direct(one, other);
        let to = Seq(1 + random.below(40));
        let request = Request::ReadEntries {
            conversation,
            from: Seq(1),
            to,
            newest_first: true,
            count_max: 20,
            bytes_max: 1 << 20,
        };
        let asked = Instant::now();
        let Response::Entries(entries) = folder.ask(store, request) else { panic!("entries were asked for") };
        histories.push(asked.elapsed());
        let asked = Instant::now();
        let request = Request::LoadUser(one);
        let Response::User(Some(state)) = folder.ask(store, request) else { panic!("a user was asked for") };
        loads.push(asked.elapsed());
        let after = UserSeq(random.below(state.head.0));
        let asked = Instant::now();
        let request = Request::ReadUserLog { user: one, after, count_max: 64, bytes_max: 1 << 20 };
        let Response::UserLog(events) = folder.ask(store, request) else { panic!("events were asked for") };
        logs.push(asked.elapsed());
        let expected = (state.head.0 - after.0).min(64);
        assert_eq!(events.len() as u64, expected, "a log has no gap: {after:?} {:?}", state.head);
        assert!(events.iter().all(|event| event.entry.is_some()), "every entry is there");
        if let Some(entry) = entries.first() {
            let identity: Identity = entry.identity().expect("it is a message");
            let asked = Instant::now();
            let found = folder.ask(store, Request::FindIdentity { conversation, identity });
            identities.push(asked.elapsed());
            assert_eq!(found, Response::Found(Some(entry.clone())));
        }
    }
    for (name, mut times) in
        [("20 entries", histories), ("user", loads), ("64 events with entries", logs), ("identity", identities)]
    {
        times.sort_unstable();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        say(&format!("{name}: p50 {p50:?} p99 {p99:?} max {:?}", times[times.len() - 1]));
    }
}

/// Of this process, as the system counts it; 0 where it does not say.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) >> 10
}

/// What all threads of this process have had of the processors, to 10 ms; 0 where the system does not say.
fn cpu_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = statistics.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("standard output is open");
}
