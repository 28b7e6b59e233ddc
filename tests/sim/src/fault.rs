//! What can go wrong, and the table of how often it did and how often that mattered.

use std::collections::BTreeMap;

use crate::prng::Prng;

macro_rules! faults {
    ($($name:ident $text:literal,)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $(#[doc = $text] $name,)+ }

        impl Fault {
            /// Every kind, as the table lists them.
            pub const ALL: &[Fault] = &[$(Fault::$name,)+];

            /// For the table.
            pub fn text(self) -> &'static str {
                match self { $(Fault::$name => $text,)+ }
            }
        }
    };
}

faults! {
    GatewayKilled "gateway killed; mattered: frames or batches were under way",
    GatewayGone "gateway machine lost; mattered: frames or batches were under way",
    RouterKilled "router killed; mattered: store requests were under way",
    RowLost "write under way at a crash or given up, never durable",
    RowLate "row durable after its writer had given up on it or had died",
    ClientKilled "client killed; mattered: it had unsent messages or unsaved events",
    ClientReplaced "client started again beside its half-open connection; mattered: that one was still served",
    ConnectionReset "client connection reset; mattered: frames were lost",
    ConnectionHalfOpen "client connection half-open; mattered: frames were lost",
    ConnectionSilent "client connection dead and nobody told; mattered: frames were lost",
    ConnectionStalled "client connection stalled; mattered: something was held up",
    LinkReset "link to the router reset; mattered: batches were lost",
    LinkHalfOpen "link to the router half-open; mattered: batches were lost",
    LinkStalled "link to the router stalled; mattered: something was held up",
    ClockStepped "client's wall clock stepped; mattered: it sent something before it was right again",
    Paused "process paused; mattered: something arrived meanwhile",
    PausedBeforeClock "process paused between collecting and reading the clock; mattered: it had collected something",
    StoreSlow "store slow; mattered: requests waited",
    StoreRefusing "store not taking requests; mattered: some were refused",
    StoreUncertain "store not telling outcomes; mattered: some were not told",
    SentTwice "client sends again what is under way; mattered: it was acknowledged all the same",
    MemberGone "member removed or gone; mattered: messages were under way",
}

impl Fault {
    /// What a seed draws from; the other kinds follow from these or are part of daily life.
    const DRAWN: &[Fault] = &[
        Fault::GatewayKilled,
        Fault::GatewayGone,
        Fault::RouterKilled,
        Fault::RouterKilled,
        Fault::ClientKilled,
        Fault::ClientReplaced,
        Fault::ConnectionReset,
        Fault::ConnectionHalfOpen,
        Fault::ConnectionSilent,
        Fault::ConnectionStalled,
        Fault::LinkReset,
        Fault::LinkHalfOpen,
        Fault::LinkStalled,
        Fault::ClockStepped,
        Fault::Paused,
        Fault::PausedBeforeClock,
        Fault::StoreSlow,
        Fault::StoreRefusing,
        Fault::StoreUncertain,
        Fault::SentTwice,
    ];

    /// One of those. A store of one log always knows what it has done.
    pub fn draw(prng: &mut Prng, one_log: bool) -> Fault {
        let fault = *prng.pick(Fault::DRAWN);
        if one_log && fault == Fault::StoreUncertain { Fault::RouterKilled } else { fault }
    }
}

/// How often a fault was there, and how often it made a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// It happened.
    pub fired: u64,
    /// Something was lost, late, repeated or held up because of it.
    pub mattered: u64,
}

/// All tallies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultTable {
    tallies: BTreeMap<Fault, Tally>,
}

impl FaultTable {
    /// It happened; whether it made a difference may be known later.
    pub fn fire(&mut self, fault: Fault) {
        self.tally_mut(fault).fired += 1;
    }

    /// It made a difference.
    pub fn matter(&mut self, fault: Fault) {
        self.tally_mut(fault).mattered += 1;
    }

    /// Both at once.
    pub fn fire_and_matter_if(&mut self, fault: Fault, mattered: bool) {
        self.fire(fault);
        if mattered {
            self.matter(fault);
        }
    }

    /// Sums up.
    pub fn add(&mut self, other: &FaultTable) {
        for (fault, tally) in &other.tallies {
            let sum = self.tally_mut(*fault);
            sum.fired += tally.fired;
            sum.mattered += tally.mattered;
        }
    }

    /// Of one kind.
    pub fn tally(&self, fault: Fault) -> Tally {
        self.tallies.get(&fault).copied().unwrap_or_default()
    }

    /// Kinds that never made a difference: they prove nothing.
    pub fn idle(&self) -> impl Iterator<Item = Fault> + '_ {
        Fault::ALL.iter().copied().filter(|fault| self.tally(*fault).mattered == 0)
    }

    fn tally_mut(&mut self, fault: Fault) -> &mut Tally {
        self.tallies.entry(fault).or_default()
    }
}
