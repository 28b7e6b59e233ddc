//! Random histories with every fault of the simulated disk, checked against a model that knows only what was appended
//! and what was reported: acked records are there once and in order, nothing is invented, an append is there wholly or
//! not at all, and damage is reported and never served.

mod world;

use std::collections::VecDeque;
use std::io::Write;

use storage_log::{Completion, Disk, FileName, Operation, OperationId, Outcome, SimDisk};
use world::{Broken, Counts, World};

/// Enough that every fault matters many times; `RINGPOST_LOG_SEEDS` asks for more.
const SEEDS: u64 = 300;
const STEPS: u64 = 250;

fn run<D: Disk>(seed: u64, make_seam: fn(SimDisk) -> D) -> Result<World<D>, Broken> {
    let mut world = World::new(seed, make_seam)?;
    for _ in 0..STEPS {
        world.step()?;
    }
    world.finish()?;
    Ok(world)
}

#[test]
fn every_promise_holds_under_every_fault() {
    let mut tallies = std::collections::BTreeMap::<&str, (u64, u64)>::new();
    let mut sum = Counts::default();
    let seeds = std::env::var("RINGPOST_LOG_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("it is a number"));
    for seed in 0..seeds {
        let world = run(seed, |disk| disk).unwrap_or_else(|broken| panic!("seed {seed}: {}", broken.0));
        for (name, tally) in world.disk.tallies().rows() {
            let entry = tallies.entry(name).or_default();
            entry.0 += tally.fired;
            entry.1 += tally.mattered;
        }
        sum = sum.plus(world.counts);
    }
    let mut report = format!("{sum:?}\n");
    for (name, (fired, mattered)) in &tallies {
        report += &format!("{name}: fired {fired}, mattered {mattered}\n");
    }
    std::io::stderr().write_all(report.as_bytes()).expect("standard error is open");
    for (name, (_, mattered)) in tallies {
        assert!(mattered > 0, "`{name}` never mattered: the test proves nothing about it");
    }
    assert!(sum.checks > 0 && sum.shed > 0 && sum.rot_reported > 0 && sum.torn_tails > 0 && sum.unacked_lost > 0);
    assert!(sum.recoveries_cut_short > 0 && sum.segments_max > 5);
}

/// Says that every sync of a commit is done, and does none.
struct LyingDisk {
    inner: SimDisk,
    lies: VecDeque<Completion>,
}

impl Disk for LyingDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        match operation {
            Operation::Sync { file: FileName::Segment(_) } => {
                self.lies.push_back(Completion { id, result: Ok(Outcome::Done) })
            }
            other => self.inner.submit(id, other),
        }
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.lies.pop_front().or_else(|| self.inner.poll_completion())
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught_losing_acked_records() {
    let results = (0..200).map(|seed| run(seed, |inner| LyingDisk { inner, lies: VecDeque::new() }));
    let broken: Vec<String> = results.filter_map(|result| result.err().map(|broken| broken.0)).collect();
    let lost = broken.iter().filter(|message| message.contains("acked appends are lost")).count();
    assert!(lost > 10, "{lost} losses in {} broken runs", broken.len());
    assert!(broken.len() > 100, "only {} of 200 runs broke", broken.len());
}
