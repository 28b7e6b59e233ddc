//! The log on a real file system: restart, kill -9, lock, damage, truncation, the mark of a failure, a full disk.

mod process;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use process::{Process, SEGMENT_BYTES, StartError, TemporaryFolder};
use storage_log::{
    AppendRefusal, CheckError, Damage, Disk, FileName, FolderError, LogEvent, OpenError, Operation, OperationId,
    Outcome, ReadToken, RealDisk, SegmentNumber, check,
};

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}

fn commit_many(process: &mut Process, count: u64) {
    for token in 0..count {
        process.commit(token, format!("payload {token}").repeat(100).as_bytes());
    }
}

fn flip(path: &Path, offset: u32) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the segment is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset.into()).expect("it is long enough");
    file.write_all_at(&[byte[0] ^ 1], offset.into()).expect("it can be written");
}

#[test]
fn records_are_found_again_in_order_over_several_segments() {
    let folder = TemporaryFolder::new("again");
    let mut process = Process::start(&folder.0.join("made/on/the/way")).expect("the folder is empty");
    commit_many(&mut process, 100);
    process.settle();
    drop(process);
    let mut process = Process::start(&folder.0.join("made/on/the/way")).expect("nothing is damaged");
    assert!(process.summary.segment_count > 2, "{:?}", process.summary);
    assert_eq!(process.summary.torn_at, None);
    let keys: Vec<Vec<u8>> = process.found.iter().map(|(key, ..)| key.clone()).collect();
    assert_eq!(keys, (0..100u64).map(|token| token.to_be_bytes().to_vec()).collect::<Vec<_>>());
    let (key, payload, place) = process.found[77].clone();
    process.log.read(ReadToken(1), place, &key).expect("it is durable");
    let events = process.events();
    let [LogEvent::ReadDone { result: Ok(record), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(record.view().payload, payload);
}

/// Submits one operation and waits for it.
fn perform(disk: &mut RealDisk, woken: &Receiver<()>, operation: Operation) -> Outcome {
    disk.submit(OperationId(1), operation);
    loop {
        woken.recv().expect("the disk lives");
        if let Some(completion) = disk.poll_completion() {
            return completion.result.expect("nothing fails");
        }
    }
}

/// A process that was killed leaves an empty segment; the next one throws it away and makes another of that name.
#[test]
fn a_name_that_is_given_anew_shows_the_new_file() {
    let folder = TemporaryFolder::new("anew");
    let (wake, woken) = sync_channel(16);
    let notify = move || {
        let _is_awake = wake.send(());
    };
    let mut disk = RealDisk::open(&folder.0, notify).expect("the folder is empty");
    let (prepared, segment) = (FileName::Prepared(SegmentNumber(2)), FileName::Segment(SegmentNumber(2)));
    let mut perform = |operation| perform(&mut disk, &woken, operation);
    for (content, is_unlinked) in [(b"first", false), (b"other", true), (b"third", false)] {
        if is_unlinked {
            perform(Operation::Unlink { file: segment });
        }
        perform(Operation::Create { file: prepared, size_bytes: 4096 });
        perform(Operation::Write { file: prepared, offset: 0, bytes: content.to_vec() });
        perform(Operation::Rename { from: prepared, to: segment });
        let read = perform(Operation::Read { file: segment, offset: 0, length: 5 });
        assert_eq!(read, Outcome::Read(content.to_vec()));
        perform(Operation::Write { file: segment, offset: 5, bytes: b"!".to_vec() });
        let read = perform(Operation::Read { file: segment, offset: 5, length: 1 });
        assert_eq!(read, Outcome::Read(b"!".to_vec()), "what is written there is read there");
    }
}

#[test]
fn the_owner_is_woken_for_a_write_that_is_followed_by_the_end_of_another_file() {
    let folder = TemporaryFolder::new("woken");
    let (wake, woken) = sync_channel(1);
    let notify = move || {
        let _is_awake = wake.try_send(());
    };
    let mut disk = RealDisk::open(&folder.0, notify).expect("the folder is empty");
    let file = FileName::Segment(SegmentNumber(1));
    perform(&mut disk, &woken, Operation::Create { file, size_bytes: 4 << 20 });
    for _ in 0..20 {
        // The order to close waits behind the write, which takes longer than giving it. The unlinking fails, on another
        // thread, and may wake the owner for both.
        disk.submit(OperationId(1), Operation::Write { file, offset: 0, bytes: vec![7; 4 << 20] });
        disk.submit(OperationId(2), Operation::Unlink { file: FileName::Segment(SegmentNumber(9)) });
        for _ in 0..2 {
            while disk.poll_completion().is_none() {
                woken.recv_timeout(Duration::from_secs(10)).expect("somebody wakes the owner");
            }
        }
    }
}

#[test]
fn a_second_process_is_told_who_holds_the_folder() {
    let folder = TemporaryFolder::new("lock");
    let process = Process::start(&folder.0).expect("the folder is empty");
    match Process::start(&folder.0) {
        Err(StartError::Folder(FolderError::InUse { pid, .. })) => assert_eq!(pid, Some(std::process::id())),
        _ => panic!("two processes in one folder"),
    }
    drop(process);
    Process::start(&folder.0).expect("the lock went with its holder");
}

const CHILD_FOLDER: &str = "STORAGE_LOG_CHILD_FOLDER";

/// Not a test: the process that the next one kills.
#[test]
#[ignore = "started by the test below"]
fn child_that_commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let mut process = Process::start(Path::new(&folder)).expect("the log can be opened");
    let mut token = process.found.len() as u64;
    let mut out = std::io::stdout();
    loop {
        for _ in 0..7 {
            if process.append(token, &token.to_be_bytes().repeat(40)).is_ok() {
                token += 1;
            }
        }
        for event in process.turn() {
            if let LogEvent::Appended { token } = event {
                writeln!(out, "acked {}", token.0).expect("the parent reads");
            }
        }
    }
}

#[test]
fn what_was_acked_survives_kill_9() {
    let folder = TemporaryFolder::new("kill");
    let mut acked = None;
    for round in 1..=5u64 {
        let mut child = Command::new(std::env::current_exe().expect("a test has a file"))
            .args(["--ignored", "--exact", "--nocapture", "child_that_commits_until_it_is_killed"])
            .env(CHILD_FOLDER, &folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started once more");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut count = 0;
        for line in out.lines() {
            let line = line.expect("it is text");
            // The test runner's own words may share a line with the first of the child's.
            let Some((_, number)) = line.split_once("acked ") else { continue };
            acked = Some(number.parse::<u64>().expect("it is a number"));
            count += 1;
            if count == 150 * round {
                child.kill().expect("it runs");
            }
        }
        child.wait().expect("it was killed");
        let process = Process::start(&folder.0).expect("nothing is damaged");
        let last_acked = acked.expect("some were acked");
        assert!(process.found.len() as u64 > last_acked, "{last_acked} was acked, {} found", process.found.len());
        for (token, (key, payload, _)) in process.found.iter().enumerate() {
            assert_eq!(key, &(token as u64).to_be_bytes(), "record {token}");
            assert_eq!(payload, &(token as u64).to_be_bytes().repeat(40), "record {token}");
        }
    }
}

#[test]
fn a_flipped_bit_is_reported_with_its_place_and_never_served() {
    let folder = TemporaryFolder::new("rot");
    let mut process = Process::start(&folder.0).expect("the folder is empty");
    let place = process.commit(0, b"to be damaged");
    process.commit(1, b"behind it");
    let segment = folder.0.join("00000001.seg");
    flip(&segment, place.offset + place.length - 1);
    process.log.read(ReadToken(1), place, &0u64.to_be_bytes()).expect("it is durable");
    let events = process.events();
    let [LogEvent::ReadDone { result: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
    assert!(error.to_string().contains("00000001.seg is damaged at offset 4144"), "{error}");
    drop(process);
    for result in [
        Process::start(&folder.0).map(drop).map_err(StartError::into_open),
        check(&folder.0).map(drop).map_err(into_open),
    ] {
        let Err(OpenError::Corrupt(corruption)) = result else { panic!("it was opened") };
        assert_eq!((corruption.file, corruption.offset), (FileName::Segment(SegmentNumber::FIRST), 4096));
        assert!(matches!(corruption.damage, Damage::SyncedBatch { .. }));
    }
}

#[test]
fn a_shortened_a_missing_and_a_foreign_segment_are_refused() {
    let folder = TemporaryFolder::new("files");
    let mut process = Process::start(&folder.0).expect("the folder is empty");
    commit_many(&mut process, 100);
    drop(process);
    let damage = || match Process::start(&folder.0) {
        Err(StartError::Log(OpenError::Corrupt(corruption))) => (corruption.file.to_string(), corruption.damage),
        _ => panic!("it was opened"),
    };
    let second = folder.0.join("00000002.seg");
    let whole = std::fs::read(&second).expect("there are several segments");

    std::fs::write(&second, &whole[..whole.len() - 512]).expect("it can be written");
    assert_eq!(damage(), ("00000002.seg".to_owned(), Damage::Length { expected: 65536, found: 65024 }));
    std::fs::remove_file(&second).expect("it is there");
    assert_eq!(damage(), ("00000002.seg".to_owned(), Damage::MissingSegment));
    std::fs::copy(folder.0.join("00000001.seg"), &second).expect("it can be copied");
    assert_eq!(damage(), ("00000002.seg".to_owned(), Damage::WrongSegmentNumber));
    std::fs::write(&second, &whole).expect("it can be written");
    assert_eq!(Process::start(&folder.0).expect("all is well again").found.len(), 100);
}

#[test]
fn a_mark_makes_the_log_read_only_until_a_check_has_passed() {
    let folder = TemporaryFolder::new("mark");
    let mut process = Process::start(&folder.0).expect("the folder is empty");
    commit_many(&mut process, 10);
    drop(process);
    std::fs::write(folder.0.join("needs_check"), []).expect("the folder can be written");

    let mut process = Process::start(&folder.0).expect("reading goes on");
    assert!(process.log.is_read_only());
    assert_eq!(process.found.len(), 10);
    assert_eq!(process.append(10, b"x"), Err(AppendRefusal::NeedsCheck));
    let (key, _, place) = process.found[3].clone();
    process.log.read(ReadToken(1), place, &key).expect("it is durable");
    assert!(matches!(&process.events()[..], [LogEvent::ReadDone { result: Ok(_), .. }]));
    assert!(matches!(check(&folder.0), Err(CheckError::Folder(FolderError::InUse { .. }))));
    drop(process);

    let summary = check(&folder.0).expect("nothing is damaged");
    assert!(summary.was_marked);
    assert_eq!(summary.record_count, 10);
    let mut process = Process::start(&folder.0).expect("the mark is gone");
    process.commit(10, b"it goes on");
}

#[test]
fn a_check_of_a_folder_without_a_log_says_so_and_makes_nothing() {
    let folder = TemporaryFolder::new("nothing");
    assert!(matches!(check(&folder.0), Err(CheckError::Log(OpenError::NoLog))));
    assert!(!folder.0.exists());
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(TemporaryFolder);

impl SmallDisk {
    fn mount(name: &str, size: &str) -> Option<Self> {
        let folder = TemporaryFolder::new(name);
        std::fs::create_dir_all(&folder.0).expect("the temporary folder can be written");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&folder.0).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _shown_by_mount = Command::new("umount").arg("-l").arg(&self.0.0).status();
    }
}

#[test]
fn a_full_disk_sheds_new_work_serves_reads_and_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount("full", "2m") else {
        say("skipped: a full disk needs `mount -t tmpfs`, which needs root");
        return;
    };
    let folder = disk.0.0.join("data");
    let mut process = Process::start_with(&folder, 128 << 10, 0).expect("the disk is empty");
    let place = process.commit(0, b"the first");
    let filler = disk.0.0.join("filler");
    let filled = OpenOptions::new().create_new(true).write(true).open(&filler).expect("the disk has room");
    while (&filled).write_all(&[1; 4096]).is_ok() {}

    let mut token = 1;
    let deadline = Instant::now() + Duration::from_secs(30);
    let refusal = loop {
        assert!(Instant::now() < deadline, "a full disk was never noticed");
        match process.append(token, &[2; 3000]) {
            Ok(_) => token += 1,
            Err(AppendRefusal::Full) => {}
            Err(refusal) => break refusal,
        }
        let events = process.turn();
        assert!(!events.iter().any(|event| matches!(event, LogEvent::Failed { .. })), "{events:?}");
    };
    assert_eq!(refusal, AppendRefusal::DiskLow);
    process.settle();
    process.log.read(ReadToken(1), place, &0u64.to_be_bytes()).expect("it is durable");
    let is_served =
        |events: &[LogEvent]| events.iter().any(|event| matches!(event, LogEvent::ReadDone { result: Ok(_), .. }));
    while !is_served(&process.turn()) {
        assert!(Instant::now() < deadline, "a read was not served");
    }

    drop(process);
    let mut process = Process::start_with(&folder, 128 << 10, 0).expect("a full disk can be opened");
    assert_eq!(process.found.len() as u64, token, "what was accepted is there");
    std::fs::remove_file(&filler).expect("it is there");
    while process.append(token, &[3; 3000]).is_err() {
        assert!(Instant::now() < deadline, "it did not go on by itself");
        process.turn();
    }
    process.settle();
}

#[test]
fn a_full_disk_gets_the_room_of_the_ballast_which_is_made_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("ballast", "2m") else {
        say("skipped: a full disk needs `mount -t tmpfs`, which needs root");
        return;
    };
    let (folder, filler) = (disk.0.0.join("data"), disk.0.0.join("filler"));
    let mut process = Process::start_with(&folder, 0, 3 * SEGMENT_BYTES).expect("the disk is empty");
    let deadline = Instant::now() + Duration::from_secs(30);
    let wait_for = |process: &mut Process, is_wanted: bool| {
        while !process.turn().contains(&LogEvent::Ballast { is_there: is_wanted }) {
            assert!(Instant::now() < deadline, "nothing happens to the ballast");
        }
        assert_eq!(folder.join("ballast").exists(), is_wanted);
    };
    wait_for(&mut process, true);
    // What is in use has its successor, which is there before the disk is full.
    process.commit(0, &[1; 3000]);
    process.settle();
    let filled = OpenOptions::new().create_new(true).write(true).open(&filler).expect("the disk has room");
    while (&filled).write_all(&[1; 4096]).is_ok() {}
    drop(filled);
    let mut token = 1;
    while folder.join("ballast").exists() {
        assert!(Instant::now() < deadline, "a full disk was never noticed");
        token += u64::from(process.append(token, &[2; 3000]).is_ok());
        process.turn();
    }
    // Since then there is room for two more segments at least.
    let goal = token + 2 * u64::from(SEGMENT_BYTES) / 4000;
    while token < goal {
        assert!(Instant::now() < deadline, "the room of the ballast is not used");
        token += u64::from(process.append(token, &[3; 3000]).is_ok());
        process.turn();
    }
    process.settle();
    drop(process);
    let mut process = Process::start_with(&folder, 0, 3 * SEGMENT_BYTES).expect("a full disk can be opened");
    assert_eq!(process.found.len() as u64, token);
    std::fs::remove_file(&filler).expect("it is there");
    wait_for(&mut process, true);
    drop(process);
    let mut process = Process::start_with(&folder, 0, 0).expect("it can be opened");
    wait_for(&mut process, false);
}

impl StartError {
    fn into_open(self) -> OpenError {
        match self {
            Self::Log(error) => error,
            Self::Folder(error) => panic!("{error}"),
        }
    }
}

fn into_open(error: CheckError) -> OpenError {
    match error {
        CheckError::Log(error) => error,
        CheckError::Folder(error) => panic!("{error}"),
    }
}
