//! Random histories with crashes and failures at every step, over many small segments and snapshots, against a model
//! that knows only what was written and what was answered.

use std::io::Write;

use crate::world::{Counts, World};

/// Enough for every kind of trouble many times; `RINGPOST_STORE_SEEDS` asks for more.
const SEEDS: u64 = 12;
const STEPS: u64 = 500;

#[test]
fn what_was_answered_is_found_after_every_crash() {
    let seeds = std::env::var("RINGPOST_STORE_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("it is a number"));
    let (mut starts, mut short_starts, mut cut_short, mut lost, mut failures, mut reads) = (0, 0, 0, 0, 0, 0);
    let (mut expired, mut remnants) = (0, 0);
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.finish();
            world.counts
        });
        let counts: Counts = run.unwrap_or_else(|panic| {
            let _ = writeln!(std::io::stderr(), "seed {seed} failed");
            std::panic::resume_unwind(panic)
        });
        starts += counts.starts;
        short_starts += counts.short_starts;
        cut_short += counts.starts_cut_short;
        lost += counts.writes_lost;
        failures += counts.failures;
        reads += counts.reads;
        expired += counts.expired;
        remnants += counts.remnants;
    }
    let report = format!(
        "{starts} starts, {cut_short} cut short, {short_starts} runs ended with a start that read little; {lost} writes \
         lost, {failures} failures of the log, {reads} reads, {expired} of what was expired; {remnants} remnants\n"
    );
    std::io::stderr().write_all(report.as_bytes()).expect("standard error is open");
    assert!(
        short_starts > 0 && cut_short > 0 && lost > 0 && failures > 0 && reads > 1000 && expired > 0 && remnants > 0,
        "{report}"
    );
}
