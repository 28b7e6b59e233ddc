//! What an operator does, on a real folder.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::ids::{ConversationId, Seq, UserId};
use storage_api::{Entry, Request, Response};
use storage_embedded::{ToolError, backup, check, restore, stat};
use storage_log::{Class, FolderError, SegmentNumber, StoreIncarnation};

use crate::process::{Process, TemporaryFolder};

fn read_all(process: &mut Process, pair: (UserId, UserId)) -> Vec<Arc<Entry>> {
    let request = Request::ReadEntries {
        conversation: ConversationId::direct(pair.0, pair.1),
        from: Seq(1),
        to: Seq(u64::MAX),
        newest_first: false,
        count_max: 100_000,
        bytes_max: usize::MAX,
    };
    match process.ask(request) {
        Response::Entries(entries) => entries,
        other => panic!("{other:?}"),
    }
}

/// A store at rest in `folder/log`.
fn filled(folder: &Path, count: u64) -> (UserId, UserId) {
    let mut process = Process::start(&folder.join("log"));
    let pair = process.make_users();
    (1..=count).for_each(|seq| drop(process.say(pair, seq)));
    process.settle();
    pair
}

fn flip_bit(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("the file is so long");
    file.write_all_at(&[byte[0] ^ 1], offset).expect("the file can be written");
}

#[test]
fn a_backup_of_a_running_store_is_a_store_as_it_was() {
    let folder = TemporaryFolder::new("backup");
    let mut process = Process::start(&folder.join("log"));
    let pair = process.make_users();
    let mut entries = Vec::new();
    for round in 0..6_u64 {
        let known = entries.len();
        let target = folder.join(&format!("backup-{round}"));
        let log = folder.join("log");
        // A thread of its own takes the backup while messages are written.
        let taking = std::thread::spawn(move || backup(&log, &target).expect("a backup can be taken"));
        while !taking.is_finished() || entries.len() < known + 16 {
            entries.push(process.say(pair, entries.len() as u64 + 1));
        }
        let taken = taking.join().expect("nothing panics");
        assert!(round < 5 || taken.linked > 0, "{taken:?}");
        let restored = folder.join(&format!("restored-{round}"));
        restore(&folder.join(&format!("backup-{round}")), &restored, StoreIncarnation(100 + round))
            .expect("a backup can be restored");
        check(&restored).expect("what was restored is whole");
        let mut second = Process::start(&restored);
        assert_eq!(second.store.traits().incarnation.0, 100 + round);
        let found = read_all(&mut second, pair);
        assert!(found.len() >= known, "{} of {known} durable messages", found.len());
        assert_eq!(found, entries[..found.len()], "a backup is a prefix");
        // It is a store of its own: what it writes does not reach the first one.
        second.say(pair, found.len() as u64 + 1);
    }
    assert_eq!(read_all(&mut process, pair), entries);
}

#[test]
fn a_restored_store_has_its_new_incarnation_after_every_start() {
    let folder = TemporaryFolder::new("restore");
    let pair = filled(&folder.0, 30);
    backup(&folder.join("log"), &folder.join("backup")).expect("a backup can be taken");
    restore(&folder.join("backup"), &folder.join("again"), StoreIncarnation(77)).expect("it can be restored");
    for _ in 0..2 {
        let mut process = Process::start(&folder.join("again"));
        assert_eq!(process.store.traits().incarnation.0, 77);
        assert_eq!(read_all(&mut process, pair).len(), 30);
    }
    let refused = restore(&folder.join("backup"), &folder.join("again"), StoreIncarnation(78));
    assert!(matches!(refused, Err(ToolError::NotEmpty(_))), "{refused:?}");
    let refused = backup(&folder.join("log"), &folder.join("backup"));
    assert!(matches!(refused, Err(ToolError::NotEmpty(_))), "{refused:?}");
}

