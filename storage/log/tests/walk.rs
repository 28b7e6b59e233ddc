//! A walk looks at one segment and leaves everything as it is.

use storage_log::{
    Damage, Disk, LogId, LogIdentity, OpenError, Options, Purpose, Recovery, SegmentNumber, SimDisk, StoreIncarnation,
    limits,
};

#[test]
fn a_walk_of_a_segment_that_is_not_there_makes_none() {
    let new_log = LogIdentity { log_id: LogId([7; 16]), incarnation: StoreIncarnation(1) };
    let options = Options { segment_bytes: limits::SEGMENT_BYTES_MIN, disk_low_bytes: 0, ballast_bytes: 0, new_log };
    for first in [SegmentNumber::FIRST, SegmentNumber(3)] {
        let mut disk = SimDisk::new(0, 1 << 20);
        let mut recovery = Recovery::new(options, Purpose::Walk).starting_at(first);
        let (id, operation) = recovery.poll_operation().expect("it lists the folder");
        disk.submit(id, operation);
        disk.perform_one();
        let listed = recovery.handle_completion(disk.poll_completion().expect("it was performed"));
        let Err(OpenError::Corrupt(corruption)) = listed else { panic!("{listed:?}") };
        assert_eq!(corruption.damage, Damage::MissingSegment);
        assert_eq!(disk.used_bytes(), 0);
    }
}
