//! The seam between the simulated router and what it stores in.
//!
//! A store outlives the router: [`Store::crash`] is the router's death with requests under way, [`Store::open`] the
//! beginning of its next life. Invariant: a store does nothing between the times that [`Store::next_at`] names.

mod database;
mod embedded;
#[cfg(test)]
mod fixtures;
mod lying_disk;
mod sabotaged;
mod simulated;

pub use database::Database;
pub use embedded::EmbeddedHost;
pub use sabotaged::{Sabotage, SabotagedStore};
pub use simulated::SimulatedStore;

use std::time::Duration;

use protocol::ids::Epoch;
use protocol::time::Instant;
use storage_api::{Request, Response, StoreError, StoreToken, StoreTraits};
use storage_log::FaultTallies;

/// An answer that the router gets.
pub type Completion = (StoreToken, Result<Response, StoreError>);

/// Of which kind a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Plain rows, each durable alone.
    SingleRows,
    /// Plain rows behind one log.
    OneLog,
    /// The product's own, on a simulated disk.
    Embedded,
}

/// How kind the store is to whoever asks now.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// A request takes up to so long; of an embedded store, an operation of its disk.
    pub latency_max: Duration,
    /// So many of a thousand requests are not taken.
    pub unavailable_per_mille: u64,
    /// So many of a thousand writes of a store of single rows end without saying whether they were done.
    pub unknown_per_mille: u64,
}

impl Weather {
    /// No faults, and quick.
    pub const FAIR: Weather =
        Weather { latency_max: Duration::from_millis(4), unavailable_per_mille: 0, unknown_per_mille: 0 };
}

/// How a router ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process; the machine goes on.
    OfProcess,
    /// The machine loses power.
    OfMachine,
}

/// What can be done to the disk of an embedded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The next sync fails.
    SyncFails,
    /// The next write fails, perhaps half way.
    WriteFails,
    /// There is no room, or almost none.
    Full,
    /// A bit of what has been proved durable is another one.
    BitRots,
    /// A bit of an index beside the log is another one.
    IndexRots,
    /// Whoever uses it is to be lost after some operations.
    Interrupts,
}

/// What a store tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It may be asked.
    Opened {
        /// Higher than any before.
        epoch: Epoch,
        /// A write or a sync has failed in a life before, and no check has passed since.
        is_read_only: bool,
    },
    /// A check has passed; the process that made it is done.
    Checked,
    /// New work is to be shed, or no longer.
    Pressed(bool),
    /// What was asked for is damaged.
    Damaged(String),
    /// It does not open: what is there is damaged.
    Refused(String),
    /// The disk has failed: the process ends with exit code 74.
    Failed(String),
    /// As [`Harm::Interrupts`] wants it, now.
    Interrupted,
}

/// What bad weather and crashes did to requests, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreToll {
    /// Requests that took longer than they would have in fair weather.
    pub slowed: u64,
    /// Requests that were not taken.
    pub refused: u64,
    /// Writes whose outcome was not told.
    pub unknown: u64,
    /// Writes or rows under way at a crash that never became durable.
    pub lost: u64,
    /// Rows that became durable after the router that wrote them had died.
    pub late: u64,
    /// Files with a rotten bit that were made anew before anybody put it back.
    pub replaced: u64,
    /// What the disk of an embedded store has seen.
    pub disk: FaultTallies,
}

/// A store under simulation.
pub trait Store {
    /// What it says of itself.
    fn traits(&self) -> StoreTraits;
    /// A process begins that will serve. It may ask when it hears [`News::Opened`].
    fn open(&mut self, now: Instant);
    /// A process begins that only checks, since the disk has failed or may be rotten.
    fn check(&mut self, _now: Instant) {
        unreachable!("only a store with a disk is checked");
    }
    /// Takes a request; exactly one completion follows unless it crashes.
    fn submit(&mut self, now: Instant, token: StoreToken, request: Request);
    /// What is complete at `now`, in order.
    fn poll(&mut self, now: Instant) -> Vec<Completion>;
    /// What it tells unasked, oldest first.
    fn poll_news(&mut self) -> Option<News>;
    /// When to poll next.
    fn next_at(&self) -> Option<Instant>;
    /// What a crash may lose, counted: requests under way and not answered; of an embedded store, operations of its disk
    /// and sectors that wait for a sync.
    fn under_way(&self) -> usize;
    /// Whoever asked is dead: nothing is answered any more, and some of what was under way is lost.
    fn crash(&mut self, now: Instant, death: Death);
    /// From now on; `None`: as it was at first.
    fn set_weather(&mut self, weather: Option<Weather>);
    /// Does something to its disk. Whether there was anything to do it to.
    fn harm(&mut self, _harm: Harm) -> bool {
        false
    }
    /// Ends a harm that has not happened yet, or lasts.
    fn heal(&mut self, _harm: Harm) {}
    /// What has been suffered so far.
    fn toll(&self) -> StoreToll;
    /// What is durable, at once and without faults: for the checker and for setting up.
    fn look(&mut self, request: &Request) -> Response;
    /// What [`Store::look`] shows is read anew from the medium.
    ///
    /// # Errors
    /// It cannot be read.
    fn reread(&mut self) -> Result<(), String> {
        Ok(())
    }
}
