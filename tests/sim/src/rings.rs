//! A world of its own for the gateway's sockets: [`gateway_ring::Sockets`] as it ships, on a ring that does whatever a kernel
//! may do, an owner that sends back what it receives, and peers that check every byte.

mod echo;
mod kernel;
mod peer;
mod sabotaged;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use gateway_ring::Sockets;

use crate::prng::Prng;
use echo::Echo;
use kernel::{Kernel, SimulatedRing};
use peer::Peer;
pub use sabotaged::RingSabotage;
use sabotaged::SabotagedRing;

/// Turns of a seed. Peers are done long before.
const TURNS_MAX: u32 = 60_000;
const PEERS_MAX: u64 = 24;
const NEWCOMERS_PER_TURN_MAX: u64 = 4;

/// What must hold of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every byte arrives once, in order.
    Bytes,
    /// Nothing waits for ever.
    Progress,
    /// A slot is given away again only when nothing is under way on it.
    Slots,
    /// Every buffer comes back.
    Buffers,
}

/// A rule that a seed has found broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleBroken {
    /// Which.
    pub rule: Rule,
    /// How it shows.
    pub what: String,
}

impl RuleBroken {
    pub(crate) fn new(rule: Rule, what: impl Into<String>) -> RuleBroken {
        RuleBroken { rule, what: what.into() }
    }
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Rule::Bytes => "ring-bytes",
            Rule::Progress => "ring-progress",
            Rule::Slots => "ring-slots",
            Rule::Buffers => "ring-buffers",
        }
    }
}

impl fmt::Display for RuleBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken: {}", self.rule.name(), self.what)
    }
}

/// How often what may happen has happened.
pub type Tally = BTreeMap<&'static str, u64>;

/// Of one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingOutcome {
    /// What was broken, if anything.
    pub broken: Option<RuleBroken>,
    /// What happened; also how two runs of a seed are compared.
    pub tally: Tally,
}

/// Runs one seed.
pub fn run(seed: u64, sabotage: Option<RingSabotage>) -> RingOutcome {
    let mut prng = Prng::new(seed);
    let kernel = Rc::new(RefCell::new(Kernel::new(prng.fork())));
    let ring = SabotagedRing::new(SimulatedRing::new(kernel.clone()), sabotage);
    let newcomers_per_turn_max = 1 + prng.below(NEWCOMERS_PER_TURN_MAX) as u32;
    let mut echo = Echo::new(Sockets::new(ring, newcomers_per_turn_max), prng.fork());
    let peers_count = 1 + prng.below(PEERS_MAX);
    let mut peers: Vec<Peer> = (0..peers_count).map(|_| Peer::new(prng.fork())).collect();
    let mut broken = None;
    for _ in 0..TURNS_MAX {
        for peer in &mut peers {
            broken = broken.or(peer.turn(&mut kernel.borrow_mut()).err());
        }
        echo.turn(Duration::ZERO);
        if peers.iter().all(Peer::is_done) {
            echo.stop();
        }
        broken = broken.or_else(|| kernel.borrow_mut().take_broken());
        if broken.is_some() || echo.is_over() {
            break;
        }
    }
    let broken = broken.or_else(|| at_the_end(&echo, &peers, &kernel.borrow()));
    RingOutcome { broken, tally: kernel.borrow().tally().clone() }
}

fn at_the_end(echo: &Echo, peers: &[Peer], kernel: &Kernel) -> Option<RuleBroken> {
    if !echo.is_over() {
        let waiting = peers.iter().filter(|peer| !peer.is_done()).count();
        let what = format!("{waiting} peers wait, and {} sockets are open", echo.open_count());
        return Some(RuleBroken::new(Rule::Progress, what));
    }
    let missing = kernel.buffers_missing();
    (missing > 0).then(|| RuleBroken::new(Rule::Buffers, format!("{missing} did not come back")))
}
