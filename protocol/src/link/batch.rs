//! A batch on its way from one end of a link to the other.
//!
//! Within a process the builder itself travels, so that what was written is not copied again, and comes back, so that its
//! memory serves the next one. What another process sent is bytes.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use flatbuffers::FlatBufferBuilder;

/// Derefs to its bytes.
pub struct Batch(Form);

enum Form {
    /// Finished.
    Built(FlatBufferBuilder<'static>),
    Received(Vec<u8>),
}

impl Batch {
    pub(super) fn built(finished: FlatBufferBuilder<'static>) -> Batch {
        Batch(Form::Built(finished))
    }

    /// What built it, empty again, if that was in this process.
    pub(super) fn into_builder(self) -> Option<FlatBufferBuilder<'static>> {
        match self.0 {
            Form::Built(mut builder) => {
                builder.reset();
                Some(builder)
            }
            Form::Received(_) => None,
        }
    }
}

impl From<Vec<u8>> for Batch {
    fn from(bytes: Vec<u8>) -> Batch {
        Batch(Form::Received(bytes))
    }
}

impl Deref for Batch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Built(builder) => builder.finished_data(),
            Form::Received(bytes) => bytes,
        }
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Batch) -> bool {
        **self == **other
    }
}

impl Eq for Batch {}

impl fmt::Debug for Batch {
    // Never the text of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} bytes)", self.len())
    }
}
