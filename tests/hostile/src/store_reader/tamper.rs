//! What is done to the files of a store.

use storage_log::{Disk, FileName, Operation, OperationId, Outcome, SimDisk};

use crate::input::Input;
use crate::seed::Seed;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

const FLIP: u8 = 0;
const RESIZE: u8 = 1;
const REMOVE: u8 = 2;
const REPLACE: u8 = 3;
const FORGE: u8 = 4;
const KINDS: u8 = 5;

type Files = Vec<(FileName, Vec<u8>)>;

/// Does it. True where the store cannot know that something was done.
///
/// One changed bit of a segment is damage. Two may be a last batch and the seal that proves it, as a torn write leaves
/// them, and a segment that is gone with all after it was never there.
pub(super) fn with(files: &mut Files, input: &mut Input<'_>) -> bool {
    let (mut changes_of_segments, mut is_forged) = (0, false);
    for _ in 0..input.u8() % 6 {
        let (kind, choice) = (input.u8() % KINDS, usize::from(input.u8()));
        if files.is_empty() {
            break;
        }
        let index = choice % files.len();
        let other = files.get(usize::from(input.u8()) % files.len()).map(|(_, bytes)| bytes.clone());
        let Some((file, bytes)) = files.get_mut(index) else { break };
        let is_index = matches!(file, FileName::Index(_));
        changes_of_segments += u32::from(!is_index);
        is_forged |= matches!(kind, REPLACE | FORGE) || !is_index && kind != FLIP;
        match kind {
            FLIP => change(bytes, input),
            RESIZE => bytes.resize(input.u32() as usize % (2 * bytes.len().max(1)), 0),
            REMOVE => drop(files.remove(index)),
            REPLACE => *bytes = other.unwrap_or_default(),
            _ => {
                change(bytes, input);
                if is_index { seal_index(*file, bytes) } else { seal_segment(bytes) }
            }
        }
    }
    is_forged || changes_of_segments > 1
}

fn change(bytes: &mut [u8], input: &mut Input<'_>) {
    let (place, flipped) = (input.u32() as usize % bytes.len().max(1), input.u8() | 1);
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= flipped;
    }
}

/// Puts the checksums of a side file right: of its header page, its directory and the pages of its tables.
fn seal_index(file: FileName, bytes: &mut [u8]) {
    let FileName::Index(segment) = file else { return };
    let number = |bytes: &[u8], at: usize| {
        let field = bytes.get(at..at + 4).and_then(|field| field.first_chunk::<4>());
        field.map_or(0, |field| u32::from_be_bytes(*field) as usize)
    };
    let (page_count, directory_bytes) = (number(bytes, 36).min(bytes.len() / PAGE_BYTES), number(bytes, 40));
    for page in 1..page_count {
        let place = [segment.0.to_be_bytes(), (page as u32).to_be_bytes()].concat();
        let Some(page) = bytes.chunks_mut(PAGE_BYTES).nth(page) else { break };
        let (checksum, covered) = page.split_at_mut(4);
        let sum = crc32c::crc32c_append(crc32c::crc32c(&place), covered);
        checksum.copy_from_slice(&sum.to_be_bytes());
    }
    let directory = bytes.get(page_count * PAGE_BYTES..page_count * PAGE_BYTES + directory_bytes).unwrap_or_default();
    let directory_sum = crc32c::crc32c(directory).to_be_bytes();
    if let Some(field) = bytes.get_mut(44..48) {
        field.copy_from_slice(&directory_sum);
    }
    let header_sum = crc32c::crc32c(bytes.get(12..PAGE_BYTES).unwrap_or_default()).to_be_bytes();
    if let Some(field) = bytes.get_mut(8..12) {
        field.copy_from_slice(&header_sum);
    }
}

/// Puts the checksums of a segment right: of its header, its batches and their records.
fn seal_segment(bytes: &mut [u8]) {
    let header_sum = crc32c::crc32c(bytes.get(12..PAGE_BYTES).unwrap_or_default()).to_le_bytes();
    if let Some(field) = bytes.get_mut(8..12) {
        field.copy_from_slice(&header_sum);
    }
    for start in (PAGE_BYTES..bytes.len()).step_by(SECTOR_BYTES) {
        let rest = bytes.get_mut(start..).unwrap_or_default();
        let length = number(rest, 32);
        let Some(batch) = rest.get_mut(..length).filter(|batch| batch.len() >= 48 && batch.starts_with(b"RPBT")) else {
            continue;
        };
        let mut records = batch.get_mut(48..).unwrap_or_default();
        while records.len() >= 12 {
            let size = 12 + number(records, 4) + records.get(9).map_or(0, |size| usize::from(*size));
            let Some((record, others)) = records.split_at_mut_checked(size) else { break };
            let (checksum, covered) = record.split_at_mut(4);
            checksum.copy_from_slice(&crc32c::crc32c(covered).to_le_bytes());
            records = others;
        }
        let log_id = batch.get(8..24).unwrap_or_default();
        let place = [batch.get(28..32).unwrap_or_default(), batch.get(24..28).unwrap_or_default()].concat();
        let seed = crc32c::crc32c_append(crc32c::crc32c(log_id), &place);
        let sum = crc32c::crc32c_append(seed, batch.get(8..).unwrap_or_default()).to_le_bytes();
        batch.iter_mut().skip(4).zip(sum).for_each(|(byte, sum)| *byte = sum);
    }
}

/// Little-endian.
fn number(bytes: &[u8], at: usize) -> usize {
    let field = bytes.get(at..at + 4).and_then(|field| field.first_chunk::<4>());
    field.map_or(0, |field| u32::from_le_bytes(*field) as usize)
}

/// Puts the files on an empty disk, durably.
pub(super) fn put(disk: &SimDisk, files: Files) {
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

/// Files are named by their place among all: a segment and its side file take turns.
pub(super) fn seeds() -> Vec<Seed> {
    let at = |place: u32| place.to_le_bytes();
    let flip = |file: u8, place: u32| [&[FLIP, file, 0][..], &at(place), &[0x10]].concat();
    let forge = |file: u8, place: u32| [&[FORGE, file, 0][..], &at(place), &[0x10]].concat();
    let one = |change: &[u8]| [&[1][..], change].concat();
    vec![
        Seed::new("untouched", &[0]),
        Seed::new("segment-header", &one(&flip(0, 30))),
        Seed::new("segment-record", &one(&flip(0, 5000))),
        Seed::new("index-header", &one(&flip(1, 40))),
        Seed::new("index-page", &one(&flip(1, 5000))),
        Seed::new("index-pages", &[&[3][..], &flip(1, 5000), &flip(3, 9000), &flip(5, 4100)].concat()),
        Seed::new("index-short", &one(&[&[RESIZE, 1, 0][..], &at(5000)].concat())),
        Seed::new("index-gone", &one(&[REMOVE, 3, 0])),
        Seed::new("segment-gone", &one(&[REMOVE, 2, 0])),
        Seed::new("index-of-another", &one(&[REPLACE, 1, 3])),
        Seed::new("forged-record", &one(&forge(0, 4170))),
        Seed::new("forged-key", &one(&forge(2, 4160))),
        Seed::new("forged-index-page", &one(&forge(1, 4110))),
        Seed::new("forged-index-header", &one(&forge(1, 39))),
    ]
}
