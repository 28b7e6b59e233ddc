//! Under which conditions a figure was measured.

use std::fs;
use std::process::Command;

use rustix::process::Resource;
use serde::Serialize;

use crate::product_peer::BODY_SIZE;

/// See each field.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// Of the kernel.
    pub kernel: String,
    /// That the process may use.
    pub cores: usize,
    /// Of the machine, in bytes.
    pub memory_bytes: u64,
    /// Descriptors that a process may have.
    pub nofile: u64,
    /// Bytes that a process may lock, of which io_uring takes; `null` for any number.
    pub memlock_bytes: Option<u64>,
    /// Whether the load runs on the same machine as the server.
    pub both_ends_here: bool,
    /// What an ack stands for.
    pub durability: &'static str,
    /// The commit of the checkout, with a + where it was changed.
    pub commit: String,
    /// The 1 minute load average before the run: above 0.5 somebody else is at work.
    pub load_average_before: f64,
    /// Bytes of a text.
    pub text_bytes: usize,
    /// What the CPU figures include.
    pub cpu_is: &'static str,
    /// As it was run.
    pub command_line: String,
}

impl Conditions {
    /// As they are now.
    pub fn now(both_ends_here: bool) -> Conditions {
        let system = rustix::system::uname();
        let limit = |resource| rustix::process::getrlimit(resource).current;
        Conditions {
            kernel: system.release().to_string_lossy().into_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes(),
            nofile: limit(Resource::Nofile).unwrap_or(u64::MAX),
            memlock_bytes: limit(Resource::Memlock),
            both_ends_here,
            durability: "fsync",
            commit: commit(),
            load_average_before: load_average(),
            text_bytes: BODY_SIZE,
            cpu_is: "all threads of the server, user and system; router, log and index within their thread by the clock",
            command_line: std::env::args().collect::<Vec<_>>().join(" "),
        }
    }
}

fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    total.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default() + if changed { "+" } else { "" }
}
