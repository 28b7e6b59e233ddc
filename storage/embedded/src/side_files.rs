//! The segments with their side files: which are there, and which is being written.

use storage_log::{Completion, DiskError, LogId, Monotonic, Operation, OperationId, Place};

use crate::seal::{SealChange, Sealer};
use crate::segments::{Segment, Segments};
use crate::side_ids::SideIds;

pub(crate) struct SideFiles {
    pub(crate) segments: Segments,
    pub(crate) ids: SideIds,
    /// The record that ends the newest snapshot: side files name it, so that a start finds it.
    pub(crate) snapshot: Option<Place>,
    sealer: Option<Sealer>,
}

impl SideFiles {
    /// Nothing is written before [`Self::begin`].
    pub(crate) fn new() -> SideFiles {
        SideFiles { segments: Segments::default(), ids: SideIds::default(), snapshot: None, sealer: None }
    }

    /// From now on full segments get their side file.
    pub(crate) fn begin(&mut self, log_id: LogId) {
        self.sealer.get_or_insert_with(|| Sealer::new(log_id));
    }

    /// A side file is being written.
    pub(crate) fn is_sealing(&self) -> bool {
        self.sealer.as_ref().is_some_and(|sealer| sealer.segment().is_some())
    }

    /// The next step of a side file.
    pub(crate) fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        let sealer = self.sealer.as_mut()?;
        if sealer.is_free()
            && let Some(segment) = self.segments.unsealed().next()
        {
            sealer.begin(segment, self.snapshot);
        }
        match self.segments.find(sealer.segment()?) {
            Some(Segment::Open(segment)) => sealer.poll_operation(&mut self.ids, segment),
            _ => unreachable!("a segment stays in memory until its side file is there"),
        }
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.sealer.as_ref().is_some_and(|sealer| sealer.awaits(id))
    }

    /// `Some`: the side file could not be written and will be tried again.
    pub(crate) fn handle(&mut self, now: Monotonic, completion: Completion) -> Option<DiskError> {
        let sealer = self.sealer.as_mut().expect("the caller asked whether it is awaited");
        match sealer.handle(now, completion) {
            SealChange::None => None,
            SealChange::Sealed(sealed) => {
                self.segments.put(Segment::Sealed(*sealed));
                None
            }
            SealChange::Failed(error) => Some(error),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Monotonic> {
        self.sealer.as_ref().and_then(Sealer::poll_timeout)
    }

    pub(crate) fn handle_timeout(&mut self, now: Monotonic) {
        if let Some(sealer) = &mut self.sealer {
            sealer.handle_timeout(now);
        }
    }
}
