//! What has had its time goes, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use protocol::ids::{ConversationId, Seq, UserId, UserSeq};
use storage_api::{Entry, EntryBody, EntryKey, Erasure, Mutation, Request, Response, StoreError};
use storage_embedded::{IndexFault, OpenError};
use storage_log::{FileName, SegmentNumber};

use crate::machine::{Machine, disappearing, row};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MARKER: &[u8] = b"what nobody shall find on the disk";

struct Talk {
    machine: Machine,
    pair: (UserId, UserId),
    entries: Vec<Arc<Entry>>,
}

impl Talk {
    fn new(seed: u64) -> Talk {
        let mut machine = Machine::new(seed);
        let users = machine.make_users(2);
        Talk { machine, pair: (users[0], users[1]), entries: Vec::new() }
    }

    fn make_user(&mut self, handle: &str) -> UserId {
        let realm = self.pair.0.realm();
        match self.machine.ask(Request::EnsureUser { realm, handle: handle.to_owned() }) {
            Ok(Response::Users(rows)) => rows[0].id,
            other => panic!("{other:?}"),
        }
    }

    fn say(&mut self, body: &[u8], expires_in_s: u32) {
        let seq = self.entries.len() as u64 + 1;
        let (now, pair) = (self.machine.now.wall, self.pair);
        let entry = disappearing(now, pair, seq, seq.into(), body.to_vec(), expires_in_s);
        let rows =
            vec![Mutation::Entry(entry.clone()), row(pair.0, seq, &entry, pair.0), row(pair.1, seq, &entry, pair.0)];
        assert_eq!(self.machine.ask(Request::Write(rows)), Ok(Response::Written));
        self.entries.push(entry);
    }

    /// Enough for several segments and a snapshot that two indexes name.
    fn say_much(&mut self) {
        (0..200).for_each(|_| self.say(&[b'x'; 150], 0));
    }

    /// Time goes by, and nobody says anything. The process may be another one every day.
    fn be_quiet(&mut self, days: u32, restarts: bool) {
        for _ in 0..days * 4 {
            self.machine.wait(DAY / 4);
            self.machine.drain().expect("the disk is well");
            if restarts {
                self.restart();
            }
        }
    }

    /// Until everything that is due has been condensed.
    fn rest(&mut self) {
        for _ in 0..3 {
            self.machine.wait(Duration::from_secs(61));
            self.machine.drain().expect("the disk is well");
        }
    }

