//! Writes changes to the state folder without stopping the driver: one batch at a time, and what comes in the meantime
//! is the next batch.

use std::future::pending;

use protocol::client::{Change, ChangeNumber};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::state_dir::{StateDir, StateError};

pub(crate) struct Writer {
    /// `None` while a batch is being written, and for a transient client.
    state_dir: Option<StateDir>,
    waiting: Vec<Change>,
    last: ChangeNumber,
    writing: Option<JoinHandle<(StateDir, Result<ChangeNumber, StateError>)>>,
}

impl Writer {
    pub(crate) fn new(state_dir: Option<StateDir>) -> Writer {
        Writer { state_dir, waiting: Vec::new(), last: ChangeNumber(0), writing: None }
    }

    /// Bounded by what a session has in its outbox, and by its one cursor at a time.
    pub(crate) fn push(&mut self, number: ChangeNumber, change: Change) {
        self.waiting.push(change);
        self.last = number;
    }

    /// Begins to write what waits, if nothing is being written.
    pub(crate) fn start(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if let Some(mut state_dir) = self.state_dir.take() {
            let (changes, last) = (std::mem::take(&mut self.waiting), self.last);
            self.writing = Some(spawn_blocking(move || {
                let written = state_dir.write(&changes).map(|()| last);
                (state_dir, written)
            }));
        }
    }

    /// Waits until a batch is written: everything up to the number is on disk. Nothing is lost when the future is
    /// dropped.
    pub(crate) async fn written(&mut self) -> Result<ChangeNumber, StateError> {
        let Some(writing) = &mut self.writing else { return pending().await };
        let (state_dir, written) = writing.await.expect("writing does not panic, and nobody aborts it");
        self.writing = None;
        self.state_dir = Some(state_dir);
        written
    }
}
