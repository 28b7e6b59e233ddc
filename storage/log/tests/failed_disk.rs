//! What a log does when its disk has failed or is full: schedules that random histories have found, by hand.

use std::time::Duration;

use storage_log::{
    Admission, AppendRefusal, AppendToken, Class, Disk, FileName, Log, LogEvent, LogId, LogIdentity, Monotonic,
    Operation, Options, Purpose, Record, Recovery, SimDisk, StoreIncarnation,
};

const NOW: Monotonic = Monotonic(Duration::ZERO);

/// Opens or checks, and answers the keys of all records.
fn recover(disk: &SimDisk, purpose: Purpose) -> (Log, Vec<String>) {
    let new_log = LogIdentity { log_id: LogId([1; 16]), incarnation: StoreIncarnation(1) };
    let mut recovery = Recovery::new(Options { segment_bytes: 64 << 10, ..Options::new(new_log) }, purpose);
    let mut seam = disk.clone();
    let mut keys = Vec::new();
    while !recovery.is_done() {
        while let Some((id, operation)) = recovery.poll_operation() {
            seam.submit(id, operation);
        }
        disk.perform_one();
        while let Some(completion) = seam.poll_completion() {
            recovery.handle_completion(completion).expect("nothing acked is lost");
        }
        while let Some(found) = recovery.poll_record().expect("nothing acked is damaged") {
            keys.push(String::from_utf8(found.record.key.to_vec()).expect("keys are text here"));
        }
    }
    (recovery.finish(NOW), keys)
}

/// A process with a log, one step of its disk after another.
struct Process {
    log: Log,
    disk: SimDisk,
    seam: SimDisk,
    events: Vec<LogEvent>,
}

impl Process {
    fn start(disk: &SimDisk) -> Process {
        let (log, _) = recover(disk, Purpose::Open);
        Process { log, disk: disk.clone(), seam: disk.clone(), events: Vec::new() }
    }

    fn append(&mut self, key: &str) {
        let record = Record { class: Class::State, format_version: 1, key: key.as_bytes(), payload: &[b"body"] };
        let refusal = self.log.append(AppendToken(1), Admission::Accepted, &[record], &mut Vec::new());
        assert!(matches!(refusal, Ok(()) | Err(AppendRefusal::Failed)), "there is room for {key}");
    }

    /// Whether there was anything to do. `fails`: which syncs and writes do.
    fn step(&mut self, fails: impl Fn(&Operation) -> bool) -> bool {
        while let Some((id, operation)) = self.log.poll_operation() {
            match operation {
                Operation::Sync { .. } if fails(&operation) => self.disk.fail_next_sync(),
                Operation::Write { .. } if fails(&operation) => self.disk.fail_next_write(),
                _ => {}
            }
            self.seam.submit(id, operation);
        }
        let has_done = self.disk.perform_one();
        while let Some(completion) = self.seam.poll_completion() {
            self.log.handle_completion(NOW, completion);
        }
        self.events.extend(std::iter::from_fn(|| self.log.poll_event()));
        has_done
    }

    fn kill(self) {
        self.disk.kill();
    }
}

/// The mark is there and its content is not. What the failed sync has left in the page cache will never be on the medium:
/// a reader who saw it would see it vanish with the check.
#[test]
fn a_mark_that_says_nothing_shows_what_a_check_will_find() {
    let disk = SimDisk::new(1, 1 << 20);
    let mut process = Process::start(&disk);
    process.append("acked");
    while process.step(|_| false) {}
    process.append("never acked");
    let is_marking = |file: &FileName| *file == FileName::NeedsCheck;
    while process.step(|operation| match operation {
        Operation::Write { file, .. } => is_marking(file),
        Operation::Sync { file } => !is_marking(file),
        _ => false,
    }) {}
    let last = process.events.last();
    assert!(matches!(last, Some(LogEvent::Failed { is_marked: false, .. })), "{last:?}");
    process.kill();
    let (log, shown) = recover(&disk, Purpose::Open);
    assert!(log.is_read_only());
    drop(log);
    let (_, kept) = recover(&disk, Purpose::Check);
    assert_eq!((&shown[..], &kept[..]), (&["acked".to_owned()][..], &["acked".to_owned()][..]));
}

/// Another file has failed while commits were under way, and the process was lost before it could say so. What a commit
/// wrote may be in the page cache only.
#[test]
fn what_a_read_only_log_shows_survives_a_loss_of_power() {
    let mut read_only_count = 0;
    for (seed, steps) in (0..40).flat_map(|seed| (1..24).map(move |steps| (seed, steps))) {
        let disk = SimDisk::new(seed, 1 << 20);
        let mut process = Process::start(&disk);
        for step in 0..steps {
            process.append(&step.to_string());
            process.step(|operation| matches!(operation, Operation::Sync { file: FileName::Prepared(_) }));
        }
        process.kill();
        let (log, shown) = recover(&disk, Purpose::Open);
        if log.is_read_only() {
            read_only_count += 1;
            disk.cut_power();
            let (_, kept) = recover(&disk, Purpose::Check);
            assert!(kept.starts_with(&shown), "seed {seed}, {steps} steps: {shown:?}, then {kept:?}");
        }
    }
    assert!(read_only_count > 100, "only {read_only_count} processes left a mark");
}

/// The seal of the last batch has no place to go, and nobody waits for it.
#[test]
fn a_full_log_on_a_full_disk_can_end_in_order() {
    let disk = SimDisk::new(1, 80 << 10);
    let mut process = Process::start(&disk);
    let record = Record { class: Class::State, format_version: 1, key: b"key", payload: &[&[0; 3000]] };
    loop {
        match process.log.append(AppendToken(1), Admission::Accepted, &[record], &mut Vec::new()) {
            Err(AppendRefusal::DiskLow) => break,
            Ok(()) | Err(AppendRefusal::Full) => process.step(|_| false),
            Err(refusal) => panic!("{refusal}"),
        };
    }
    process.log.seal();
    while process.step(|_| false) {}
    assert!(process.log.is_settled());
}
