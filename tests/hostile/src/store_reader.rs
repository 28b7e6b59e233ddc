//! Target `store_reader`: a store is opened from the files of a good one, to which something was done.
//!
//! Damage: bytes that have changed, side files that are short or gone. What the store says after it is what it would have
//! said, or that something is damaged; it never says anything else. Forgery: the checksums of what was changed are put
//! right, or a file is another one's. Then it may say anything, but it lives.

mod tamper;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use protocol::encode::FrameBuilder;
use protocol::event::Message;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Seq, UserId, UserSeq};
use protocol::time::{Now, WallTime};
use protocol::wire::Encryption;
use storage_api::{
    Entry, EntryBody, EntryKey, Identity, Mutation, Request, Response, StoreError, StoreToken, UserEvent,
};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, StoreEvent};
use storage_log::{FileName, LogId, LogIdentity, Options, SegmentNumber, SimDisk, StoreIncarnation, limits};

use crate::backend::{self, HANDLES, REALM};
use crate::input::Input;
use crate::machine;
use crate::seed::Seed;
use crate::server::START;

/// Enough for several full segments with their side files, and for snapshots.
const ENTRIES_COUNT: u64 = 90;
const BODY_BYTES: usize = 600;
const DISK_BYTES: u64 = 1 << 26;
/// The files of a store are counted up to here.
const SEGMENTS_MAX: u32 = 64;

type Answers = Vec<Result<Response, StoreError>>;

/// A store that has come to rest: its files, and what it says.
struct Good {
    files: Vec<(FileName, Vec<u8>)>,
    answers: Answers,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let disk = SimDisk::new(1, DISK_BYTES);
    write(&disk);
    let mut store = machine::open(START, &disk, options()).expect("what was written can be read");
    let answers = ask_all(&mut store, &disk);
    assert!(answers.iter().all(Result::is_ok), "nothing is damaged");
    drop(store);
    let names = (1..=SEGMENTS_MAX)
        .map(SegmentNumber)
        .flat_map(|number| [FileName::Segment(number), FileName::Index(number), FileName::Prepared(number)]);
    let files: Vec<_> = names.filter_map(|file| Some((file, disk.content(file)?))).collect();
    let indexes_count = files.iter().filter(|(file, _)| matches!(file, FileName::Index(_))).count();
    assert!(indexes_count >= 3, "{indexes_count} side files are too few to be worth it");
    Good { files, answers }
});

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut files = GOOD.files.clone();
    let is_forged = tamper::with(&mut files, &mut input);
    let disk = SimDisk::new(2, DISK_BYTES);
    tamper::put(&disk, files);
    let Ok(mut store) = machine::open(START, &disk, options()) else { return };
    let answers = ask_all(&mut store, &disk);
    if is_forged {
        return;
    }
    for (answer, expected) in answers.iter().zip(&GOOD.answers) {
        assert!(answer == expected || *answer == Err(StoreError::Corrupt), "{answer:?} instead of {expected:?}");
    }
}

fn options() -> EmbeddedOptions {
    let new_log = LogIdentity { log_id: LogId(*b"a log to tamper."), incarnation: StoreIncarnation(1) };
    let log = Options { segment_bytes: limits::SEGMENT_BYTES_MIN, disk_low_bytes: 0, ballast_bytes: 0, new_log };
    EmbeddedOptions { recent_bytes_max: 1, snapshot_every_bytes: 24 << 10, ..EmbeddedOptions::new(log) }
}

