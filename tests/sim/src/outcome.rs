//! How a seed ended, and what a run of many seeds has to show for itself.

use std::fmt::{self, Write};

use router_core::RouterCounters;

use crate::fault::{Fault, FaultTable};
use crate::promise::Broken;

/// How a run of one seed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every promise was kept.
    Green,
    /// One was not.
    Broken(Broken),
    /// Something did not finish after the faults had ended.
    Stalled(String),
    /// An assertion failed.
    Panicked(String),
    /// Two runs of the seed differ: the simulator is at fault.
    Diverged,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Green => f.write_str("green"),
            Ending::Broken(broken) => broken.fmt(f),
            Ending::Stalled(what) => write!(f, "stalled: {what}"),
            Ending::Panicked(what) => write!(f, "panicked: {what}"),
            Ending::Diverged => f.write_str("two runs of this seed differ"),
        }
    }
}

macro_rules! work {
    ($($name:ident $text:literal,)+) => {
        /// What got done, counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Work { $(#[doc = $text] pub $name: u64,)+ }

        impl Work {
            /// Sums up.
            pub fn add(&mut self, other: &Work) {
                $(self.$name += other.$name;)+
            }

            /// For the table.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name),)+]
            }
        }
    };
}

impl Work {
    /// What one life of a router has counted.
    pub fn add_router(&mut self, counters: &RouterCounters) {
        self.messages_acked += counters.messages_acked;
        self.messages_refused += counters.refused.total();
        self.retries += counters.retries_seen;
        self.dedup_hits += counters.dedup_hits;
        self.resumes += counters.resumes;
        self.pulls_begun += counters.pulls_begun;
        self.pulls_ended += counters.pulls_ended;
        self.users_parked += counters.users_parked;
        self.users_woken += counters.users_woken;
        self.gap_pulls += counters.gap_pulls;
        self.snapshots += counters.snapshots;
        self.pointers_repeated += counters.pointers_repeated;
        self.holes_voided += counters.holes_voided;
        self.store_retries += counters.store_retries;
    }
}

work! {
    messages_sent "messages sent",
    messages_acked "messages acked",
    messages_refused "requests refused",
    retries "retries",
    dedup_hits "dedup hits",
    resumes "resumes",
    pulls_begun "sessions that did not keep up",
    pulls_ended "sessions that have caught up page by page",
    users_parked "users parked",
    users_woken "parked users woken",
    gap_pulls "gap pulls",
    snapshots "snapshots",
    pointers_repeated "pointers repeated",
    holes_voided "holes voided",
    store_retries "requests of the store repeated",
    checks_passed "checks of a store whose disk had failed",
    faults_struck "faults that found something to strike",
    membership_changes "membership changes",
    devices_revoked "devices revoked",
    devices_linked_anew "devices linked anew",
    histories_read "histories read",
    messages_erased "messages erased",
    entries_published "entries of a channel told to those who follow it",
}

/// What one seed has to show.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub seed: u64,
    /// How it ended.
    pub ending: Ending,
    /// Of everything that happened.
    pub trace_hash: u64,
    /// What got done.
    pub work: Work,
    /// What went wrong.
    pub faults: FaultTable,
}

/// Of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds that ended green.
    pub seeds_count: u64,
    /// What got done.
    pub work: Work,
    /// What went wrong.
    pub faults: FaultTable,
}

impl Report {
    /// One more.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds_count += 1;
        self.work.add(&outcome.work);
        self.faults.add(&outcome.faults);
    }

    /// Rows that show nothing: a simulator in which they stay empty does not test what it says it does.
    pub fn empty_rows(&self) -> Vec<&'static str> {
        let work = self.work.rows().into_iter().filter(|(_, count)| *count == 0).map(|(text, _)| text);
        work.chain(self.faults.idle().map(Fault::text)).collect()
    }

    /// The table at the end of a run.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut line = |text: fmt::Arguments<'_>| writeln!(table, "{text}").expect("a string takes everything");
        line(format_args!("{:>9}           {} seeds, each twice", "count", self.seeds_count));
        for (text, count) in self.work.rows() {
            line(format_args!("{count:>9}           {text}"));
        }
        line(format_args!("{:>9} {:>9} fault", "fired", "mattered"));
        for fault in Fault::ALL {
            let tally = self.faults.tally(*fault);
            line(format_args!("{:>9} {:>9} {}", tally.fired, tally.mattered, fault.text()));
        }
        table
    }
}
