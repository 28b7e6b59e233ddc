//! The run: the product, then the baseline, then what it all means.

use anyhow::{Context, Result};
use gateway_transport::TlsClient;

use crate::baseline_peer::BaselinePeer;
use crate::conditions::Conditions;
use crate::cpu::{self, CpuByThread};
use crate::generator::{Generator, Pace, Phase};
use crate::options::Options;
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
    let mut borders = Vec::new();
    let full = generator.run(Pace::Window(options.window), options.duration, || borders.push(Border::of(&product)))?;
    say(&format!("the server, at half of {:.0} messages/s", full.rate()));
    let half = generator.run(Pace::PerSecond(full.rate() / 2.0), options.duration, || {})?;
    drop((generator, product));

    say("the baseline, as fast as answers come");
    let baseline = Baseline::start(&options.binary)?;
    let mut generator = Generator::connect(baseline.address, options.pairs, |pair, end, heard| {
        Ok(BaselinePeer::new(pair, end, heard))
    })?;
    let mut baseline_cpu = Vec::new();
    let floor = generator.run(Pace::Window(options.window), options.duration, || {
        baseline_cpu.push(cpu::of_process(baseline.process_id()));
    })?;
    let baseline_cpu = baseline_cpu.into_iter().collect::<Result<Vec<_>>>()?;
    let borders = borders.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(report(conditions, &borders, &baseline_cpu, [&full, &half, &floor]))
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
    borders: &[Border],
    baseline_cpu: &[CpuByThread],
    [full, half, floor]: [&Phase; 3],
) -> Report {
    let stages = match borders {
        [before, after] => stages(before, after, full.answered),
        _ => Stages { total: 0.0, gateway: 0.0, router: 0.0, log: 0.0, index: 0.0 },
    };
    let baseline_us = match baseline_cpu {
        [before, after] => cpu::spent(before, after, |_| true) * 1e6 / floor.answered.max(1) as f64,
        _ => 0.0,
    };
    let (lost, duplicated) = (full.lost + half.lost, full.duplicated + half.duplicated);
    let refused = full.refused + half.refused;
    let lag_us = half.lag.value_at_quantile(0.99);
    let void = if lag_us > LAG_P99_MAX_US {
        Some(format!("the load was {:.1} ms late with one message of a hundred", lag_us as f64 / 1000.0))
    } else if refused > 0 {
        Some(format!("the server refused {refused} messages"))
    } else {
        None
    };
    Report {
        scenario: "slice",
        driver: "monoio",
        tls: Some("1.3"),
        messages_per_second: full.rate(),
        server_cpu_us_per_message: stages,
        baseline_cpu_us_per_message: baseline_us,
        baseline_messages_per_second: floor.rate(),
        cpu_over_baseline: stages.total / baseline_us,
        latency_ms: (&half.delivery_latency).into(),
        ack_latency_ms: (&half.ack_latency).into(),
        generator_lag_ms: (&half.lag).into(),
        heap_allocations_per_message: None,
        body_copies_per_message: None,
        lost,
        duplicated,
        reordered: full.reordered + half.reordered,
        void,
        conditions,
    }
}

fn stages(before: &Border, after: &Border, messages: u64) -> Stages {
    let us_per_message = |seconds: f64| seconds * 1e6 / messages.max(1) as f64;
    let spent = |is_meant: fn(&str) -> bool| us_per_message(cpu::spent(&before.cpu, &after.cpu, is_meant));
    let append = us_per_message(after.append_seconds - before.append_seconds);
    let apply = us_per_message(after.apply_seconds - before.apply_seconds);
    let is_gateway = |name: &str| name.starts_with("shard") || name == "accept" || name.starts_with("authenticate");
    Stages {
        total: spent(|_| true),
        gateway: spent(is_gateway),
        router: (spent(|name| name == "router") - append - apply).max(0.0),
        log: spent(|name| name.starts_with("log")) + append,
        index: apply,
    }
}
