//! Names for the operations that the store has done beside its log.

use storage_log::OperationId;

pub(crate) struct SideIds(OperationId);

impl Default for SideIds {
    fn default() -> Self {
        SideIds(OperationId::FIRST_OF_EMBEDDER)
    }
}

impl SideIds {
    pub(crate) fn next(&mut self) -> OperationId {
        let id = self.0;
        self.0.0 += 1;
        id
    }
}
