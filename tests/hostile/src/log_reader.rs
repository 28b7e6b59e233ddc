//! Target `log_reader`: a log is opened from a folder of bytes that no log has written.
//!
//! The folder is forged by [`forge`]: wrong in some places and sealed with the right checksums all the same. A log that
//! is refused is left as it was. One that opens serves every record that its recovery has yielded, takes another one, and
//! opens again with the same records: after an orderly end, after a kill and after a loss of power.

mod forge;

use storage_log::{
    Admission, AppendToken, Class, Disk, FileName, Log, LogEvent, LogId, LogIdentity, Monotonic, OpenError, Options,
    Place, Purpose, ReadToken, Record, Recovery, SegmentNumber, SimDisk, StoreIncarnation, limits,
};

use crate::input::Input;
use crate::seed::Seed;

const IDENTITY: LogIdentity = LogIdentity { log_id: LogId(*b"a log of forgery"), incarnation: StoreIncarnation(9) };
const OPTIONS: Options =
    Options { segment_bytes: limits::SEGMENT_BYTES_MIN, disk_low_bytes: 0, ballast_bytes: 0, new_log: IDENTITY };
const NOW: Monotonic = Monotonic(std::time::Duration::ZERO);

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let purpose = if input.flag() { Purpose::Check } else { Purpose::Open };
    let disk = SimDisk::new(u64::from(input.u8()), 1 << 24);
    forge::write(&disk, &mut input);
    let before = content(&disk);
    let walked = walk(&disk, SegmentNumber::FIRST);
    assert_eq!(content(&disk), before, "a walk changes nothing");
    let (mut log, records) = match open(&disk, purpose) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(content(&disk), before, "a log that is refused is left as it is: {error}");
            return;
        }
    };
    match walked {
        Ok(walked) => {
            let first = records.iter().filter(|found| found.place.segment == SegmentNumber::FIRST);
            assert!(
                walked.iter().zip(first).all(|(walked, found)| walked == found),
                "a walk sees what an opening sees"
            );
        }
        // It looks behind what was acked, and at what an opening throws away.
        Err(error) => assert!(log.is_read_only() || records.is_empty(), "{error}"),
    }
    read_all(&mut log, &disk, &records);
    if log.is_read_only() {
        assert_eq!(content(&disk), before, "a log that needs a check is left as it is");
        return;
    }
    let mut expected = records;
    expected.extend(append(&mut log, &disk));
    drop(log);
    for end in [SimDisk::kill, SimDisk::cut_power, SimDisk::kill] {
        end(&disk);
        let (mut log, records) = open(&disk, Purpose::Open).expect("what has been opened opens again");
        assert_eq!(records, expected, "what was once durable is there");
        read_all(&mut log, &disk, &records);
    }
}

/// A record with its place, owned.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    place: Place,
    class: Class,
    format_version: u16,
    key: Vec<u8>,
    payload: Vec<u8>,
}

/// Every segment there is, with its bytes.
fn content(disk: &SimDisk) -> Vec<Option<Vec<u8>>> {
    (1..=forge::SEGMENTS_MAX).map(|number| disk.content(FileName::Segment(SegmentNumber(number)))).collect()
}

fn open(disk: &SimDisk, purpose: Purpose) -> Result<(Log, Vec<Found>), OpenError> {
    let (recovery, records) = recover(disk, Recovery::new(OPTIONS, purpose))?;
    Ok((recovery.finish(NOW), records))
}

/// The records of one segment.
fn walk(disk: &SimDisk, segment: SegmentNumber) -> Result<Vec<Found>, OpenError> {
    recover(disk, Recovery::new(OPTIONS, Purpose::Walk).starting_at(segment)).map(|(_, records)| records)
}

fn recover(disk: &SimDisk, mut recovery: Recovery) -> Result<(Recovery, Vec<Found>), OpenError> {
    let (mut hands, mut records) = (disk.clone(), Vec::new());
    while !recovery.is_done() {
        while let Some((id, operation)) = recovery.poll_operation() {
            hands.submit(id, operation);
        }
        assert!(disk.perform_one(), "a recovery that is not done wants something");
        while let Some(completion) = hands.poll_completion() {
            recovery.handle_completion(completion)?;
            while let Some(recovered) = recovery.poll_record()? {
                let record = recovered.record;
                records.push(Found {
                    place: recovered.place,
                    class: record.class,
                    format_version: record.format_version,
                    key: record.key.to_vec(),
                    payload: record.payload.to_vec(),
                });
            }
        }
    }
    assert_eq!(recovery.summary().record_count, records.len() as u64);
    Ok((recovery, records))
}

fn perform(log: &mut Log, disk: &SimDisk) -> Vec<LogEvent> {
    let mut hands = disk.clone();
    loop {
        while let Some((id, operation)) = log.poll_operation() {
            hands.submit(id, operation);
        }
        if !disk.perform_one() {
            return std::iter::from_fn(|| log.poll_event()).collect();
        }
        while let Some(completion) = hands.poll_completion() {
            log.handle_completion(NOW, completion);
        }
    }
}

fn read_all(log: &mut Log, disk: &SimDisk, records: &[Found]) {
    for (index, found) in records.iter().enumerate() {
        let token = ReadToken(index as u64);
        log.read(token, found.place, &found.key).expect("what was yielded is durable");
        let events = perform(log, disk);
        let read = events.iter().find_map(|event| match event {
            LogEvent::ReadDone { token: read, result } if *read == token => Some(result),
            _ => None,
        });
        let read = read.expect("a read ends").as_ref().expect("what was yielded can be read").view();
        let read = (read.class, read.format_version, read.key, read.payload);
        assert_eq!(read, (found.class, found.format_version, &found.key[..], &found.payload[..]));
    }
}

/// One more record. `None`: a segment of this size takes none.
fn append(log: &mut Log, disk: &SimDisk) -> Option<Found> {
    let (key, payload) = (b"appended", b"behind all that was forged");
    let record = Record { class: Class::State, format_version: 1, key, payload: &[payload] };
    // The next segment has to be made where the last one is full.
    perform(log, disk);
    let mut places = Vec::new();
    if record.stored_bytes() > log.append_bytes_max() {
        return None;
    }
    log.append(AppendToken(1), Admission::Accepted, &[record], &mut places).expect("there is room");
    let events = perform(log, disk);
    assert!(events.contains(&LogEvent::Appended { token: AppendToken(1) }), "{events:?}");
    let place = places.pop().expect("one record has one place");
    let (key, payload) = (key.to_vec(), payload.to_vec());
    Some(Found { place, class: Class::State, format_version: 1, key, payload })
}

/// Logs without a fault, and with one in each place.
pub fn seeds() -> Vec<Seed> {
    forge::seeds()
}
