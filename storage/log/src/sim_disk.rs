//! A disk in memory, for tests and for `tests/sim`: deterministic, from a seed, with every fault a disk can have.
//!
//! It is not a model of performance. Submitted operations wait until [`SimDisk::perform_one`] performs one of those that
//! the promises of [`Disk`] allow to be next, so its caller decides about delay and the seed about order. What is
//! performed can be read; what is also synced survives [`SimDisk::cut_power`]. Anything else survives in part: by
//! 512-byte sectors or 4 KiB pages, in any order, names and lengths likewise.
//!
//! A handle is cheap to clone: a test keeps one and hands another to the process that it kills.

mod file;
mod folder;
mod random;
mod tally;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::rc::Rc;

use crate::disk::{Completion, Disk, DiskError, FileName, Operation, OperationId, Outcome};
use file::SimFile;
use folder::{FileIndex, Folder};
use random::Random;
pub use tally::{FaultTallies, Tally};

struct State {
    random: Random,
    folder: Folder,
    files: BTreeMap<FileIndex, SimFile>,
    file_count: usize,
    capacity_bytes: u64,
    queue: VecDeque<(OperationId, Operation)>,
    completions: VecDeque<Completion>,
    fails_next_sync: bool,
    fails_next_write: bool,
    /// Files whose sync has failed in this process.
    failed_files: BTreeSet<FileIndex>,
    tallies: FaultTallies,
}

/// A simulated disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, capacity_bytes: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            folder: Folder::default(),
            files: BTreeMap::new(),
            file_count: 0,
            capacity_bytes,
            queue: VecDeque::new(),
            completions: VecDeque::new(),
            fails_next_sync: false,
            fails_next_write: false,
            failed_files: BTreeSet::new(),
            tallies: FaultTallies::default(),
        };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    /// Performs one submitted operation. `false` if there is none.
    pub fn perform_one(&self) -> bool {
        self.state.borrow_mut().perform_one()
    }

    /// How many operations wait to be performed.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.state.borrow().queue.len()
    }

    /// The process that uses the disk is killed: of what it had submitted some part is done, and nobody hears of it.
    /// The page cache stays. The handles of that process are of no more use.
    pub fn kill(&self) {
        self.state.borrow_mut().kill();
    }

    /// The machine loses power: as [`SimDisk::kill`], and of what was not synced some part is lost.
    pub fn cut_power(&self) {
        let mut state = self.state.borrow_mut();
        state.stop_process();
        state.cut_power();
    }

    /// The next sync of a file or the folder fails, and later ones claim success without having written what it left.
    pub fn fail_next_sync(&self) {
        self.state.borrow_mut().fails_next_sync = true;
    }

    /// The next write fails, perhaps half way.
    pub fn fail_next_write(&self) {
        self.state.borrow_mut().fails_next_write = true;
    }

    /// Flips one bit of a file on the medium. Does nothing outside of it.
    ///
    /// # Panics
    /// If `bit` is over 7.
    pub fn flip_bit(&self, file: FileName, offset: u32, bit: u8) {
        assert!(bit < 8, "a byte has eight bits");
        let state = &mut *self.state.borrow_mut();
        let Some(file) = state.folder.find(file).and_then(|index| state.files.get_mut(&index)) else { return };
        if (offset as usize) < file.len() {
            file.flip_bit(offset as usize, bit);
            state.tallies.rotten_bits.fired += 1;
        }
    }

    /// Makes the disk larger or smaller; less than is used means full.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state.borrow_mut().capacity_bytes = capacity_bytes;
    }

    /// Bytes that files take.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.borrow().used_bytes()
    }

    /// What a read of the file would see; `None` if there is no such file.
    #[must_use]
    pub fn content(&self, file: FileName) -> Option<Vec<u8>> {
        let state = &mut *self.state.borrow_mut();
        let index = state.folder.find(file)?;
        let file = state.files.get_mut(&index)?;
        Some(file.read(0, file.len(), &mut FaultTallies::default()))
    }

    /// Another disk, with what is on the medium of this one: what is left if the power fails now and nothing unsynced
    /// survives it.
    #[must_use]
    pub fn medium(&self) -> Self {
        let state = self.state.borrow();
        let medium = Self::new(0, u64::MAX);
        {
            let copy = &mut *medium.state.borrow_mut();
            copy.folder = state.folder.medium();
            copy.files = state.files.iter().map(|(index, file)| (*index, file.medium())).collect();
            copy.file_count = state.file_count;
            copy.forget_nameless();
        }
        medium
    }

    /// The faults so far.
    #[must_use]
    pub fn tallies(&self) -> FaultTallies {
        self.state.borrow().tallies
    }
}

