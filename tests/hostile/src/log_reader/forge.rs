//! A folder of a log, forged: the layout is that of a real one, each number in it is right or wild as the input says, and
//! the checksums are put right, or not.
//!
//! The layout is written out here once more on purpose: a forger does not use the encoder of its victim.

use storage_log::{Disk, FileName, Operation, OperationId, Outcome, SegmentNumber, SimDisk, limits};

use super::IDENTITY;
use crate::input::Input;
use crate::seed::Seed;

pub(super) const SEGMENTS_MAX: u32 = 3;
const SEGMENT_BYTES: u32 = limits::SEGMENT_BYTES_MIN;
const SEGMENT_BYTES_MAX: u32 = 48 << 10;
const HEADER_BYTES: usize = limits::SEGMENT_HEADER_BYTES as usize;

/// Makes it, durably.
pub(super) fn write(disk: &SimDisk, input: &mut Input<'_>) {
    let mut files = Vec::new();
    let extras = input.u8();
    if extras & 1 == 1 {
        let mark = input.u64().to_le_bytes();
        files.push((FileName::NeedsCheck, [&mark[..], &sealed(&mark, input).to_le_bytes()].concat()));
    }
    if extras & 2 == 2 {
        files.push((FileName::Prepared(SegmentNumber(input.u32() % 4)), input.bytes().to_vec()));
    }
    let segments_count = u32::from(extras >> 2) % SEGMENTS_MAX + 1;
    let mut end = position(1, limits::SEGMENT_HEADER_BYTES);
    for number in 1..=segments_count {
        files.push((FileName::Segment(SegmentNumber(wild(input, number) % 8)), segment(input, number, &mut end)));
    }
    files.sort_by_key(|(file, _)| *file);
    files.dedup_by_key(|(file, _)| *file);
    let mut hands = disk.clone();
    let mut perform = |operation| {
        hands.submit(OperationId(0), operation);
        disk.perform_one();
        let completion = hands.poll_completion().expect("it was performed");
        assert!(matches!(completion.result, Ok(Outcome::Done | Outcome::Written(_))), "the disk is large enough");
    };
    for (file, bytes) in files {
        perform(Operation::Create { file, size_bytes: bytes.len() as u32 });
        perform(Operation::Write { file, offset: 0, bytes });
        perform(Operation::Sync { file });
    }
    perform(Operation::SyncFolder);
}

/// `right`, mostly.
fn wild(input: &mut Input<'_>, right: u32) -> u32 {
    match input.u8() {
        255 => input.u32(),
        more @ 240.. => right.wrapping_add(u32::from(more - 239)),
        less @ 225.. => right.wrapping_sub(u32::from(less - 224)),
        _ => right,
    }
}

/// A checksum that is right, mostly.
fn sealed(covered: &[u8], input: &mut Input<'_>) -> u32 {
    wild(input, crc32c::crc32c(covered))
}

fn position(segment: u32, offset: u32) -> u64 {
    u64::from(segment) << 32 | u64::from(offset)
}

/// `end`: where the last batch ends, of this segment or of one before.
fn segment(input: &mut Input<'_>, number: u32, end: &mut u64) -> Vec<u8> {
    let size = (wild(input, SEGMENT_BYTES) % SEGMENT_BYTES_MAX) as usize;
    let mut segment = header(input, number, size as u32);
    for _ in 0..input.u8() % 6 {
        segment.resize(segment.len().next_multiple_of(512) + usize::from(wild(input, 0) as u8) * 512, 0);
        batch(input, number, &mut segment, end);
    }
    let debris = input.bytes();
    if !debris.is_empty() {
        segment.resize(segment.len() + usize::from(input.u8()) * 64, 0);
        segment.extend_from_slice(debris);
    }
    segment.resize(size, 0);
    segment
}

fn header(input: &mut Input<'_>, number: u32, size: u32) -> Vec<u8> {
    let version = wild(input, 1) as u16;
    let mut log_id = IDENTITY.log_id.0;
    log_id[3] ^= wild(input, 0) as u8;
    let covered = [
        &version.to_le_bytes()[..],
        &[0; 2],
        &log_id,
        &IDENTITY.incarnation.0.to_le_bytes(),
        &wild(input, number).to_le_bytes(),
        &wild(input, size).to_le_bytes(),
    ];
    let mut covered = covered.concat();
    covered.resize(HEADER_BYTES - 12, 0);
    [&b"RINGPLOG"[..], &sealed(&covered, input).to_le_bytes(), &covered].concat()
}

