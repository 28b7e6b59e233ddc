//! The run: the product, then the baseline, then what it all means.

use anyhow::{Context, Result};
use gateway_transport::TlsClient;

use crate::baseline_peer::BaselinePeer;
use crate::conditions::Conditions;
use crate::cpu::{self, CpuByThread};
use crate::generator::{Generator, Pace, Phase};
use crate::options::Options;
use crate::peer::Heard;
use crate::product_peer::ProductPeer;
use crate::report::{Report, Stages};
use crate::server::{Baseline, Product};

/// A load that is later than this with one message of a hundred does not show what the server does.
const LAG_P99_MAX_US: u64 = 20_000;

/// Runs everything; `say` is told how far it is.
pub fn run(options: &Options, mut say: impl FnMut(&str)) -> Result<Report> {
    let conditions = Conditions::now(options);
    say(&format!("starting the server with {} users", 2 * options.pairs));
    let product = Product::start(&options.binary, &options.scratch, 2 * options.pairs)?;
    let users = product.users(2 * options.pairs)?;
    let tls = TlsClient::from_pem(&product.certificate()?).context("its certificate")?;
    let mut generator = Generator::connect(product.address, options.pairs, |pair, end, _| {
        let user = |end: usize| users.get(2 * pair + end).context("a user");
        let ((me, token), (other, _)) = (user(end)?, user(1 - end)?);
        Ok(ProductPeer::new(tls.connect("localhost")?, token, *me, *other))
    })?;
    say("the server, as fast as acks come");
    let (full, full_stages) = measure(&product, &mut generator, Pace::Window(options.window), options)?;
    let paced_rate = options.rate.map_or(full.rate() / 2.0, f64::from);
    say(&format!("the server, at {paced_rate:.0} messages/s"));
    let (paced, paced_stages) = measure(&product, &mut generator, Pace::PerSecond(paced_rate), options)?;
    drop((generator, product));

    say(&format!("the baseline, at {paced_rate:.0} messages/s"));
    let baseline = Baseline::start(&options.binary)?;
    let peer = |pair, end, heard: &mut Vec<Heard>| Ok(BaselinePeer::new(pair, end, heard));
    let mut generator = Generator::connect(baseline.address, options.pairs, peer)?;
    let mut borders = Vec::new();
    let floor = generator.run(Pace::PerSecond(paced_rate), options.duration, || {
        borders.push(cpu::of_process(baseline.process_id()));
    })?;
    let borders = borders.into_iter().collect::<Result<Vec<_>>>()?;
    let floor_us = us_per_message(spent_between(&borders, |_| true), &floor);
    Ok(report(conditions, [(&full, full_stages), (&paced, paced_stages)], paced_rate, floor_us))
}

/// A phase of the server, and what a message of it cost.
fn measure(
    product: &Product,
    generator: &mut Generator<ProductPeer>,
    pace: Pace,
    options: &Options,
) -> Result<(Phase, Stages)> {
    let mut borders = Vec::new();
    let phase = generator.run(pace, options.duration, || borders.push(Border::of(product)))?;
    let borders = borders.into_iter().collect::<Result<Vec<_>>>()?;
    let stages = stages(&borders, &phase);
    Ok((phase, stages))
}

/// What the server has spent until a moment.
struct Border {
    cpu: CpuByThread,
    append_seconds: f64,
    apply_seconds: f64,
}

impl Border {
    fn of(product: &Product) -> Result<Border> {
        let seconds = |part: &str| product.metric(&format!("ringpost_router_store_seconds_total{{part=\"{part}\"}}"));
        let (append_seconds, apply_seconds) = (seconds("append")?, seconds("apply")?);
        Ok(Border { cpu: cpu::of_process(product.process_id())?, append_seconds, apply_seconds })
    }
}

fn report(
    conditions: Conditions,
    [(full, full_stages), (paced, paced_stages)]: [(&Phase, Stages); 2],
    paced_rate: f64,
    floor_us: f64,
) -> Report {
    Report {
        scenario: "slice",
        driver: "monoio",
        tls: Some("1.3"),
        messages_per_second: full.rate(),
        paced_messages_per_second: paced_rate,
        server_cpu_us_per_message: paced_stages,
        server_cpu_us_per_message_at_full_rate: full_stages,
        baseline_cpu_us_per_message: floor_us,
        cpu_over_baseline: paced_stages.total / floor_us,
        latency_ms: (&paced.delivery_latency).into(),
        ack_latency_ms: (&paced.ack_latency).into(),
        generator_lag_ms: (&paced.lag).into(),
        heap_allocations_per_message: None,
        body_copies_per_message: None,
        lost: full.lost + paced.lost,
        duplicated: full.duplicated + paced.duplicated,
        reordered: full.reordered + paced.reordered,
        void: void(full, paced),
        conditions,
    }
}

/// Why the figures are worth nothing.
fn void(full: &Phase, paced: &Phase) -> Option<String> {
    let lag_us = paced.lag.value_at_quantile(0.99);
    let refused = full.refused + paced.refused;
    if lag_us > LAG_P99_MAX_US {
        return Some(format!("the load was {:.1} ms late with one message of a hundred", lag_us as f64 / 1000.0));
    }
    (refused > 0).then(|| format!("the server refused {refused} messages"))
}

fn stages(borders: &[Border], phase: &Phase) -> Stages {
    let cpu: Vec<CpuByThread> = borders.iter().map(|border| border.cpu.clone()).collect();
    let spent = |is_meant: fn(&str) -> bool| us_per_message(spent_between(&cpu, is_meant), phase);
    let within = |part: fn(&Border) -> f64| match borders {
        [before, after] => us_per_message(part(after) - part(before), phase),
        _ => 0.0,
    };
    let (append, apply) = (within(|border| border.append_seconds), within(|border| border.apply_seconds));
    let is_gateway = |name: &str| name.starts_with("shard") || name == "accept" || name.starts_with("authenticate");
    Stages {
        total: spent(|_| true),
        gateway: spent(is_gateway),
        router: (spent(|name| name == "router") - append - apply).max(0.0),
        log: spent(|name| name.starts_with("log")) + append,
        index: apply,
    }
}

fn spent_between(borders: &[CpuByThread], is_meant: impl Fn(&str) -> bool) -> f64 {
    match borders {
        [before, after] => cpu::spent(before, after, is_meant),
        _ => 0.0,
    }
}

fn us_per_message(seconds: f64, phase: &Phase) -> f64 {
    seconds * 1e6 / phase.answered.max(1) as f64
}
