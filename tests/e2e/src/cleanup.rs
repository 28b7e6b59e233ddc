//! What has to be undone whatever happens: processes by their id, mounts, folders.
//!
//! Each is undone when its [`Guard`] is dropped, and all are, the newest first, when the process is interrupted or runs
//! out of time. A kill -9 of this process leaves them behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// One thing to undo.
#[derive(Clone, Debug)]
pub enum Undo {
    /// A child that has not been waited for.
    Kill(Pid),
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

/// From now on this is to be undone.
pub fn on_end(undo: Undo) -> Guard {
    let mut duties = duties();
    duties.last_number += 1;
    let number = duties.last_number;
    duties.by_number.insert(number, undo);
    Guard(number)
}

impl Guard {
    /// It is undone already.
    pub fn discharge(self) {
        duties().by_number.remove(&self.0);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let undo = duties().by_number.remove(&self.0);
        undo.iter().for_each(perform);
    }
}

/// Ends this process on INT and TERM, and when it takes longer than this, with everything undone.
pub fn watch(time_max: Duration) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let why = runtime.block_on(async {
            let listen = |kind| signal(kind).expect("these signals can be listened for");
            let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
            tokio::select! {
                _ = interrupt.recv() => "interrupted".to_owned(),
                _ = terminate.recv() => "terminated".to_owned(),
                () = tokio::time::sleep(time_max) => format!("not done after {} s", time_max.as_secs()),
            }
        });
        eprintln!("e2e: {why}; cleaning up");
        let undone: Vec<Undo> = std::mem::take(&mut duties().by_number).into_values().collect();
        undone.iter().rev().for_each(perform);
        std::process::exit(2);
    });
}

fn duties() -> std::sync::MutexGuard<'static, Duties> {
    // A panic elsewhere is no reason to leave things behind.
    DUTIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn perform(undo: &Undo) {
    match undo {
        // It may have ended by itself.
        Undo::Kill(pid) => drop(kill_process(*pid, Signal::KILL)),
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
    // The last process may be on its way out.
    if !is_unmounted(&[]) && !is_unmounted(&["--lazy"]) {
        eprintln!("e2e: cannot unmount {}", point.display());
    }
}
