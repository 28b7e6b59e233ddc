//! Under which conditions a figure was measured.

use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::options::Options;

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
    /// Whether the load runs on the same machine as the server.
    pub both_ends_here: bool,
    /// What an ack stands for.
    pub durability: &'static str,
    /// The commit of the checkout, with a + where it was changed.
    pub commit: String,
    /// The 1 minute load average before the run: above 0.5 somebody else is at work.
    pub load_average_before: f64,
    /// Pairs of users, both of whom write.
    pub pairs: usize,
    /// Bytes of a text.
    pub text_bytes: usize,
    /// What the latencies are.
    pub latency_is: &'static str,
    /// What the CPU figures include.
    pub cpu_is: &'static str,
    /// As it was run.
    pub command_line: String,
}

impl Conditions {
    pub(crate) fn now(options: &Options) -> Conditions {
        let system = rustix::system::uname();
        let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Conditions {
            kernel: system.release().to_string_lossy().into_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes(),
            nofile: nofile.current.unwrap_or(u64::MAX),
            both_ends_here: true,
            durability: "fsync",
            commit: commit(),
            load_average_before: load_average(),
            pairs: options.pairs,
            text_bytes: 128,
            latency_is: "from when a message was due at the paced rate until the other one has it",
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
