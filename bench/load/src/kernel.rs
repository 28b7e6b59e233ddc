//! What the kernel must allow before so many connections can be: looked at, raised where we may, and otherwise named with
//! the command that does it. `tuning/` has the same for a server.

use std::fs;

use anyhow::{Result, bail, ensure};
use rustix::process::{Resource, getrlimit};

/// glommio locks memory for its rings, and does not start with less.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;
/// Descriptors of a worker that are not connections.
const OTHER_DESCRIPTORS: u64 = 500;
/// Of a connection, with both ends, kernel and user, as a rule of thumb.
const BYTES_PER_CONNECTION: u64 = 14 * 1024;

/// A setting under `/proc/sys`, of which the last number is looked at.
struct Need {
    key: &'static str,
    least: u64,
}

/// How many connections one worker may have.
pub(crate) fn connections_per_worker() -> Result<usize> {
    let nofile = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    ensure!(nofile > 2 * OTHER_DESCRIPTORS, "a process may have {nofile} descriptors only: `ulimit -n 20000`");
    Ok(usize::try_from(nofile - OTHER_DESCRIPTORS)?)
}

/// Checks and raises what so many connections with both ends here need; `say` is told what was raised.
pub(crate) fn prepare(connections: usize, mut say: impl FnMut(&str)) -> Result<()> {
    let memlock = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
    ensure!(
        memlock >= MEMLOCK_BYTES_MIN,
        "the load runs on glommio, which locks {} KiB of memory, and this process may lock {}: `ulimit -l 512`, or \
         `LimitMEMLOCK=512K` of its unit",
        MEMLOCK_BYTES_MIN / 1024,
        memlock / 1024
    );
    let (connections, available) = (connections as u64, bench_harness::memory_available_bytes()?);
    let wanted = connections * BYTES_PER_CONNECTION;
    ensure!(
        wanted < available,
        "{connections} connections with both ends here take about {} MiB, and {} MiB are available",
        wanted >> 20,
        available >> 20
    );
    for need in needs(connections) {
        raise(&need, &mut say)?;
    }
    Ok(())
}

/// Both ends are sockets here, and a page is reserved for each one that has something on its way.
fn needs(connections: u64) -> [Need; 5] {
    let sockets = 2 * connections;
    [
        Need { key: "net.ipv4.tcp_mem", least: sockets + 65_536 },
        Need { key: "net.core.somaxconn", least: connections.min(4_096) },
        Need { key: "net.ipv4.tcp_max_syn_backlog", least: connections.min(4_096) },
        Need { key: "net.netfilter.nf_conntrack_max", least: connections + 16_384 },
        Need { key: "fs.file-max", least: sockets + 65_536 },
    ]
}

fn raise(need: &Need, say: &mut impl FnMut(&str)) -> Result<()> {
    let path = format!("/proc/sys/{}", need.key.replace('.', "/"));
    // What is not there limits nothing.
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let Some(raised) = raised(&text, need.least) else { return Ok(()) };
    let (key, was) = (need.key, text.split_whitespace().collect::<Vec<_>>().join(" "));
    if fs::write(&path, &raised).is_err() {
        bail!("{key} is {was}, too little for so many connections: `sysctl -w {key}=\"{raised}\"` as root");
    }
    say(&format!("raised {key} to {raised}; `sysctl -w {key}=\"{was}\"` takes that back"));
    Ok(())
}

/// The numbers of a setting with the last one at its least, and those before it no lower than they were; `None` where
/// they will do.
fn raised(text: &str, least: u64) -> Option<String> {
    let mut numbers =
        text.split_whitespace().map(|number| number.parse::<u64>()).collect::<Result<Vec<_>, _>>().ok()?;
    let last = numbers.last_mut()?;
    if *last >= least {
        return None;
    }
    *last = least;
    // The others are where the kernel begins to save: below the last one, as they were to it.
    if let [low, pressure, high] = numbers.as_mut_slice() {
        (*low, *pressure) = ((*low).max(*high / 2), (*pressure).max(*high / 3 * 2));
    }
    Some(numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuning_names_every_setting_that_is_looked_at_with_enough_for_a_million() {
        let file = include_str!("../../../tuning/60-ringpost.conf");
        for need in needs(1_000_000) {
            let line =
                file.lines().find_map(|line| line.trim_start_matches('-').strip_prefix(need.key)?.strip_prefix(" = "));
            let line = line.unwrap_or_else(|| panic!("{} is not in tuning", need.key));
            assert_eq!(raised(line, need.least), None, "{}", need.key);
        }
    }

    #[test]
    fn what_will_do_stays_and_what_is_too_little_is_raised() {
        assert_eq!(raised("4096\n", 4096), None);
        assert_eq!(raised("128\n", 4096).as_deref(), Some("4096"));
        assert_eq!(raised("287901\t383869\t575802\n", 600_000).as_deref(), Some("300000 400000 600000"));
        assert_eq!(raised("287901\t383869\t575802\n", 575_802), None);
    }
}
