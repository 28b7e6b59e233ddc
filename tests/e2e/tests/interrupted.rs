//! A run that is interrupted in the middle leaves nothing behind: no process, no mount, no loop device, no folder.

#![allow(clippy::print_stdout, reason = "a reason to skip is for a person to see")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::scratch::Scratch;
use e2e::{binary, poll};
use rustix::process::{Pid, Signal, kill_process};

/// A machine with other things to do takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the kernel may take to clear up.
const LATENESS: Duration = Duration::from_secs(5);

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    binary::ringpost().expect("it builds");
    for signal in [Signal::INT, Signal::TERM] {
        let scratch = Scratch::on_disk("interrupted").expect("a folder");
        let mut run = start(scratch.path());
        let pid = run.id();
        let lines = BufReader::new(run.stdout.take().expect("it is piped")).lines();
        let mut lines = lines.map_while(Result::ok).inspect(|line| println!("{line}"));
        if !lines.any(|line| line.starts_with("cut 1 of")) {
            let exit_code = run.wait().expect("it has ended").code();
            assert_eq!(exit_code, Some(3), "neither a cut nor a reason to skip");
            return;
        }
        kill_process(Pid::from_child(&run), signal).expect("it runs");
        let ended = poll::until(PATIENCE, || run.try_wait().expect("it is a child")).expect("it ends");
        assert_eq!(ended.code(), Some(2));

        let place = scratch.path().to_str().expect("a path that is text");
        assert_eq!(entries(scratch.path(), ""), Vec::<String>::new(), "folders on disk");
        assert_eq!(entries(Path::new("/dev/shm"), &format!("-{pid}-")), Vec::<String>::new(), "folders in memory");
        let mounts = fs::read_to_string("/proc/mounts").expect("there is /proc");
        assert!(!mounts.contains(place), "a mount:\n{mounts}");
        // Both end a moment after the last who held them.
        for (what, left) in [("processes", processes as fn(&str) -> Vec<String>), ("loop devices", backing_files)] {
            let gone = poll::until(LATENESS, || left(place).is_empty().then_some(()));
            assert!(gone.is_some(), "{what}: {:?}", left(place));
        }
    }
}

/// Its folders on disk are in `place`.
fn start(place: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_e2e"));
    command.arg("power-cut").env("TMPDIR", place).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().expect("it starts")
}

fn entries(folder: &Path, part: &str) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains(part)).collect()
}

fn backing_files(place: &str) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").expect("there is /sys").flatten();
    let files = devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.filter(|file| file.contains(place)).collect()
}

/// Command lines that name it.
fn processes(place: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there is /proc").flatten();
    let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(place)).collect()
}