/// Alice and bob talk; everything is in the logs of both, and proved.
fn write(disk: &SimDisk) {
    let mut store = machine::open(START, disk, options()).expect("the folder is empty");
    for handle in HANDLES {
        let made = ask(&mut store, disk, Request::EnsureUser { realm: REALM, handle: handle.to_owned() });
        made.expect("the disk is well");
    }
    let (alice, bob) = (backend::user(0), backend::user(1));
    for seq in 1..=ENTRIES_COUNT {
        let entry = entry(seq);
        let events = vec![UserEvent::Entry { key: entry.key, sender: alice }];
        let in_log =
            |user| Mutation::UserEvents { user, first_user_seq: UserSeq(seq), epoch: Epoch(1), events: events.clone() };
        let mutations = vec![in_log(alice), in_log(bob), Mutation::Entry(entry)];
        ask(&mut store, disk, Request::Write(mutations)).expect("the disk is well");
    }
    let mut now = START;
    while !store.is_settled() || store.figures().unsealed_bytes > 0 {
        now = Now { monotonic: now.monotonic + Duration::from_secs(1), ..now };
        store.seal();
        store.handle_timeout(now);
        machine::perform(now, &mut store, disk);
    }
}

fn entry(seq: u64) -> Arc<Entry> {
    let (alice, bob) = (backend::user(0), backend::user(1));
    let conversation = ConversationId::direct(alice, bob);
    let message = FrameBuilder::default().message(&Message {
        conversation,
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        direct_peer: Some(bob),
        sender: alice,
        sender_device: DeviceId(1),
        client_msg_id: client_id(seq),
        server_time: START.wall,
        content_type: "text/plain".to_owned(),
        encryption: Encryption::None,
        body: vec![seq as u8; BODY_BYTES],
        reply_to: None,
        mentions: Vec::new(),
        expires_in_s: 0,
    });
    let key = EntryKey { conversation, seq: Seq(seq) };
    Arc::new(Entry { key, epoch: Epoch(1), ordinal: Ordinal(seq), body: EntryBody::Message(message) })
}

fn client_id(number: u64) -> ClientMsgId {
    ClientMsgId::new(WallTime(START.wall.0 - 1), u128::from(number))
}

fn questions() -> Vec<Request> {
    let (alice, bob) = (backend::user(0), backend::user(1));
    let conversation = ConversationId::direct(alice, bob);
    let entries = |from, to, newest_first| Request::ReadEntries {
        conversation,
        from: Seq(from),
        to: Seq(to),
        newest_first,
        count_max: 8,
        bytes_max: usize::MAX,
    };
    let log =
        |user: UserId, after| Request::ReadUserLog { user, after: UserSeq(after), count_max: 8, bytes_max: 60_000 };
    let find = |number| Request::FindIdentity {
        conversation,
        identity: Identity { sender: alice, device: DeviceId(1), client_id: client_id(number) },
    };
    vec![
        Request::LoadConversation(conversation),
        Request::LoadUser(alice),
        Request::LoadUser(UserId(7)),
        entries(1, ENTRIES_COUNT, false),
        entries(1, ENTRIES_COUNT, true),
        entries(30, 60, false),
        log(alice, 0),
        log(bob, 40),
        log(bob, ENTRIES_COUNT - 2),
        find(1),
        find(45),
        find(ENTRIES_COUNT),
        find(ENTRIES_COUNT + 1),
        Request::LookupUsers { realm: REALM, handles: vec!["bob".to_owned()], ids: vec![alice] },
        Request::ListUnfanned,
    ]
}

fn ask_all(store: &mut EmbeddedStore, disk: &SimDisk) -> Answers {
    questions().into_iter().map(|question| ask(store, disk, question)).collect()
}

fn ask(store: &mut EmbeddedStore, disk: &SimDisk, request: Request) -> Result<Response, StoreError> {
    store.handle_request(START, StoreToken(1), request);
    machine::perform(START, store, disk);
    let mut answers = std::iter::from_fn(|| store.poll_event()).filter_map(|event| match event {
        StoreEvent::Answer { result, .. } => Some(result),
        StoreEvent::Failed { error, .. } => panic!("the disk has not failed: {error}"),
        StoreEvent::SideFileFailed { .. }
        | StoreEvent::Damaged { .. }
        | StoreEvent::Ballast { .. }
        | StoreEvent::Pressure { .. } => None,
    });
    answers.next().expect("every request is answered")
}

/// One of each kind of damage and forgery, in a segment and in a side file.
pub fn seeds() -> Vec<Seed> {
    tamper::seeds()
}
