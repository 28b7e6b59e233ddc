//! A process of the simulated system: what reaches it, when it is awake, and what its surroundings let it do.
//!
//! A process works in *turns*: it collects what has arrived, reads its clocks, and hands both to the state machine it
//! hosts. It may be paused between turns, and between collecting and reading the clocks. What was meant for an earlier
//! life of it never reaches a later one.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use gateway_core::{AuthRefusal, ConnectionId, Identity};
use protocol::client::{ChangeNumber, EventNumber};
use protocol::time::Instant;
use storage_api::{Request, Response, StoreError, StoreToken};

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::network::{Happening, Network, WireId};
use crate::outcome::Work;
use crate::prng::Prng;
use crate::promise::Broken;
use crate::script::Order;
use crate::sighting::Place;
use crate::store::Store;
use crate::trace::Trace;

/// Names a process, over all its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessId {
    /// A gateway with one shard.
    Gateway(usize),
    /// The router with its store.
    Router,
    /// One installation of an app.
    Client(usize),
}

/// What reaches a process.
#[derive(Clone, Debug)]
pub enum Input {
    /// It runs.
    Start,
    /// Somebody uses the app.
    Order(Order),
    /// From the network.
    Wire(WireId, Happening),
    /// A gateway's verdict on a token.
    Authenticated(ConnectionId, Result<Identity, AuthRefusal>),
    /// From the router's store.
    Stored(StoreToken, Result<Response, StoreError>),
    /// The router's store is almost full, or no longer.
    Pressed(bool),
    /// An operator orders what is at this place to be erased.
    Erase(Place),
    /// It is time to dial again.
    Dial,
    /// All of a client's changes up to this one are on its disk.
    Persisted(ChangeNumber),
    /// A client's app is done with this event.
    Applied(EventNumber),
}

/// What a process can do beside thinking.
pub struct Surroundings<'a> {
    /// By true time.
    pub at: Instant,
    /// Who acts.
    pub process: ProcessId,
    /// All wires.
    pub network: &'a mut Network,
    /// The router's.
    pub store: &'a mut dyn Store,
    /// What everybody does.
    pub trace: &'a mut Trace,
    /// What clients see.
    pub ledger: &'a mut Ledger,
    /// What gets done.
    pub work: &'a mut Work,
    /// The first promise that was seen broken.
    pub broken: &'a mut Option<Broken>,
    /// Who is up and can be dialed.
    pub listeners: &'a BTreeSet<ProcessId>,
    /// Of the host.
    pub prng: &'a mut Prng,
    /// What is to reach the process itself later.
    pub later: Vec<(Duration, Input)>,
}

impl Surroundings<'_> {
    /// Takes the verdict of a check.
    pub fn judge(&mut self, verdict: Result<(), Broken>) {
        if let Err(broken) = verdict {
            self.broken.get_or_insert(broken);
        }
    }

    /// Asks the router's store.
    pub fn submit(&mut self, token: StoreToken, request: Request) {
        self.trace.note(self.at, format_args!("store is asked {} {request:?}", token.0));
        self.store.submit(self.at, token, request);
    }

    /// Asks for a wire.
    pub fn dial(&mut self, to: ProcessId) -> WireId {
        self.network.dial(self.at, self.process, to, self.listeners.contains(&to))
    }
}

/// The body of a process; its mind is elsewhere.
#[derive(Debug, Default)]
pub struct Process {
    /// Its machine's clocks.
    pub clock: Clock,
    /// What has arrived and was not collected.
    pub inbox: VecDeque<Input>,
    /// Whether a turn is on its way.
    pub is_woken: bool,
    /// No turn begins before.
    pub paused_until: Instant,
    /// Whether no turn has begun since it was paused.
    pub is_paused: bool,
    /// Whether its wall clock was stepped and nobody has used it since.
    pub has_new_clock: bool,
    /// The next turn is paused for so long between collecting and reading the clocks.
    pub nap: Option<Duration>,
    /// When its timer is set to.
    pub timer_at: Option<Instant>,
    /// How often it was started.
    pub life: u64,
    /// Whether it runs.
    pub is_up: bool,
}