fn batch(input: &mut Input<'_>, number: u32, segment: &mut Vec<u8>, end: &mut u64) {
    let offset = segment.len() as u32;
    let mut records = Vec::new();
    let records_count = u32::from(input.u8() % 4);
    for _ in 0..records_count {
        record(input, &mut records);
    }
    let place = position(wild(input, number), wild(input, offset));
    let synced_through = match input.u8() {
        0..224 => *end,
        224..240 => end.wrapping_sub(512),
        240..255 => place,
        255 => input.u64(),
    };
    let length = wild(input, 48 + records.len() as u32);
    let covered = [
        &IDENTITY.log_id.0[..],
        &(place >> 32).to_le_bytes()[..4],
        &(place as u32).to_le_bytes(),
        &length.to_le_bytes(),
        &wild(input, records_count).to_le_bytes(),
        &synced_through.to_le_bytes(),
        &records,
    ]
    .concat();
    let seed = crc32c::crc32c_append(crc32c::crc32c(&IDENTITY.log_id.0), &position(number, offset).to_le_bytes());
    // What a wild length covers besides: the rest of the segment is blank.
    let mut blank = covered.clone();
    blank.resize((length.saturating_sub(8) as usize).min(SEGMENT_BYTES_MAX as usize), 0);
    let checksum = wild(input, crc32c::crc32c_append(seed, &blank));
    segment.extend([&b"RPBT"[..], &checksum.to_le_bytes(), &covered].concat());
    *end = position(number, (segment.len() as u32).next_multiple_of(512));
}

fn record(input: &mut Input<'_>, records: &mut Vec<u8>) {
    let class = match input.u8() {
        small @ 0..240 => small % 6 + 1,
        large => large,
    };
    let key = vec![b'k'; usize::from(input.u8() % 72)];
    let payload = vec![b'p'; usize::from(input.u16() % 2048)];
    let payload_bytes = wild(input, payload.len() as u32);
    let key_bytes = wild(input, key.len() as u32) as u8;
    let format_version = wild(input, 1) as u16;
    let covered =
        [&payload_bytes.to_le_bytes()[..], &[class, key_bytes], &format_version.to_le_bytes(), &key, &payload].concat();
    records.extend([&sealed(&covered, input).to_le_bytes()[..], &covered].concat());
}

/// Zeros choose what is right.
pub(super) fn seeds() -> Vec<Seed> {
    let record = [0, 3, 9, 0, 0, 0, 0, 0];
    let batch = [&[0, 2][..], &record, &record, &[0; 6]].concat();
    let header = [0; 6];
    let segment = |batches: u8| [&[0][..], &header, &[batches], &batch.repeat(usize::from(batches)), &[0, 0]].concat();
    let folder =
        |purpose: u8, extras: u8, segments: &[Vec<u8>]| [&[purpose, 1, extras][..], &segments.concat()].concat();
    let two = [segment(2), segment(1)];
    let debris = [&[0][..], &header, &[1], &batch, &[4, 0, 1, 2, 3, 4, 2]].concat();
    let small = [&[0, 255][..], &5120_u32.to_le_bytes(), &[0; 5], &[1], &batch, &[0, 0]].concat();
    let marked = |number: u64| [&number.to_le_bytes()[..], &[0], &segment(2)].concat();
    vec![
        Seed::new("blank", &folder(0, 0, &[segment(0)])),
        Seed::new("one-segment", &folder(0, 0, &[segment(3)])),
        Seed::new("two-segments", &folder(0, 4, &two)),
        Seed::new("check", &folder(1, 4, &two)),
        Seed::new("debris", &folder(0, 0, &[debris])),
        Seed::new("small", &folder(0, 0, &[small])),
        Seed::new("marked", &folder(0, 1, &[marked(position(1, 4608))])),
        Seed::new("marked-blank", &folder(0, 1, &[[&[0; 8][..], &[240], &segment(2)].concat()])),
        Seed::new("all-is-well", &folder(1, 1, &[marked(u64::MAX)])),
        Seed::new("prepared", &folder(0, 2, &[[&[2, 0, 0, 0, 3, 0, 7, 7, 7][..], &segment(1)].concat()])),
    ]
}
