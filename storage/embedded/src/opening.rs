//! Opening a store: the scan of the log feeds the index.

use storage_log::{Completion, Monotonic, Operation, OperationId, Purpose, Recovery};

use crate::error::OpenError;
use crate::index::Index;
use crate::options::EmbeddedOptions;
use crate::record::Row;
use crate::store::EmbeddedStore;

/// How far an opening is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpeningProgress {
    /// Records read so far.
    pub records_read: u64,
    /// Segments that have been begun, and all there are.
    pub segments_read: u32,
    /// See above.
    pub segments_total: u32,
}

/// A store that is being opened. After an error drop it.
pub struct Opening {
    options: EmbeddedOptions,
    recovery: Recovery,
    index: Index,
    progress: OpeningProgress,
}

impl Opening {
    /// Makes a store where there is none.
    pub fn new(options: EmbeddedOptions) -> Opening {
        let recovery = Recovery::new(options.log, Purpose::Open);
        Opening { options, recovery, index: Index::default(), progress: OpeningProgress::default() }
    }

    /// What to submit to the disk next.
    pub fn poll_operation(&mut self) -> Option<(OperationId, Operation)> {
        self.recovery.poll_operation()
    }

    /// An operation has ended.
    ///
    /// # Errors
    /// The store cannot be opened; nothing was changed.
    pub fn handle_completion(&mut self, completion: Completion) -> Result<(), OpenError> {
        self.recovery.handle_completion(completion)?;
        while let Some(recovered) = self.recovery.poll_record()? {
            let (place, class) = (recovered.place, recovered.record.class);
            let row = Row::decode(recovered.record);
            let applied = row.and_then(|row| self.index.apply(place, &row));
            applied.map_err(|fault| OpenError::Record { place, class, fault })?;
            self.progress.segments_read = place.segment.0;
        }
        let summary = self.recovery.summary();
        self.progress.records_read = summary.record_count;
        self.progress.segments_total = summary.segment_count;
        Ok(())
    }

    /// Whether [`Self::finish`] may be called.
    pub fn is_done(&self) -> bool {
        self.recovery.is_done()
    }

    /// How far it is.
    pub fn progress(&self) -> OpeningProgress {
        self.progress
    }

    /// The open store.
    ///
    /// # Panics
    /// Before [`Self::is_done`].
    pub fn finish(self, now: Monotonic) -> EmbeddedStore {
        EmbeddedStore::new(self.options, self.recovery.finish(now), self.index)
    }
}
