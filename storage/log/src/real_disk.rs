//! A folder on a real disk, with four threads of its own: one for commits, one for reads, one for what the embedder
//! writes beside the log, one for the rest.
//!
//! So no commit waits for a segment that is being prepared, nor a side file, and no read for a commit. A commit is a write
//! into space that was allocated *and written* before, and one fdatasync; space that is only allocated would cost each
//! commit a journal entry, which takes about twice as long.
//!
//! Dropping it finishes what was submitted, joins the threads and releases the folder.

mod folder;
mod perform;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::disk::{Completion, Disk, FileName, Operation, OperationId};
use crate::limits::{READS_IN_FLIGHT_MAX, SIDE_READS_IN_FLIGHT_MAX};
pub use folder::FolderError;
use perform::Performer;

/// Operations that wait for one thread. Only reads come in numbers; the rest is a handful.
const QUEUE_MAX: usize = READS_IN_FLIGHT_MAX + SIDE_READS_IN_FLIGHT_MAX + 16;
/// Completions that wait for the owner: everything that can be in flight, so that no thread waits for it.
const COMPLETIONS_MAX: usize = 4 * (QUEUE_MAX + 1);

type Notify = Arc<dyn Fn() + Send + Sync>;

/// What a thread is told.
enum Order {
    Perform(OperationId, Operation),
    /// The file of this name is about to go: a descriptor would keep its space, and show it under a name that another has.
    Close(FileName),
}

/// One thread with its queue.
struct Lane {
    operations: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// A folder on a real disk.
pub struct RealDisk {
    folder: PathBuf,
    commits: Lane,
    reads: Lane,
    sides: Lane,
    chores: Lane,
    completions: Receiver<Completion>,
    has_commits: Arc<AtomicBool>,
    lock: File,
}

impl RealDisk {
    /// Makes the folder if it is missing, and locks it. `notify` is called on the disk's threads after a completion can
    /// be polled; it should do no more than wake the owner, and must not wait for it.
    ///
    /// # Errors
    /// The folder is in use or cannot be used.
    pub fn open(folder: &Path, notify: impl Fn() + Send + Sync + 'static) -> Result<Self, FolderError> {
        folder::make(folder)?;
        let lock = folder::lock(folder)?;
        let notify: Notify = Arc::new(notify);
        let (done, completions) = sync_channel(COMPLETIONS_MAX);
        let has_commits = Arc::new(AtomicBool::new(false));
        let lane = |name: &str| {
            Lane::start(name, Performer::new(folder.to_owned(), has_commits.clone()), done.clone(), Arc::clone(&notify))
                .map_err(|error| FolderError::Io { path: folder.to_owned(), error })
        };
        Ok(Self {
            commits: lane("log-commit")?,
            reads: lane("log-read")?,
            sides: lane("log-side")?,
            chores: lane("log-chore")?,
            folder: folder.to_owned(),
            completions,
            has_commits,
            lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Disk for RealDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        let lane = match &operation {
            Operation::Read { .. } => &self.reads,
            _ if id.is_of_embedder() => &self.sides,
            Operation::Write { file: FileName::Segment(_), .. } | Operation::Sync { file: FileName::Segment(_) } => {
                self.has_commits.store(true, Ordering::Relaxed);
                &self.commits
            }
            _ => &self.chores,
        };
        if let Operation::Unlink { file } | Operation::Rename { to: file, .. } = operation {
            self.commits.send(Order::Close(file));
            self.reads.send(Order::Close(file));
        }
        lane.send(Order::Perform(id, operation));
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.completions.try_recv().ok()
    }
}

impl Drop for RealDisk {
    fn drop(&mut self) {
        self.has_commits.store(false, Ordering::Relaxed);
        for lane in [&mut self.commits, &mut self.reads, &mut self.sides, &mut self.chores] {
            lane.operations = None;
            if let Some(thread) = lane.thread.take() {
                assert!(thread.join().is_ok() || std::thread::panicking(), "a disk thread has panicked");
            }
        }
        // Closing it would not do: a child of ours that is just being started holds it as well until it has its own files.
        let unlocked = self.lock.unlock();
        assert!(unlocked.is_ok() || std::thread::panicking(), "a lock that is held can be given back");
    }
}

impl Lane {
    fn send(&self, order: Order) {
        let operations = self.operations.as_ref().expect("it is taken only when the disk is dropped");
        let sent = operations.try_send(order);
        assert!(sent.is_ok(), "the log keeps fewer operations in flight than a lane holds, and lanes do not end");
    }

    fn start(name: &str, performer: Performer, done: SyncSender<Completion>, notify: Notify) -> std::io::Result<Self> {
        let (operations, queue) = sync_channel(QUEUE_MAX);
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(performer, &queue, &done, &notify))?;
        Ok(Self { operations: Some(operations), thread: Some(thread) })
    }
}

fn run(mut performer: Performer, queue: &Receiver<Order>, done: &SyncSender<Completion>, notify: &Notify) {
    let mut next = queue.recv().ok();
    while let Some(order) = next {
        let (id, operation) = match order {
            Order::Perform(id, operation) => (id, operation),
            Order::Close(file) => {
                performer.close(file);
                // A write before it has left the waking to what follows.
                notify();
                next = queue.recv().ok();
                continue;
            }
        };
        let is_write = matches!(operation, Operation::Write { .. });
        let result = performer.perform(operation);
        let sent = done.try_send(Completion { id, result });
        assert!(sent.is_ok(), "there is room for everything that can be in flight, and the owner joins this thread");
        next = queue.try_recv().ok();
        // A write is followed by its sync: one wake-up does for both.
        if !(is_write && next.is_some()) {
            notify();
        }
        next = next.or_else(|| queue.recv().ok());
    }
}
