//! CPU time of a process, by the names of its threads, as the kernel counts it: in ticks of 10 ms.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Seconds of CPU by thread name.
pub(crate) type CpuByThread = BTreeMap<String, f64>;

/// Adds that of a process that lives. Threads that have ended are not in it; a server has none of those.
pub(crate) fn add(cpu: &mut CpuByThread, process_id: u32) -> Result<()> {
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let tasks = fs::read_dir(format!("/proc/{process_id}/task")).context("the server has gone")?;
    for task in tasks {
        let path = task?.path();
        let stat = fs::read_to_string(path.join("stat")).context("cannot read /proc")?;
        // The name is in parentheses and may hold anything.
        let (front, fields) = stat.rsplit_once(") ").context("/proc has another form")?;
        let name = front.split_once('(').map_or("", |(_, name)| name);
        let field = |index: usize| fields.split(' ').nth(index).and_then(|field| field.parse::<f64>().ok());
        let ticks = field(11).zip(field(12)).map(|(user, system)| user + system).context("/proc has another form")?;
        *cpu.entry(name.to_owned()).or_default() += ticks / ticks_per_second;
    }
    Ok(())
}

/// Of the threads whose names are meant, between two moments, in seconds.
pub(crate) fn spent(before: &CpuByThread, after: &CpuByThread, is_meant: impl Fn(&str) -> bool) -> f64 {
    let meant = after.iter().filter(|(name, _)| is_meant(name));
    meant.map(|(name, seconds)| seconds - before.get(name).copied().unwrap_or_default()).sum()
}
