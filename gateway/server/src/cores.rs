//! The cores that this process may use, and the one that a shard thread stays on.
//!
//! A thread that stays on its core keeps its caches, and the kernel takes in what comes for it there. That holds only
//! while nobody else is put on the same core: with fewer cores than threads, or with a quota of processor time, which
//! stands for a container beside others that would all choose the same cores, the scheduler knows better.

use std::io;
use std::num::NonZero;
use std::thread;

use crate::config::PinShards;

/// Threads that can run at once, a quota counted in.
pub(crate) fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// A core for each of so many threads, or none for any of them.
pub(crate) fn for_threads(pin: PinShards, threads_count: usize) -> Vec<Option<usize>> {
    let chosen = match pin {
        PinShards::Auto => choose(threads_count, &allowed(), count()),
        PinShards::Off => Vec::new(),
    };
    if chosen.is_empty() { vec![None; threads_count] } else { chosen.into_iter().map(Some).collect() }
}

fn choose(threads_count: usize, allowed: &[usize], at_once: usize) -> Vec<usize> {
    let has_quota = at_once < allowed.len();
    if threads_count < 2 || threads_count > allowed.len() || has_quota {
        return Vec::new();
    }
    allowed.iter().copied().take(threads_count).collect()
}

#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// See above.
#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Keeps this thread on that core.
#[cfg(target_os = "linux")]
pub(crate) fn stay_on(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stay_on(_core: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_get_cores_of_their_own_or_none_does() {
        assert_eq!(choose(2, &[1, 4, 5], 3), [1, 4]);
        assert_eq!(choose(3, &[1, 4, 5], 3), [1, 4, 5]);
        assert_eq!(choose(4, &[1, 4, 5], 3), [0; 0], "more threads than cores");
        assert_eq!(choose(1, &[1, 4, 5], 3), [0; 0], "a single one finds its place");
        assert_eq!(choose(2, &[1, 4, 5], 2), [0; 0], "a quota");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_stays_where_it_was_put_and_others_do_not() {
        let before = allowed();
        let core = *before.last().expect("this one runs somewhere");
        let pinned = thread::spawn(move || stay_on(core).map(|()| allowed()));
        assert_eq!(pinned.join().expect("no panic").expect("it may use that core"), [core]);
        assert_eq!(allowed(), before);
    }
}
