//! Reads on their way to the disk, and the verification of what comes back.

use std::collections::BTreeMap;

use crate::chain::OperationIds;
use crate::disk::{DiskError, FileName, Operation, OperationId, Outcome};
use crate::error::ReadError;
use crate::limits::READS_IN_FLIGHT_MAX;
use crate::log::ReadToken;
use crate::position::Place;
use crate::record::StoredRecord;

struct Wanted {
    token: ReadToken,
    file: FileName,
    place: Place,
    key_prefix: Box<[u8]>,
}

/// At most [`READS_IN_FLIGHT_MAX`] reads.
#[derive(Default)]
pub(crate) struct Reads {
    wanted_by_id: BTreeMap<OperationId, Wanted>,
}

impl Reads {
    pub(crate) fn is_full(&self) -> bool {
        self.wanted_by_id.len() >= READS_IN_FLIGHT_MAX
    }

    pub(crate) fn begin(
        &mut self,
        ids: &mut OperationIds,
        token: ReadToken,
        file: FileName,
        place: Place,
        key_prefix: &[u8],
    ) -> (OperationId, Operation) {
        let id = ids.next();
        self.wanted_by_id.insert(id, Wanted { token, file, place, key_prefix: key_prefix.into() });
        let Place { offset, length, .. } = place;
        (id, Operation::Read { file, offset, length })
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.wanted_by_id.contains_key(&id)
    }

    pub(crate) fn handle(
        &mut self,
        id: OperationId,
        result: Result<Outcome, DiskError>,
    ) -> (ReadToken, Result<StoredRecord, ReadError>) {
        let Wanted { token, file, place, key_prefix } = self.wanted_by_id.remove(&id).expect("the caller asked for it");
        let verified = match result {
            Ok(Outcome::Read(bytes)) => StoredRecord::read_back(file, place, &key_prefix, bytes),
            Ok(other) => panic!("a read was answered with {other:?}"),
            Err(error) => Err(ReadError::Disk(error)),
        };
        (token, verified)
    }
}
