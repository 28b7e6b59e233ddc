//! What can go wrong, and the table of how often it did and how often that mattered.

use std::collections::BTreeMap;

use storage_log::{FaultTallies, Tally};

use crate::prng::Prng;
use crate::store::Shape;

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
    PowerCut "machine of router and log without power; mattered: something readable was not on the medium",
    LogKilled "process with the log killed; mattered: it had operations or bytes under way to the disk",
    SyncFailed "sync of the log failed; mattered: something was not synced",
    WriteFailed "write of the log failed; mattered: a part of it was done",
    DiskFull "disk full or almost; mattered: new messages were refused because of it",
    NoRoom "file of the log not made for lack of room",
    BitRotten "bit of the log rotten before an opening; mattered: reported before anybody checked",
    BitRottenLater "bit of the log rotten under a running router; mattered: reported before anybody checked",
    IndexRotten "bit of an index rotten; mattered: it was reported, or the index made anew",
    TornAt512 "write torn at 512 B by a power cut",
    TornAt4096 "write torn at 4 KiB by a power cut",
    Reordered "write kept by a power cut that lost an earlier one",
    WriteLost "write lost by a power cut",
    LengthLost "length of a file lost by a power cut",
    CreateLost "new file lost by a power cut",
    RenameLost "new name of a file lost by a power cut; mattered: it had its old one again",
    UnlinkLost "removal of a file lost by a power cut; mattered: it was there again",
    SentTwice "client sends again what is under way; mattered: it was acknowledged all the same",
    MemberGone "member removed or gone; mattered: messages were under way",
}

impl Fault {
    /// What a seed draws from whatever its store is; some more depend on that, and the other kinds follow from these or
    /// are part of daily life.
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
        Fault::SentTwice,
    ];

    /// What can happen to the store of this shape alone.
    fn drawn_of(shape: Shape) -> &'static [Fault] {
        match shape {
            Shape::SingleRows => &[Fault::StoreRefusing, Fault::StoreUncertain],
            Shape::OneLog => &[Fault::StoreRefusing],
            Shape::Embedded => &[
                Fault::PowerCut,
                Fault::PowerCut,
                Fault::PowerCut,
                Fault::PowerCut,
                Fault::PowerCut,
                Fault::SyncFailed,
                Fault::WriteFailed,
                Fault::DiskFull,
                Fault::BitRotten,
                Fault::BitRottenLater,
                Fault::IndexRotten,
            ],
        }
    }

    /// One of those, or of the others. A disk can fail in more ways than other stores.
    pub fn draw(prng: &mut Prng, shape: Shape) -> Fault {
        let of_shape_per_mille = if shape == Shape::Embedded { 600 } else { 100 };
        let drawn = if prng.chance(of_shape_per_mille) { Fault::drawn_of(shape) } else { Fault::DRAWN };
        *prng.pick(drawn)
    }

    /// What the disk itself counts.
    fn of_disk(tallies: &FaultTallies) -> [(Fault, Tally); 13] {
        [
            (Fault::PowerCut, tallies.power_cuts),
            (Fault::LogKilled, tallies.kills),
            (Fault::SyncFailed, tallies.failed_syncs),
            (Fault::WriteFailed, tallies.failed_writes),
            (Fault::NoRoom, tallies.full),
            (Fault::TornAt512, tallies.torn_at_512),
            (Fault::TornAt4096, tallies.torn_at_4096),
            (Fault::Reordered, tallies.reordered),
            (Fault::WriteLost, tallies.lost_writes),
            (Fault::LengthLost, tallies.lost_lengths),
            (Fault::CreateLost, tallies.lost_creates),
            (Fault::RenameLost, tallies.lost_renames),
            (Fault::UnlinkLost, tallies.lost_unlinks),
        ]
    }

    /// The disk counts how often it fired; the others count when they strike.
    pub fn is_counted_by_disk(self) -> bool {
        Fault::of_disk(&FaultTallies::default()).iter().any(|(fault, _)| *fault == self)
    }
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

    /// What a disk has counted.
    pub fn add_disk(&mut self, tallies: &FaultTallies) {
        for (fault, tally) in Fault::of_disk(tallies) {
            let sum = self.tally_mut(fault);
            sum.fired += tally.fired;
            sum.mattered += tally.mattered;
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
