//! Side files that are missing, damaged, newer or somebody else's, and their bytes, pinned.

use std::sync::Arc;
use std::time::Duration;

use crate::machine::{self, Machine, message, row};
use protocol::ids::{ConversationId, Seq, UserId, UserSeq};
use storage_api::{Entry, Mutation, Request, Response, StoreError};
use storage_embedded::{IndexFault, OpenError};
use storage_log::{FileName, Operation, SegmentNumber};

/// A machine whose store fills several segments, the two users, and what they said.
fn filled(seed: u64, count: u64) -> (Machine, (UserId, UserId), Vec<Arc<Entry>>) {
    let mut machine = Machine::new(seed);
    let users = machine.make_users(2);
    let pair = (users[0], users[1]);
    let entries: Vec<_> = (1..=count)
        .map(|seq| {
            let entry = message(machine.now.wall, pair, seq, seq.into(), vec![b'x'; 150]);
            let mutations = vec![
                Mutation::Entry(entry.clone()),
                row(pair.0, seq, &entry, pair.0),
                row(pair.1, seq, &entry, pair.0),
            ];
            assert_eq!(machine.ask(Request::Write(mutations)), Ok(Response::Written));
            entry
        })
        .collect();
    machine.drain().expect("the disk is well");
    (machine, pair, entries)
}

fn restart(machine: &mut Machine) {
    machine.crash(false);
    machine.start();
    machine.drain().expect("the disk is well");
}

fn read_all(machine: &mut Machine, pair: (UserId, UserId)) -> Result<Response, StoreError> {
    let conversation = ConversationId::direct(pair.0, pair.1);
    let request = Request::ReadEntries {
        conversation,
        from: Seq(1),
        to: Seq(u64::MAX),
        newest_first: false,
        count_max: 10_000,
        bytes_max: usize::MAX,
    };
    machine.ask(request)
}