#[test]
fn a_check_reads_everything_and_removes_an_index_that_lies() {
    let folder = TemporaryFolder::new("check");
    filled(&folder.0, 80);
    let log = folder.join("log");
    let report = check(&log).expect("all is well");
    assert!(report.indexes_whole >= 2 && report.indexes_removed.is_empty() && report.snapshots > 0, "{report:?}");
    // In a page of a table: a start does not see that.
    flip_bit(&log.join("00000001.idx"), 4096 + 20);
    let report = check(&log).expect("an index can be made again");
    assert_eq!(report.indexes_removed, [SegmentNumber(1)]);
    Process::start(&log).settle();
    let again = check(&log).expect("all is well");
    assert_eq!(again.indexes_whole, report.indexes_whole + 1);
    flip_bit(&log.join("00000002.seg"), 4200);
    let refused = check(&log);
    assert!(matches!(refused, Err(ToolError::Store(_))), "{refused:?}");
}

#[test]
fn a_store_in_use_is_not_checked_and_one_that_is_missing_is_named() {
    let folder = TemporaryFolder::new("in-use");
    let process = Process::start(&folder.join("log"));
    let refused = check(&folder.join("log"));
    assert!(matches!(refused, Err(ToolError::Folder(FolderError::InUse { .. }))), "{refused:?}");
    drop(process);
    for refused in [stat(&folder.join("nothing")).err(), backup(&folder.join("nothing"), &folder.join("b")).err()] {
        assert!(matches!(refused, Some(ToolError::NoStore(_))), "{refused:?}");
    }
}

#[test]
fn a_stat_of_a_running_store_counts_what_is_indexed() {
    let folder = TemporaryFolder::new("stat");
    let mut process = Process::start(&folder.join("log"));
    let pair = process.make_users();
    (1..=100).for_each(|seq| drop(process.say(pair, seq)));
    process.settle();
    let stat = stat(&folder.join("log")).expect("the store can be read");
    assert!(stat.indexed_segments >= 3 && stat.segments > stat.indexed_segments, "{stat:?}");
    assert_eq!((stat.users, stat.conversations, stat.needs_check), (2, 1, false));
    assert_eq!((stat.entries, stat.user_events), (100, 200));
    let records = |class| stat.classes.iter().find(|figures| figures.class == class).map(|figures| figures.records);
    assert_eq!((records(Class::Permanent), records(Class::UserLog30d)), (Some(100), Some(200)));
    assert!(stat.classes.iter().any(|figures| figures.dead_bytes > 0), "an older snapshot is dead: {stat:?}");
    process.say(pair, 101);
}

#[test]
fn what_is_left_of_segments_is_checked_backed_up_and_restored() {
    let folder = TemporaryFolder::new("remnants");
    let mut process = Process::start(&folder.join("log"));
    let pair = process.make_users();
    (1..=100).for_each(|seq| drop(process.say(pair, seq)));
    process.ahead += Duration::from_secs(32 * 24 * 60 * 60);
    let entries: Vec<_> = (101..=200).map(|seq| process.say(pair, seq)).collect();
    for _ in 0..20 {
        process.ahead += Duration::from_secs(61);
        process.settle();
    }
    let log = folder.join("log");
    let before = stat(&log).expect("the store can be read");
    assert!(before.remnants > 0 && before.entries == 200, "{before:?}");
    let taken = backup(&log, &folder.join("backup")).expect("a backup can be taken");
    assert_eq!(taken.remnants, before.remnants);
    drop(process);
    restore(&folder.join("backup"), &folder.join("again"), StoreIncarnation(9)).expect("it can be restored");
    for log in [&log, &folder.join("again")] {
        assert_eq!(check(log).expect("all is well").remnants, before.remnants);
        let mut process = Process::start(log);
        let found = read_all(&mut process, pair);
        assert_eq!((found.len(), &found[100..]), (200, &entries[..]));
    }
    flip_bit(&log.join("00000001.0001.rem"), 4096 + 100);
    let refused = check(&log);
    assert!(matches!(refused, Err(ToolError::Store(_))), "{refused:?}");
}
