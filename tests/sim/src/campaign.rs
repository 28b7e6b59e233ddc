//! Runs seeds, each twice, on a few threads, and stops at the first that is not green.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::outcome::{Ending, Outcome, Report};
use crate::store::Sabotage;
use crate::world::World;

thread_local! {
    /// What the panic of this thread said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Which seeds, and how.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first one.
    pub first: u64,
    /// How many; at least one.
    pub count: u64,
    /// What is switched off.
    pub sabotage: Option<Sabotage>,
    /// Every step goes to standard output.
    pub prints_trace: bool,
    /// At least one.
    pub threads: usize,
}

impl Campaign {
    /// The report, and the lowest of the seeds that were not green when it stopped.
    pub fn run(&self) -> (Report, Option<Outcome>) {
        panic::set_hook(Box::new(|info| PANIC.set(Some(info.to_string()))));
        let next = AtomicU64::new(self.first);
        let results = Mutex::new((Report::default(), None::<Outcome>));
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| self.work(&next, &results));
            }
        });
        drop(panic::take_hook());
        results.into_inner().expect("panics are caught before they reach the results")
    }

    fn work(&self, next: &AtomicU64, results: &Mutex<(Report, Option<Outcome>)>) {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.first + self.count {
                return;
            }
            let outcome = self.run_twice(seed);
            let mut results = results.lock().expect("panics are caught before they reach the results");
            if outcome.ending == Ending::Green {
                results.0.add(&outcome);
                continue;
            }
            next.store(self.first + self.count, Ordering::Relaxed);
            if results.1.as_ref().is_none_or(|known| known.seed > seed) {
                results.1 = Some(outcome);
            }
        }
    }

    fn run_twice(&self, seed: u64) -> Outcome {
        let mut outcome = self.run_once(seed, self.prints_trace);
        if outcome.ending == Ending::Green && self.run_once(seed, false).trace_hash != outcome.trace_hash {
            outcome.ending = Ending::Diverged;
        }
        outcome
    }

    fn run_once(&self, seed: u64, prints_trace: bool) -> Outcome {
        let run = || World::new(seed, self.sabotage, prints_trace).run();
        panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Outcome {
            seed,
            ending: Ending::Panicked(PANIC.take().unwrap_or_default()),
            trace_hash: 0,
            work: Default::default(),
            faults: Default::default(),
        })
    }
}
