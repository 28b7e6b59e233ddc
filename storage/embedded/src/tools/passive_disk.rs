//! A folder that is only looked at: reads are done, and whatever would change something is answered as if it had been.
//! So a store that runs can be opened beside itself.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use storage_log::{Completion, DiskError, FileName, Operation, OperationId, Outcome};

pub(super) struct PassiveDisk {
    folder: PathBuf,
}

impl PassiveDisk {
    pub(super) fn new(folder: PathBuf) -> PassiveDisk {
        PassiveDisk { folder }
    }

    /// At once.
    pub(super) fn perform(&self, id: OperationId, operation: Operation) -> Completion {
        let result = match operation {
            Operation::List => self.list().map(Outcome::Listed),
            Operation::Read { file, offset, length } => self.read(file, offset, length).map(Outcome::Read),
            Operation::FreeSpace => Ok(Outcome::FreeSpace(u64::MAX)),
            Operation::Write { bytes, .. } => Ok(Outcome::Written(bytes)),
            _ => Ok(Outcome::Done),
        };
        Completion { id, result: result.map_err(|error| DiskError::from(&error)) }
    }

    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let Some(file) = entry.file_name().to_str().and_then(FileName::parse) {
                files.push((file, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn read(&self, file: FileName, offset: u32, length: u32) -> io::Result<Vec<u8>> {
        let mut opened = fs::File::open(self.folder.join(file.to_string()))?;
        opened.seek(SeekFrom::Start(offset.into()))?;
        let mut bytes = Vec::with_capacity(length as usize);
        opened.take(length.into()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
