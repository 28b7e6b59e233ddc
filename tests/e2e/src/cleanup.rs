//! What has to be undone whatever happens: processes by their id, mounts, folders.
//!
//! Each is undone when its [`Guard`] is dropped, and all are, the newest first, when the process is interrupted, runs out
//! of time or loses its parent: see [`watch`] and [`limit`]. A kill -9 of this process leaves them behind.
//!
//! Making and undoing hold one lock, so that no end comes in between: what is made is known, what is gone is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::poll;

/// A process that was killed lets go of its files within this time.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// One thing to undo.
#[derive(Clone, Debug)]
pub enum Undo {
    /// A child that has not been waited for.
    Kill(Pid),
    /// A child that leads a group of its own, with that group.
    KillGroup(Pid),
    /// A mount point.
    Unmount(PathBuf),
    /// A folder with all that is in it.
    Remove(PathBuf),
}

struct Duties {
    last_number: u64,
    by_number: BTreeMap<u64, Undo>,
}

static DUTIES: Mutex<Duties> = Mutex::new(Duties { last_number: 0, by_number: BTreeMap::new() });

/// Undoes it when dropped.
#[derive(Debug)]
pub struct Guard(u64);

/// Makes it, and from then on it is to be undone.
pub fn made<T, E>(make: impl FnOnce() -> Result<T, E>, undo: impl FnOnce(&T) -> Undo) -> Result<(T, Guard), E> {
    let mut duties = duties();
    let made = make()?;
    duties.last_number += 1;
    let number = duties.last_number;
    duties.by_number.insert(number, undo(&made));
    Ok((made, Guard(number)))
}

impl Guard {
    /// It is undone already.
    pub fn discharge(self) {
        duties().by_number.remove(&self.0);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut duties = duties();
        let undo = duties.by_number.remove(&self.0);
        undo.iter().for_each(perform);
    }
}

/// Ends this process on INT and TERM, and when its parent ends, with everything undone.
pub fn watch() {
    set_parent_process_death_signal(Some(Signal::TERM)).expect("TERM is a signal");
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let why = runtime.block_on(async {
            let listen = |kind| signal(kind).expect("these signals can be listened for");
            let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
            tokio::select! {
                _ = interrupt.recv() => "interrupted",
                _ = terminate.recv() => "terminated",
            }
        });
        end(why)
    });
}

/// Likewise when it is not done after this time.
pub fn limit(time_max: Duration) {
    thread::spawn(move || {
        thread::sleep(time_max);
        end(&format!("not done after {} s", time_max.as_secs()))
    });
}

fn end(why: &str) -> ! {
    eprintln!("e2e: {why}; cleaning up");
    // Held to the end: whoever wants to make something more waits for ever.
    let duties = duties();
    duties.by_number.values().rev().for_each(perform);
    std::process::exit(2)
}

fn duties() -> std::sync::MutexGuard<'static, Duties> {
    // A panic elsewhere is no reason to leave things behind.
    DUTIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn perform(undo: &Undo) {
    match undo {
        // It may have ended by itself.
        Undo::Kill(pid) => drop(kill_process(*pid, Signal::KILL)),
        Undo::KillGroup(pid) => drop(kill_process_group(*pid, Signal::KILL)),
        Undo::Unmount(point) => unmount(point),
        Undo::Remove(path) => {
            if let Err(error) = std::fs::remove_dir_all(path) {
                eprintln!("e2e: cannot remove {}: {error}", path.display());
            }
        }
    }
}

fn unmount(point: &Path) {
    let is_unmounted = |flags: &[&str]| {
        let status = Command::new("umount").args(flags).arg(point).stderr(std::process::Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    // The last process may be on its way out, and its loop device goes with it only when nobody holds the mount.
    let unmounted = poll::until(UNMOUNT_TIMEOUT, || is_unmounted(&[]).then_some(()));
    if unmounted.is_none() && !is_unmounted(&["--lazy"]) {
        eprintln!("e2e: cannot unmount {}", point.display());
    }
}