fn index(segment: u32) -> FileName {
    FileName::Index(SegmentNumber(segment))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes into the header page of a side file, and puts its checksum right.
fn rewrite_header(machine: &mut Machine, segment: u32, offset: usize, bytes: &[u8]) {
    let mut page = machine.index(segment).expect("the segment is full")[..4096].to_vec();
    page[offset..offset + bytes.len()].copy_from_slice(bytes);
    let checksum = crc32c::crc32c(&page[12..]).to_be_bytes();
    page[8..12].copy_from_slice(&checksum);
    machine.tamper(Operation::Write { file: index(segment), offset: 0, bytes: page });
}

#[test]
fn a_full_segment_gets_a_side_file_and_its_index_leaves_memory() {
    let (mut machine, pair, entries) = filled(1, 100);
    assert!(machine.index(1).is_some() && machine.index(3).is_some());
    let figures = machine.store.as_ref().expect("a process runs").figures();
    assert_eq!((figures.entries, figures.unsealed_bytes), (100, 0));
    assert_eq!(read_all(&mut machine, pair), Ok(Response::Entries(entries)));
}

#[test]
fn a_start_reads_the_newest_snapshot_and_what_follows() {
    let (mut machine, pair, entries) = filled(2, 300);
    restart(&mut machine);
    let opened = machine.opened;
    assert!(opened.records_read < 400, "{opened:?} of 900 records");
    assert_eq!(read_all(&mut machine, pair), Ok(Response::Entries(entries)));
}

#[test]
fn a_side_file_that_is_missing_or_damaged_is_made_again_as_it_was() {
    let (mut machine, pair, entries) = filled(3, 300);
    let (first, third) = (machine.index(1), machine.index(3));
    machine.tamper(Operation::Unlink { file: index(1) });
    let directory = third.as_ref().expect("the segment is full").len() as u32 - 5;
    machine.disk.flip_bit(index(3), directory, 3);
    machine.disk.flip_bit(index(5), 70, 1);
    restart(&mut machine);
    assert_eq!(read_all(&mut machine, pair), Ok(Response::Entries(entries)));
    // The snapshot that a header names is the newest when it was written.
    let behind_header = |file: Option<Vec<u8>>| file.expect("it is there again")[4096..].to_vec();
    assert_eq!(behind_header(machine.index(1)), behind_header(first));
    assert_eq!(behind_header(machine.index(3)), behind_header(third));
}

#[test]
fn without_any_side_file_all_of_the_log_is_read() {
    let (mut machine, pair, entries) = filled(4, 200);
    let last = (1..).find(|number| machine.index(*number).is_none()).expect("the last segment has none");
    (1..last).for_each(|number| machine.tamper(Operation::Unlink { file: index(number) }));
    restart(&mut machine);
    assert!(machine.opened.records_read > 600, "{:?}", machine.opened);
    assert!(machine.index(1).is_some());
    assert_eq!(read_all(&mut machine, pair), Ok(Response::Entries(entries)));
}

#[test]
fn a_damaged_page_is_reported_and_never_believed() {
    let (mut machine, pair, _) = filled(5, 100);
    restart(&mut machine);
    let pages = machine.index(1).expect("the segment is full").len() as u32 / 4096;
    (1..pages).for_each(|page| machine.disk.flip_bit(index(1), page * 4096 + 9, 0));
    assert_eq!(read_all(&mut machine, pair), Err(StoreError::Corrupt));
    assert!(machine.damages.iter().any(|text| text.contains("00000001.idx")), "{:?}", machine.damages);
}

#[test]
fn a_side_file_of_a_newer_version_or_another_log_is_refused() {
    let (mut machine, ..) = filled(6, 100);
    machine.crash(false);
    rewrite_header(&mut machine, 1, 12, &[0, 2]);
    let refused = machine.try_start(u64::MAX).expect_err("a newer format is refused");
    assert_eq!(refused, OpenError::Index { file: index(1), fault: IndexFault::NewerFormat(2) });
    rewrite_header(&mut machine, 1, 12, &[0, 1]);
    rewrite_header(&mut machine, 2, 16, b"another log here");
    let refused = machine.try_start(u64::MAX).expect_err("a file of another log is refused");
    assert_eq!(refused, OpenError::Index { file: index(2), fault: IndexFault::ForeignLog });
}

#[test]
fn a_side_file_that_cannot_be_written_is_tried_again() {
    let (mut machine, pair, mut entries) = filled(7, 20);
    let known = (1..).find(|number| machine.index(*number).is_none()).expect("the last segment has none");
    machine.disk.set_capacity_bytes(machine.disk.used_bytes() + 2 * u64::from(machine::SEGMENT_BYTES));
    for seq in 21..=120 {
        let entry = message(machine.now.wall, pair, seq, seq.into(), vec![b'x'; 150]);
        machine.submit(Request::Write(vec![Mutation::Entry(entry.clone())]));
        entries.push(entry);
    }
    for _ in 0..2000 {
        machine.step().expect("a full disk is no failure");
    }
    machine.disk.set_capacity_bytes(1 << 40);
    machine.wait(Duration::from_secs(5));
    machine.drain().expect("the disk is well");
    assert!(machine.index(known).is_some());
    assert_eq!(read_all(&mut machine, pair), Ok(Response::Entries(entries)));
}

#[test]
fn old_identities_are_not_looked_for() {
    let (mut machine, _, entries) = filled(8, 100);
    let question = |entry: &Entry| Request::FindIdentity {
        conversation: entry.key.conversation,
        identity: entry.identity().expect("it is a message"),
    };
    assert_eq!(machine.ask(question(&entries[0])), Ok(Response::Found(Some(entries[0].clone()))));
    machine.wait(Duration::from_secs(9 * 24 * 60 * 60));
    assert_eq!(machine.ask(question(&entries[0])), Ok(Response::Found(None)));
}

#[test]
fn a_user_log_is_read_across_segments_from_any_place() {
    let (mut machine, pair, entries) = filled(9, 120);
    restart(&mut machine);
    for after in [0, 1, 37, 64, 118, 119, 120] {
        let request = Request::ReadUserLog { user: pair.1, after: UserSeq(after), count_max: 50, bytes_max: 1 << 20 };
        let Ok(Response::UserLog(events)) = machine.ask(request) else { panic!("a log can be read") };
        let expected: Vec<_> = entries.iter().skip(after as usize).take(50).cloned().map(Some).collect();
        assert_eq!(events.iter().map(|event| event.entry.clone()).collect::<Vec<_>>(), expected);
        assert!(events.iter().zip(after + 1..).all(|(event, place)| event.user_seq == UserSeq(place)));
    }
}

#[test]
fn the_header_of_a_side_file_is_pinned() {
    let (machine, ..) = filled(10, 60);
    let file = machine.index(1).expect("the segment is full");
    let expected = concat!(
        "52494e4750494458", // RINGPIDX
        "98fdefb6",
        "0001", // format version
        "0000",
        "61206c6f67206f66206120746573742e", // log id
        "00000001",                         // segment
        "00000004",                         // pages
        "000000ec",                         // bytes of the directory
        "77a533e5",
        "000000000000000000000000", // no snapshot
        "0000019ab84f5c00",         // newest entry
        "0000019ab84f5c00",         // oldest identity
        "0000019ab84f5c00",         // newest identity
        "0000000800000b30",         // permanent: records, bytes
        "0000000000000000",
        "0000000000000000",
        "0000000000000000",
        "0000001000000460",         // rows of users' logs
        "000000030000004b",         // state
        "000000080000000100000008", // entries: rows, pages, words of the filter
        "000000100000000100000008", // rows of users' logs
        "000000080000000100000008", // identities
    );
    assert_eq!(hex(&file[..168]), expected);
    assert!(file[168..4096].iter().all(|byte| *byte == 0));
}

#[test]
fn a_page_of_a_side_file_is_pinned() {
    let (machine, ..) = filled(10, 60);
    let file = machine.index(1).expect("the segment is full");
    let expected = concat!(
        "01ed1bfa",
        "0008", // rows
        "0000",
        "9a9a47269740ad7ad05c96a5259b3bfa00000001", // conversation, seq
        "0000163000000166",                         // offset, length
        "9a9a47269740ad7ad05c96a5259b3bfa00000002",
        "00001a3000000166",
    );
    assert_eq!(hex(&file[4096..4096 + 8 + 2 * 28]), expected);
}
