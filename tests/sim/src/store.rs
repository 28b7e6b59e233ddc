//! The seam between the simulated router and what it stores in.
//!
//! A store outlives the router: [`Store::crash`] is the router's death with requests under way. Invariant: a store does
//! nothing between the times that [`Store::next_at`] names.

mod database;
mod sabotaged;
mod simulated;

pub use database::Database;
pub use sabotaged::{Sabotage, SabotagedStore};
pub use simulated::SimulatedStore;

use std::time::Duration;

use protocol::time::Instant;
use storage_api::{Request, Response, StoreError, StoreToken, StoreTraits};

/// An answer that the router gets.
pub type Completion = (StoreToken, Result<Response, StoreError>);

/// How kind the store is to whoever asks now.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// A request takes up to so long.
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
}

/// A store under simulation.
pub trait Store {
    /// What it says of itself.
    fn traits(&self) -> StoreTraits;
    /// Takes a request; exactly one completion follows unless it crashes.
    fn submit(&mut self, now: Instant, token: StoreToken, request: Request);
    /// What is complete at `now`, in order.
    fn poll(&mut self, now: Instant) -> Vec<Completion>;
    /// When to poll next.
    fn next_at(&self) -> Option<Instant>;
    /// Requests under way and not answered.
    fn requests_under_way(&self) -> usize;
    /// Whoever asked is dead: nothing is answered any more, and some of what was under way is lost.
    fn crash(&mut self, now: Instant);
    /// From now on; `None`: as it was at first.
    fn set_weather(&mut self, weather: Option<Weather>);
    /// What has been suffered so far.
    fn toll(&self) -> StoreToll;
    /// What is durable, at once and without faults: for the checker and for setting up.
    fn look(&mut self, request: &Request) -> Response;
}
