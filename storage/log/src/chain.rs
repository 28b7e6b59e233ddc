//! Operations that are done one after another, each only when the one before it has succeeded.

use std::collections::VecDeque;

use crate::disk::{DiskError, Operation, OperationId, Outcome};

/// Numbers operations.
#[derive(Default)]
pub(crate) struct OperationIds(u64);

impl OperationIds {
    pub(crate) fn next(&mut self) -> OperationId {
        self.0 += 1;
        OperationId(self.0)
    }
}

/// The rest of a sequence of operations whose answers are of no interest.
pub(crate) struct Chain {
    rest: VecDeque<Operation>,
    awaited: Option<OperationId>,
}

/// Where a chain stands.
pub(crate) enum Progress {
    Going,
    Finished,
    Failed(DiskError),
}

impl Chain {
    pub(crate) fn new(operations: impl IntoIterator<Item = Operation>) -> Self {
        Self { rest: operations.into_iter().collect(), awaited: None }
    }

    /// This chain, and then another.
    pub(crate) fn then(mut self, next: Self) -> Self {
        self.rest.extend(next.rest);
        self
    }

    pub(crate) fn poll_operation(&mut self, ids: &mut OperationIds) -> Option<(OperationId, Operation)> {
        if self.awaited.is_some() {
            return None;
        }
        let operation = self.rest.pop_front()?;
        let id = ids.next();
        self.awaited = Some(id);
        Some((id, operation))
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.awaited == Some(id)
    }

    pub(crate) fn handle(&mut self, result: Result<Outcome, DiskError>) -> Progress {
        self.awaited = None;
        match result {
            Err(error) => Progress::Failed(error),
            Ok(_) if self.rest.is_empty() => Progress::Finished,
            Ok(_) => Progress::Going,
        }
    }
}
