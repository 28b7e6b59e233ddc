//! The run: the product, then the baseline, then what it all means.

use std::rc::Rc;

use anyhow::{Context, Result};
use bench_harness::{
    Baseline, BaselinePeer, Border, Conditions, Crowd, DRIVER_VARIABLE, Pace, Phase, Product, ProductPeer, Resume,
    Room, Stages, Tiers, family, gather, mechanism, run_phase, spent_between,
};

use crate::options::Options;
use crate::report::{Report, SliceConditions};

/// A load that is later than this with one message of a hundred does not show what the server does.
const LAG_P99_MAX_US: u64 = 20_000;

/// Runs everything; `say` is told how far it is.
pub fn run(options: &Options, mut say: impl FnMut(&str)) -> Result<Report> {
    let conditions = SliceConditions {
        common: Conditions::now(true),
        pairs: options.pairs,
        latency_is: "from when a message was due at the paced rate until the other one has it",
    };
    let people = 2 * options.pairs;
    say(&format!("starting the server with {people} users"));
    let product = Product::start(&options.binary, &options.scratch, Tiers::Whole, &[])?;
    let users = product.users(people, |_| ())?;
    let account = Rc::new(product.account(Resume::Never)?);
    let user = |index: usize| *users.get(index).expect("everybody is a user");
    let peer = |index: usize| ProductPeer::new(account.clone(), user(index), Room::Direct(user(index ^ 1)));
    let mut crowd = gather(product.address(), options.pairs, peer)?;
    say("the server, as fast as acks come");
    let (full, full_stages) = measure(&product, &mut crowd, Pace::Window(options.window), options)?;
    let paced_rate = options.rate.map_or(full.rate() / 2.0, f64::from);
    say(&format!("the server, at {paced_rate:.0} messages/s"));
    let (paced, paced_stages) = measure(&product, &mut crowd, Pace::PerSecond(paced_rate), options)?;
    drop((crowd, product));

    say(&format!("the baseline, at {paced_rate:.0} messages/s"));
    let baseline = Baseline::start(&options.binary)?;
    let peer = |index| BaselinePeer::new(index / 2, index % 2);
    let mut crowd = gather(baseline.address(), options.pairs, peer)?;
    let mut borders = Vec::new();
    let floor = run_phase(&mut crowd, Pace::PerSecond(paced_rate), options.duration, || {
        borders.push(Border::of_processes(&[baseline.process_id()]));
    })?;
    let floor_us = cost(borders, &floor)?.total;
    let full = (&full, full_stages);
    Ok(report(conditions, [full, (&paced, paced_stages)], paced_rate, (&floor, floor_us)))
}

/// A phase of the server, and what a message of it cost.
fn measure(
    product: &Product,
    crowd: &mut Crowd<ProductPeer>,
    pace: Pace,
    options: &Options,
) -> Result<(Phase, Stages)> {
    let mut borders = Vec::new();
    let phase = run_phase(crowd, pace, options.duration, || borders.push(Border::of(product)))?;
    let stages = cost(borders, &phase)?;
    Ok((phase, stages))
}

fn cost(borders: Vec<Result<Border>>, phase: &Phase) -> Result<Stages> {
    let [before, after] = <[_; 2]>::try_from(borders).ok().context("a phase has two borders")?;
    Ok(spent_between(&before?, &after?, phase.figures.answered))
}

fn report(
    conditions: SliceConditions,
    [(full, full_stages), (paced, paced_stages)]: [(&Phase, Stages); 2],
    paced_rate: f64,
    (floor, floor_us): (&Phase, f64),
) -> Report {
    let driver = std::env::var(DRIVER_VARIABLE).unwrap_or_else(|_| "auto".to_owned());
    Report {
        scenario: "slice",
        driver: family(&mechanism(&driver, Tiers::Whole)),
        tls: Some("1.3"),
        messages_per_second: full.rate(),
        paced_messages_per_second: paced_rate,
        server_cpu_us_per_message: paced_stages,
        server_cpu_us_per_message_at_full_rate: full_stages,
        baseline_cpu_us_per_message: floor_us,
        cpu_over_baseline: paced_stages.total / floor_us,
        gateway_cpu_over_baseline: paced_stages.gateway / floor_us,
        latency_ms: (&paced.figures.delivery).into(),
        ack_latency_ms: (&paced.figures.ack).into(),
        baseline_latency_ms: (&floor.figures.delivery).into(),
        generator_lag_ms: (&paced.figures.lag).into(),
        heap_allocations_per_message: None,
        body_copies_per_message: None,
        lost: full.lost + paced.lost,
        duplicated: full.figures.duplicated + paced.figures.duplicated,
        reordered: full.figures.reordered + paced.figures.reordered,
        void: void(full, paced),
        conditions,
    }
}

/// Why the figures are worth nothing.
fn void(full: &Phase, paced: &Phase) -> Option<String> {
    let lag_us = paced.figures.lag.value_at_quantile(0.99);
    let refused = full.figures.refused + paced.figures.refused;
    if lag_us > LAG_P99_MAX_US {
        return Some(format!("the load was {:.1} ms late with one message of a hundred", lag_us as f64 / 1000.0));
    }
    (refused > 0).then(|| format!("the server refused {refused} messages"))
}