impl Disk for SimDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        self.state.borrow_mut().queue.push_back((id, operation));
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.state.borrow_mut().completions.pop_front()
    }
}

const NOT_FOUND: DiskError = DiskError { kind: ErrorKind::NotFound, os_code: None };
const ALREADY_EXISTS: DiskError = DiskError { kind: ErrorKind::AlreadyExists, os_code: None };
const FULL: DiskError = DiskError { kind: ErrorKind::StorageFull, os_code: None };
const BROKEN: DiskError = DiskError { kind: ErrorKind::Other, os_code: None };

impl State {
    fn used_bytes(&self) -> u64 {
        self.files.values().map(|file| file.len() as u64).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.capacity_bytes.saturating_sub(self.used_bytes())
    }

    fn perform_one(&mut self) -> bool {
        let Some((id, operation)) = self.take_any() else { return false };
        let result = self.perform(operation);
        self.completions.push_back(Completion { id, result });
        true
    }

    /// One of the operations that need not wait for another.
    fn take_any(&mut self) -> Option<(OperationId, Operation)> {
        if self.queue.is_empty() {
            return None;
        }
        let mut index = self.random.below(self.queue.len());
        // If it has to wait, then for an earlier one; the earliest waits for none.
        while let Some(blocker) = self.first_blocker(index) {
            index = blocker;
        }
        self.queue.remove(index)
    }

    fn first_blocker(&self, index: usize) -> Option<usize> {
        let (_, operation) = self.queue.get(index)?;
        self.queue.iter().take(index).position(|(_, earlier)| must_precede(earlier, operation))
    }

    fn perform(&mut self, operation: Operation) -> Result<Outcome, DiskError> {
        match operation {
            Operation::List => {
                let sizes = self.folder.names().map(|(name, index)| (name, self.files[&index].len() as u64));
                Ok(Outcome::Listed(sizes.collect()))
            }
            Operation::Create { file, size_bytes } => self.create(file, size_bytes),
            Operation::Write { file, offset, bytes } => self.write(file, offset as usize, bytes),
            Operation::Sync { file } => self.sync(file),
            Operation::Read { file, offset, length } => {
                let index = self.folder.find(file).ok_or(NOT_FOUND)?;
                let file = self.files.get_mut(&index).expect("a name has a file");
                Ok(Outcome::Read(file.read(offset as usize, length as usize, &mut self.tallies)))
            }
            Operation::Rename { from, to } => {
                self.folder.find(from).ok_or(NOT_FOUND)?;
                self.folder.rename(from, to);
                Ok(Outcome::Done)
            }
            Operation::Trim { file, offset } => {
                let index = self.folder.find(file).ok_or(NOT_FOUND)?;
                let file = self.files.get_mut(&index).expect("a name has a file");
                file.write(offset as usize, vec![0; file.len().saturating_sub(offset as usize)]);
                Ok(Outcome::Done)
            }
            Operation::Unlink { file } => {
                self.folder.find(file).ok_or(NOT_FOUND)?;
                self.folder.unlink(file);
                Ok(Outcome::Done)
            }
            Operation::SyncFolder => {
                if std::mem::take(&mut self.fails_next_sync) {
                    self.tallies.failed_syncs.count(self.folder.has_unsynced());
                    self.folder.fail_sync();
                    return Err(BROKEN);
                }
                self.folder.sync();
                self.forget_nameless();
                Ok(Outcome::Done)
            }
            Operation::DropCache { file } => {
                let index = self.folder.find(file).ok_or(NOT_FOUND)?;
                self.files.get_mut(&index).expect("a name has a file").drop_cache();
                Ok(Outcome::Done)
            }
            Operation::FreeSpace => Ok(Outcome::FreeSpace(self.free_bytes())),
        }
    }

    fn create(&mut self, file: FileName, size_bytes: u32) -> Result<Outcome, DiskError> {
        if self.folder.find(file).is_some() {
            return Err(ALREADY_EXISTS);
        }
        let index = FileIndex(self.file_count);
        self.file_count += 1;
        self.folder.create(file, index);
        let allocated_bytes = u64::from(size_bytes).min(self.free_bytes());
        let mut created = SimFile::default();
        created.set_len(allocated_bytes as usize);
        self.files.insert(index, created);
        if allocated_bytes < u64::from(size_bytes) {
            self.tallies.full.count(true);
            return Err(FULL);
        }
        Ok(Outcome::Done)
    }