    fn read_all(&mut self) -> Vec<Arc<Entry>> {
        let request = Request::ReadEntries {
            conversation: ConversationId::direct(self.pair.0, self.pair.1),
            from: Seq(1),
            to: Seq(u64::MAX),
            newest_first: false,
            count_max: 10_000,
            bytes_max: usize::MAX,
        };
        match self.machine.ask(request) {
            Ok(Response::Entries(entries)) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn read_log(&mut self, after: UserSeq) -> Result<Response, StoreError> {
        self.machine.ask(Request::ReadUserLog { user: self.pair.0, after, count_max: 10, bytes_max: 1 << 20 })
    }

    fn restart(&mut self) {
        self.machine.crash(true);
        self.machine.start();
    }
}

/// Whether any file of the disk has these bytes in it.
fn disk_has(machine: &Machine, bytes: &[u8]) -> bool {
    let numbers = (1..200).map(SegmentNumber);
    let files = numbers.flat_map(|number| {
        let generations = (1..10).map(move |generation| FileName::Remnant(number, generation));
        [FileName::Segment(number), FileName::Index(number)].into_iter().chain(generations)
    });
    files
        .filter_map(|file| machine.disk.content(file))
        .any(|content| content.windows(bytes.len()).any(|at| at == bytes))
}

#[test]
fn rows_of_users_logs_go_after_thirty_days_and_messages_stay() {
    let mut talk = Talk::new(1);
    talk.say_much();
    let before = talk.machine.disk.used_bytes();
    talk.machine.wait(DAY * 29);
    talk.say_much();
    talk.rest();
    assert!(talk.machine.remnant(1).is_none() || talk.read_log(UserSeq(0)).is_ok(), "nothing goes before its time");
    talk.machine.wait(DAY * 2);
    talk.rest();
    assert!(talk.machine.remnant(1).is_some());
    assert!(talk.machine.disk.content(FileName::Segment(SegmentNumber(1))).is_none(), "the segment is gone");
    assert!(talk.machine.disk.used_bytes() < 2 * before);
    for _ in 0..2 {
        let expected = talk.entries.clone();
        assert_eq!(talk.read_all(), expected);
        assert_eq!(talk.read_log(UserSeq(0)), Err(StoreError::Expired));
        assert!(talk.read_log(UserSeq(200)).is_ok(), "what is younger is there");
        let Ok(Response::User(Some(state))) = talk.machine.ask(Request::LoadUser(talk.pair.0)) else { panic!() };
        assert!(state.log_start > UserSeq(100) && state.log_start <= UserSeq(201), "{:?}", state.log_start);
        assert!(talk.read_log(UserSeq(state.log_start.0 - 1)).is_ok());
        talk.restart();
    }
}

#[test]
fn a_disappearing_message_is_void_at_once_and_later_not_on_the_disk() {
    let mut talk = Talk::new(2);
    talk.say(MARKER, 24 * 60 * 60);
    talk.say_much();
    assert_eq!(talk.read_all(), talk.entries);
    talk.machine.wait(DAY);
    let first = talk.read_all().remove(0);
    assert_eq!((first.key.seq, &first.body), (Seq(1), &EntryBody::Void));
    let Ok(Response::UserLog(events)) = talk.read_log(UserSeq(0)) else { panic!("the log is there") };
    assert_eq!(events[0].entry, None);
    // A retry of it still finds it.
    let identity = talk.entries[0].identity().expect("it is a message");
    let request = Request::FindIdentity { conversation: first.key.conversation, identity };
    assert_eq!(talk.machine.ask(request), Ok(Response::Found(Some(talk.entries[0].clone()))));
    assert!(disk_has(&talk.machine, MARKER));
    talk.machine.wait(DAY * 8);
    talk.say_much();
    talk.rest();
    assert!(!disk_has(&talk.machine, MARKER));
    talk.restart();
    assert_eq!(talk.read_all()[1..], talk.entries[1..]);
    assert!(!disk_has(&talk.machine, MARKER));
}

#[test]
fn an_erased_message_is_void_at_once_and_later_not_on_the_disk() {
    let mut talk = Talk::new(4);
    talk.say(MARKER, 0);
    talk.say_much();
    let key = talk.entries[0].key;
    assert_eq!(talk.machine.ask(Request::EraseEntry(key)), Ok(Response::Erased(Erasure::Done)));
    for _ in 0..2 {
        let found = talk.read_all();
        assert_eq!((found[0].key, &found[0].body), (key, &EntryBody::Void));
        assert_eq!(found[1..], talk.entries[1..]);
        let Ok(Response::UserLog(events)) = talk.read_log(UserSeq(0)) else { panic!("the log is there") };
        assert_eq!(events[0].entry, None);
        talk.restart();
    }
    // Also through a snapshot, and until then a retry finds its place.
    talk.say_much();
    talk.rest();
    let identity = talk.entries[0].identity().expect("it is a message");
    let request = Request::FindIdentity { conversation: key.conversation, identity };
    assert_eq!(talk.machine.ask(request), Ok(Response::Found(Some(talk.entries[0].clone()))));
    assert!(disk_has(&talk.machine, MARKER));
    talk.machine.wait(DAY * 9);
    talk.rest();
    assert!(!disk_has(&talk.machine, MARKER), "its bytes are gone well within 30 days");
    talk.restart();
    let found = talk.read_all();
    assert_eq!((found[0].key, &found[0].body), (key, &EntryBody::Void));
    assert_eq!(found[1..], talk.entries[1..]);
    let nothing = EntryKey { seq: Seq(10_000), ..key };
    assert_eq!(talk.machine.ask(Request::EraseEntry(nothing)), Ok(Response::Erased(Erasure::NotThere)));
}

/// The one who speaks in `talk` is erased, in steps that a kill may come between.
#[test]
fn an_erased_user_is_gone_at_once_and_later_not_on_the_disk() {
    let mut talk = Talk::new(5);
    let (erased, peer) = talk.pair;
    let conversation = ConversationId::direct(erased, peer);
    talk.say(MARKER, 0);
    talk.say_much();
    assert!(disk_has(&talk.machine, b"user-0"));
    for _ in 0..2 {
        let leaving = talk.machine.ask(Request::EraseUser(erased));
        assert_eq!(leaving, Ok(Response::Leaving(Some(vec![conversation]))));
        assert!(talk.read_all().iter().all(|entry| entry.body == EntryBody::Void));
        assert_eq!(talk.machine.ask(Request::LoadUser(erased)), Ok(Response::User(None)));
        let Ok(Response::Users(rows)) = talk.machine.ask(Request::ListLeaving) else { panic!("there is a list") };
        assert!(rows.iter().map(|row| row.id).eq([erased]));
        assert_eq!(talk.machine.ask(Request::ListUnfanned), Ok(Response::Conversations(vec![])));
        talk.restart();
    }
    assert_eq!(talk.machine.ask(Request::ForgetUser(erased)), Ok(Response::Written));
    assert_eq!(talk.machine.ask(Request::EraseUser(erased)), Ok(Response::Leaving(Some(vec![]))));
    let nobody = UserId(1 << 48 | 77);
    assert_eq!(talk.machine.ask(Request::EraseUser(nobody)), Ok(Response::Leaving(None)));
    // Somebody else goes on, which brings snapshots; a day later the sweep begins, and the process dies amid it.
    let carol = talk.make_user("carol");
    talk.pair = (peer, carol);
    talk.entries.clear();
    talk.say_much();
    talk.machine.wait(DAY * 2);
    for _ in 0..40 {
        talk.machine.step().expect("the disk is well");
    }
    talk.restart();
    talk.rest();
    for what in [MARKER, b"user-0"] {
        assert!(!disk_has(&talk.machine, what));
    }
    talk.restart();
    assert!(talk.read_all() == talk.entries);
    // The name may be given again, to somebody else.
    assert_ne!(talk.make_user("user-0"), erased);
}

#[test]
fn in_a_quiet_store_too_what_is_erased_leaves_the_disk_in_time() {
    for restarts in [false, true] {
        let mut talk = Talk::new(6);
        let carol = talk.make_user("carol");
        talk.say(MARKER, 0);
        talk.say(b"stays", 0);
        let key = talk.entries[0].key;
        assert_eq!(talk.machine.ask(Request::EraseEntry(key)), Ok(Response::Erased(Erasure::Done)));
        assert_eq!(talk.machine.ask(Request::EraseUser(carol)), Ok(Response::Leaving(Some(vec![]))));
        assert_eq!(talk.machine.ask(Request::ForgetUser(carol)), Ok(Response::Written));
        talk.be_quiet(6, restarts);
        assert!(!disk_has(&talk.machine, b"carol"));
        assert!(disk_has(&talk.machine, MARKER), "a retry may ask for it");
        talk.be_quiet(6, restarts);
        assert!(!disk_has(&talk.machine, MARKER));
        assert!(talk.read_log(UserSeq(0)).is_ok());
        talk.be_quiet(20, restarts);
        assert_eq!(talk.read_log(UserSeq(0)), Err(StoreError::Expired));
        let found = talk.read_all();
        assert_eq!((found[0].key, &found[0].body), (key, &EntryBody::Void));
        assert_eq!(found[1..], talk.entries[1..]);
    }
}

#[test]
fn a_silent_store_comes_to_rest() {
    let mut talk = Talk::new(7);
    talk.say(b"hello", 0);
    talk.be_quiet(5, false);
    let segments = |talk: &Talk| talk.machine.store.as_ref().expect("a process runs").figures().segments;
    let at_rest = segments(&talk);
    assert!((3..=5).contains(&at_rest), "{at_rest} segments");
    talk.be_quiet(20, false);
    assert_eq!(segments(&talk), at_rest);
    talk.say(b"are you there", 0);
    talk.be_quiet(2, false);
    assert!(segments(&talk) > at_rest);
}

#[test]
fn a_remnant_that_is_damaged_is_refused_by_name() {
    let mut talk = Talk::new(3);
    talk.say_much();
    talk.machine.wait(DAY * 31);
    talk.say_much();
    talk.rest();
    talk.machine.crash(false);
    let generations = (1..9).map(|generation| FileName::Remnant(SegmentNumber(1), generation));
    let file = generations.rev().find(|file| talk.machine.disk.content(*file).is_some()).expect("it is a remnant");
    talk.machine.disk.flip_bit(file, 100, 0);
    let refused = talk.machine.try_start(u64::MAX).expect_err("a header is verified");
    assert_eq!(refused, OpenError::Index { file, fault: IndexFault::Damaged });
}
