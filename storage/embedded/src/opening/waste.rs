//! Files that nobody will read: half written ones, and those that others have replaced.

use storage_log::{Completion, FileName, Operation, OperationId, SegmentNumber};

use crate::error::OpenError;
use crate::sealed_segment::Home;
use crate::side_ids::SideIds;

pub(super) struct Clearing {
    waste: Vec<FileName>,
    awaited: Option<OperationId>,
    /// What is read next.
    homes: Vec<(SegmentNumber, Home)>,
}

impl Clearing {
    pub(super) fn new(waste: Vec<FileName>, homes: Vec<(SegmentNumber, Home)>) -> Clearing {
        Clearing { waste, awaited: None, homes }
    }

    pub(super) fn poll_operation(&mut self, ids: &mut SideIds) -> Option<(OperationId, Operation)> {
        if self.awaited.is_some() {
            return None;
        }
        let file = self.waste.pop()?;
        let id = ids.next();
        self.awaited = Some(id);
        // Not made durable: one that comes back is thrown away again.
        Some((id, Operation::Unlink { file }))
    }

    pub(super) fn handle(&mut self, completion: Completion) -> Result<(), OpenError> {
        assert_eq!(self.awaited.take(), Some(completion.id), "somebody waits for every completion");
        match completion.result {
            Ok(_) => Ok(()),
            Err(error) => Err(storage_log::OpenError::Disk { doing: "remove an unfinished index", error }.into()),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.waste.is_empty() && self.awaited.is_none()
    }

    pub(super) fn take_homes(&mut self) -> Vec<(SegmentNumber, Home)> {
        std::mem::take(&mut self.homes)
    }
}
