//! How a log is read, at a start with some reads ahead of the scan and on a walk one at a time; and a segment that is left
//! before it is full.

use std::time::Duration;

use storage_log::{
    Admission, AppendToken, Class, Completion, Disk, FileName, Log, LogId, LogIdentity, Monotonic, Operation,
    OperationId, Options, Outcome, Purpose, Record, Recovery, SegmentNumber, SimDisk, StoreIncarnation,
};

const NOW: Monotonic = Monotonic(Duration::ZERO);
const RECORDS: u32 = 40;

fn options() -> Options {
    let new_log = LogIdentity { log_id: LogId([1; 16]), incarnation: StoreIncarnation(1) };
    Options { segment_bytes: 8 << 20, disk_low_bytes: 0, ballast_bytes: 0, new_log }
}

fn perform(disk: &SimDisk, operation: Operation) -> Outcome {
    let mut seam = disk.clone();
    seam.submit(OperationId(1), operation);
    while disk.perform_one() {}
    seam.poll_completion().expect("it was performed").result.expect("the disk is well")
}

/// Reads a log, and answers it, how many records it has and how many operations were under way at once. Reads end in
/// the order that `pick` has of those under way.
fn read(disk: &SimDisk, purpose: Purpose, mut pick: impl FnMut(usize) -> usize) -> (Recovery, u32, usize) {
    let mut recovery = Recovery::new(options(), purpose).starting_at(SegmentNumber::FIRST);
    let (mut under_way, mut most, mut record_count) = (Vec::new(), 0, 0);
    while !recovery.is_done() {
        under_way.extend(std::iter::from_fn(|| recovery.poll_operation()));
        most = most.max(under_way.len());
        let (id, operation) = under_way.remove(pick(under_way.len()));
        let result = Ok(perform(disk, operation));
        recovery.handle_completion(Completion { id, result }).expect("the log is whole");
        while recovery.poll_record().expect("the log is whole").is_some() {
            record_count += 1;
        }
    }
    (recovery, record_count, most)
}

/// A log of records of 100 KiB, each a batch of its own.
fn filled() -> SimDisk {
    let disk = SimDisk::new(1, 1 << 30);
    let mut log = read(&disk, Purpose::Open, |_| 0).0.finish(NOW);
    for _ in 0..RECORDS {
        let record = Record { class: Class::State, format_version: 1, key: b"key", payload: &[&[7; 100 << 10]] };
        log.append(AppendToken(1), Admission::New, &[record], &mut Vec::new()).expect("there is room");
        settle(&mut log, &disk);
    }
    disk
}

fn settle(log: &mut Log, disk: &SimDisk) {
    while let Some((id, operation)) = log.poll_operation() {
        let result = Ok(perform(disk, operation));
        log.handle_completion(NOW, Completion { id, result });
    }
}

#[test]
fn an_opening_reads_ahead_in_whatever_order_the_reads_end() {
    let disk = filled();
    for pick in [|_| 0, |under_way| under_way - 1] {
        let (_, record_count, most) = read(&disk, Purpose::Open, pick);
        assert_eq!(record_count, RECORDS);
        assert!(most > 2, "{most} under way at once");
    }
}

#[test]
fn a_walk_reads_one_piece_at_a_time() {
    let (_, record_count, most) = read(&filled(), Purpose::Walk, |_| 0);
    assert_eq!((record_count, most), (RECORDS, 1));
}

#[test]
fn a_segment_that_is_left_early_gives_back_what_it_has_not_used() {
    let disk = SimDisk::new(2, 1 << 30);
    let mut log = read(&disk, Purpose::Open, |_| 0).0.finish(NOW);
    let settle = |log: &mut Log| {
        let mut trims = Vec::new();
        while let Some((id, operation)) = log.poll_operation() {
            trims.extend(matches!(operation, Operation::Trim { .. }).then(|| operation.clone()));
            let result = Ok(perform(&disk, operation));
            log.handle_completion(NOW, Completion { id, result });
        }
        trims
    };
    assert!(!log.leave_segment(), "nothing is in it");
    let mut places = Vec::new();
    for number in 1..=3 {
        let record = Record { class: Class::State, format_version: 1, key: b"key", payload: &[b"some"] };
        log.append(AppendToken(number), Admission::New, &[record], &mut places).expect("there is room");
        assert!(!log.leave_segment(), "a record is under way");
        let trims = settle(&mut log);
        // Until its successor has a batch a restart would go on in it.
        assert_eq!(trims.len(), usize::from(number > 1), "{trims:?}");
        for trim in trims {
            let (segment, end) = (SegmentNumber(number as u32 - 1), places[number as usize - 2].end());
            let offset = end.offset.next_multiple_of(512);
            assert_eq!(trim, Operation::Trim { file: FileName::Segment(segment), offset });
        }
        assert!(log.leave_segment());
        assert!(!log.leave_segment(), "nothing is in that yet");
    }
    assert!(places.iter().map(|place| place.segment.0).eq(1..=3));
    disk.kill();
    let (_, record_count, _) = read(&disk, Purpose::Open, |_| 0);
    assert_eq!(record_count, 3);
}