    fn write(&mut self, file: FileName, offset: usize, mut bytes: Vec<u8>) -> Result<Outcome, DiskError> {
        let index = self.folder.find(file).ok_or(NOT_FOUND)?;
        let is_segment = matches!(file, FileName::Segment(_));
        let file = self.files.get_mut(&index).expect("a name has a file");
        let is_allocated = offset + bytes.len() <= file.len();
        assert!(is_allocated || !is_segment, "a batch is written into space that was allocated");
        if std::mem::take(&mut self.fails_next_write) {
            bytes.truncate(self.random.below(bytes.len() + 1));
            self.tallies.failed_writes.count(!bytes.is_empty());
            file.write(offset, bytes);
            return Err(BROKEN);
        }
        file.write(offset, bytes.clone());
        Ok(Outcome::Written(bytes))
    }

    fn sync(&mut self, file: FileName) -> Result<Outcome, DiskError> {
        let index = self.folder.find(file).ok_or(NOT_FOUND)?;
        assert!(!self.failed_files.contains(&index), "a failed sync is never tried again");
        let file = self.files.get_mut(&index).expect("a name has a file");
        if std::mem::take(&mut self.fails_next_sync) {
            self.tallies.failed_syncs.count(file.has_unsynced());
            file.fail_sync();
            self.failed_files.insert(index);
            return Err(BROKEN);
        }
        file.sync();
        Ok(Outcome::Done)
    }

    fn kill(&mut self) {
        let has_unsynced = self.folder.has_unsynced() || self.files.values().any(SimFile::has_unsynced);
        self.tallies.kills.count(!self.queue.is_empty() || has_unsynced);
        self.stop_process();
    }

    /// Some of the operations in flight are done, one of them perhaps half.
    fn stop_process(&mut self) {
        let performed_count = self.random.below(self.queue.len() + 1);
        for _ in 0..performed_count {
            if let Some((_, operation)) = self.take_any() {
                let _nobody_hears_of_it = self.perform(operation);
            }
        }
        if let Some((_, Operation::Write { file, offset, mut bytes })) = self.take_any() {
            bytes.truncate(self.random.below(bytes.len() + 1));
            let _nobody_hears_of_it = self.write(file, offset as usize, bytes);
        }
        self.queue.clear();
        self.completions.clear();
        self.failed_files.clear();
        self.fails_next_sync = false;
        self.fails_next_write = false;
    }

    fn cut_power(&mut self) {
        let loses_names = self.folder.has_unsynced();
        let loses_bytes = self.files.values().any(SimFile::differs_from_medium);
        self.tallies.power_cuts.count(loses_names || loses_bytes);
        self.folder.cut_power(&mut self.random, &mut self.tallies);
        for file in self.files.values_mut() {
            file.cut_power(&mut self.random, &mut self.tallies);
        }
        self.forget_nameless();
    }

    fn forget_nameless(&mut self) {
        let folder = &self.folder;
        self.files.retain(|index, _| folder.mentions(*index));
    }
}

/// Whether the promises of [`Disk`] put `earlier` before `later`.
fn must_precede(earlier: &Operation, later: &Operation) -> bool {
    let (earlier, later) = (Scope::of(earlier), Scope::of(later));
    let share_file = earlier.files.iter().flatten().any(|file| later.files.contains(&Some(*file)));
    (earlier.is_of_folder && later.is_of_folder) || share_file
}

/// Where an operation has to keep its turn.
struct Scope {
    files: [Option<FileName>; 2],
    is_of_folder: bool,
}

impl Scope {
    fn of(operation: &Operation) -> Self {
        let (files, is_of_folder) = match operation {
            Operation::List | Operation::SyncFolder => ([None, None], true),
            Operation::Create { file, .. } | Operation::Unlink { file } => ([Some(*file), None], true),
            Operation::Rename { from, to } => ([Some(*from), Some(*to)], true),
            Operation::Write { file, .. } | Operation::Sync { file } | Operation::Trim { file, .. } => {
                ([Some(*file), None], false)
            }
            Operation::Read { .. } | Operation::DropCache { .. } | Operation::FreeSpace => ([None, None], false),
        };
        Self { files, is_of_folder }
    }
}
