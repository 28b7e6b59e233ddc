//! How long the disk takes for what it is given.
//!
//! It sees operations as they leave for the disk and completions as they are taken, so a time includes the wait for the
//! turn of the router's thread that takes them: what the store has to wait for.

use std::collections::HashMap;
use std::time::Instant;

use storage_log::{Completion, FileName, Operation, OperationId};

use crate::figures::LogFigures;

#[derive(Default)]
pub(crate) struct DiskWatch {
    /// Bounded by what the store has under way.
    under_way: HashMap<OperationId, (Work, Instant)>,
}

#[derive(Clone, Copy)]
enum Work {
    Sync,
    Read { bytes: u32 },
    Other,
}

impl DiskWatch {
    pub(crate) fn submitted(&mut self, figures: &mut LogFigures, id: OperationId, operation: &Operation) {
        let work = match operation {
            Operation::Write { file: FileName::Segment(_), bytes, .. } => {
                figures.commits += 1;
                figures.batch_bytes.add(bytes.len() as u64);
                Work::Other
            }
            Operation::Write { bytes, .. } => {
                figures.side_written_bytes += bytes.len() as u64;
                Work::Other
            }
            Operation::Sync { file: FileName::Segment(_) } => Work::Sync,
            Operation::Read { length, .. } => Work::Read { bytes: *length },
            _ => Work::Other,
        };
        self.under_way.insert(id, (work, Instant::now()));
        figures.operations = self.under_way.len() as u64;
    }

    pub(crate) fn completed(&mut self, figures: &mut LogFigures, completion: &Completion) {
        match self.under_way.remove(&completion.id) {
            Some((Work::Sync, began)) => figures.sync_seconds.observe(began.elapsed()),
            Some((Work::Read { bytes }, began)) => {
                figures.read_bytes += u64::from(bytes);
                figures.disk_read_seconds.observe(began.elapsed());
            }
            Some((Work::Other, _)) | None => {}
        }
        figures.operations = self.under_way.len() as u64;
    }
}
