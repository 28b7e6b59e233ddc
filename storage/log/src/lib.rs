//! A segmented append log with group commit, over a [`Disk`] seam: the place where a message becomes durable.
//!
//! A record is a class, a key and bytes; the log knows no chat, no index and no clock, and starts no thread. [`Recovery`]
//! opens a log and yields its records, [`Log`] takes new ones; both are state machines that emit [`Operation`]s and are
//! told of [`Completion`]s. [`RealDisk`] performs them on a folder with threads of its own; [`SimDisk`] performs them in
//! memory, deterministically, with every fault a disk can have.
//!
//! Promises: what was reported [`LogEvent::Appended`] survives a kill of the process and a loss of power; a record that
//! cannot be read as it was written is reported and never served; what was never reported is there wholly or not at all.

mod batch;
mod bytes;
mod chain;
mod check;
mod class;
mod commit;
mod disk;
mod error;
mod identity;
pub mod limits;
mod log;
mod mark;
mod monotonic;
mod options;
mod position;
mod reads;
mod real_disk;
mod record;
mod recovery;
mod scan;
mod segment;
mod sim_disk;
mod supply;

pub use check::{CheckError, check, check_each};
pub use class::Class;
pub use disk::{Completion, Disk, DiskError, FileName, Operation, OperationId, Outcome};
pub use error::{AppendRefusal, Corruption, Damage, Newer, NewerFeature, OpenError, ReadError, ReadRefusal};
pub use identity::{LogId, LogIdentity, StoreIncarnation};
pub use log::{Admission, AppendToken, Log, LogEvent, ReadToken};
pub use monotonic::Monotonic;
pub use options::Options;
pub use position::{Place, Position, SegmentNumber};
pub use real_disk::{FolderError, RealDisk};
pub use record::{Record, RecordView, StoredRecord};
pub use recovery::{Purpose, RecoveredRecord, Recovery, RecoverySummary};
pub use segment::FORMAT_VERSION;
pub use sim_disk::{FaultTallies, SimDisk, Tally};
