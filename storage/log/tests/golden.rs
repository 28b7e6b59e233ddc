//! The bytes of a segment, pinned: what one version has written every later one must read.

use storage_log::{
    Admission, AppendToken, Class, Disk, FileName, Log, LogEvent, LogId, LogIdentity, Monotonic, Options, Purpose,
    Record, Recovery, SegmentNumber, SimDisk, StoreIncarnation,
};

const NOW: Monotonic = Monotonic(std::time::Duration::ZERO);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open(disk: &mut SimDisk) -> Log {
    let identity =
        LogIdentity { log_id: LogId(*b"golden log id 16"), incarnation: StoreIncarnation(0x0102_0304_0506_0708) };
    let options = Options { segment_bytes: 64 << 10, disk_low_bytes: 0, ballast_bytes: 0, new_log: identity };
    let mut recovery = Recovery::new(options, Purpose::Open);
    while !recovery.is_done() {
        while let Some((id, operation)) = recovery.poll_operation() {
            disk.submit(id, operation);
        }
        disk.perform_one();
        while let Some(completion) = disk.poll_completion() {
            recovery.handle_completion(completion).expect("nothing is damaged");
        }
        while recovery.poll_record().expect("nothing is damaged").is_some() {}
    }
    recovery.finish(NOW)
}

fn run(log: &mut Log, disk: &mut SimDisk) -> Vec<LogEvent> {
    loop {
        while let Some((id, operation)) = log.poll_operation() {
            disk.submit(id, operation);
        }
        if !disk.perform_one() {
            return std::iter::from_fn(|| log.poll_event()).collect();
        }
        while let Some(completion) = disk.poll_completion() {
            log.handle_completion(NOW, completion);
        }
    }
}

/// A log with one batch of two records and its seal.
fn segment() -> Vec<u8> {
    let mut disk = SimDisk::new(0, 1 << 30);
    let mut log = open(&mut disk);
    let records = [
        Record { class: Class::Permanent, format_version: 1, key: b"conversation", payload: &[b"head ", b"body"] },
        Record { class: Class::UserLog30d, format_version: 0x0203, key: b"u", payload: &[] },
    ];
    let mut places = Vec::new();
    log.append(AppendToken(1), Admission::New, &records, &mut places).expect("there is room");
    assert_eq!(run(&mut log, &mut disk), [LogEvent::Appended { token: AppendToken(1) }]);
    log.seal();
    assert_eq!(run(&mut log, &mut disk), []);
    assert!(log.is_settled());
    assert_eq!(places.iter().map(|place| (place.offset, place.length)).collect::<Vec<_>>(), [(4144, 33), (4177, 13)]);
    disk.content(FileName::Segment(SegmentNumber::FIRST)).expect("the log has a segment")
}

#[test]
fn the_segment_header_is_pinned() {
    let segment = segment();
    assert_eq!(segment.len(), 64 << 10);
    let expected = concat!(
        "52494e47504c4f47", // RINGPLOG
        "964765fb",
        "0100", // format version
        "0000",
        "676f6c64656e206c6f67206964203136", // log id
        "0807060504030201",                 // incarnation
        "01000000",                         // segment
        "00000100",                         // size
    );
    assert_eq!(hex(&segment[..48]), expected);
    assert!(segment[48..4096].iter().all(|byte| *byte == 0));
}

#[test]
fn a_batch_and_its_records_are_pinned() {
    let segment = segment();
    let header = concat!(
        "52504254", // RPBT
        "6dd26385",
        "676f6c64656e206c6f67206964203136", // log id
        "01000000",                         // segment
        "00100000",                         // offset
        "5e000000",                         // length
        "02000000",                         // records
        "0010000001000000",                 // synced through: offset, segment
    );
    assert_eq!(hex(&segment[4096..4144]), header);
    let first = concat!(
        "ad5e87b8",
        "09000000", // payload size
        "01",       // class
        "0c",       // key size
        "0100",     // format version
        "636f6e766572736174696f6e",
        "6865616420626f6479",
    );
    assert_eq!(hex(&segment[4144..4177]), first);
    assert_eq!(hex(&segment[4177..4190]), concat!("8ba3f637", "00000000", "05", "01", "0302", "75"));
    assert!(segment[4190..4608].iter().all(|byte| *byte == 0));
}

#[test]
fn a_seal_is_pinned_and_the_rest_is_blank() {
    let segment = segment();
    let seal = concat!(
        "52504254", // RPBT
        "c3142971",
        "676f6c64656e206c6f67206964203136", // log id
        "01000000",                         // segment
        "00120000",                         // offset
        "30000000",                         // length
        "00000000",                         // records
        "0012000001000000",                 // synced through: offset, segment
    );
    assert_eq!(hex(&segment[4608..4656]), seal);
    assert!(segment[4656..].iter().all(|byte| *byte == 0));
}
