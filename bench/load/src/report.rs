//! What a run gave: as JSON for scripts, and as a table for people with a column for each run.

use bench_harness::{Conditions, Latency, Stages};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::memory::MemoryPerConnection;
use crate::order::Times;
use crate::plot::Plots;
use crate::written::Written;

/// A load that is later than this with one message of a hundred does not show what the server does.
const LAG_P99_MAX_US: u64 = 20_000;

/// Fields are only ever added. What a scenario does not measure is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `hold`, `chat`, `storm` or `fanout`.
    pub scenario: &'static str,
    /// That moved the bytes: `uring` or `monoio`; `null` for a server that ran before.
    pub driver: Option<String>,
    /// Its version; `null` for none.
    pub tls: Option<&'static str>,
    /// That were live at the end.
    pub connections_held: u64,
    /// That ended by themselves.
    pub connections_lost: u64,
    /// That became live in a second: in `storm` of those that came back, else at the beginning.
    pub connections_per_second: f64,
    /// How they did that.
    pub handshakes: Handshakes,
    /// From the first byte of a connection until it may send; in `storm` from when all were lost.
    pub arrival_ms: Latency,
    /// While they idle.
    #[serde(flatten)]
    pub memory: MemoryPerConnection,
    /// Of the baseline, kernel and user together.
    pub baseline_bytes_per_connection: Option<f64>,
    /// The server's kernel and user bytes over those.
    pub bytes_over_baseline: Option<f64>,
    /// When each has sent and received a message since.
    pub after_messages: Option<MemoryPerConnection>,
    /// Durable messages acked in a second.
    pub messages_per_second: Option<f64>,
    /// Messages that came to somebody, in a second.
    pub deliveries_per_second: Option<f64>,
    /// The same for each second of a core that the server has used.
    pub deliveries_per_second_and_core: Option<f64>,
    /// Of the server, for one that becomes live.
    pub server_cpu_us_per_connection: Option<f64>,
    /// Of the server.
    pub server_cpu_us_per_message: Option<Stages>,
    /// Of the baseline at the same rate.
    pub baseline_cpu_us_per_message: Option<f64>,
    /// The server's CPU over the baseline's.
    pub cpu_over_baseline: Option<f64>,
    /// From when a message was due until it is there.
    pub latency_ms: Option<Latency>,
    /// From when a message was due until its ack: it is durable.
    pub ack_latency_ms: Option<Latency>,
    /// The first over that of the baseline, at the median.
    pub latency_over_baseline: Option<f64>,
    /// Of the baseline at that rate: what this machine and this load allow.
    pub baseline_latency_ms: Option<Latency>,
    /// How late the load itself was.
    pub generator_lag_ms: Option<Latency>,
    /// Messages that never came, or were never acked.
    pub lost: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Messages that came out of order.
    pub reordered: u64,
    /// Why the run is worth nothing.
    pub void: Option<String>,
    /// Under which it was measured.
    pub conditions: LoadConditions,
    /// For the page.
    #[serde(skip)]
    pub plots: Plots,
}

/// Of those that became live, by what they showed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Handshakes {
    /// In TLS: nothing.
    pub full: u64,
    /// In TLS: a session.
    pub resumed: u64,
    /// In their Hello: an access token.
    pub tokens: u64,
    /// In their Hello: a resume ticket.
    pub tickets: u64,
}

/// Of the machine, the binary and the run.
#[derive(Clone, Debug, Serialize)]
pub struct LoadConditions {
    /// Of the machine and the binary.
    #[serde(flatten)]
    pub common: Conditions,
    /// As `gateway.driver` has it, with what it stands for; `null` for a server that ran before.
    pub driver_setting: Option<String>,
    /// `whole`, `split` or `running`.
    pub tiers: &'static str,
    /// That were to be held.
    pub connections: usize,
    /// Who write to each other: 2, or a group.
    pub room_size: usize,
    /// Messages a second that were asked for.
    pub rate: Option<f64>,
    /// Processes of the load.
    pub workers: usize,
    /// Between two signs of life of an idle client.
    pub heartbeat_s: f64,
}

impl Report {
    /// With what messages gave; `rate` is what was asked for.
    pub(crate) fn add_written(&mut self, written: &Written, rate: f64, is_server_known: bool) {
        let outcome = &written.outcome;
        let per_second = |count: u64| count as f64 / written.measured.as_secs_f64();
        self.connections_held = outcome.live;
        self.connections_lost += outcome.gone;
        self.messages_per_second = Some(per_second(written.answered));
        self.deliveries_per_second = Some(per_second(written.delivered));
        let cores = written.stages.total * per_second(written.answered) / 1e6;
        self.deliveries_per_second_and_core = is_server_known.then(|| per_second(written.delivered) / cores);
        self.server_cpu_us_per_message = is_server_known.then_some(written.stages);
        self.latency_ms = Some(latency(&outcome.delivery));
        self.ack_latency_ms = Some(latency(&outcome.ack));
        self.generator_lag_ms = Some(latency(&outcome.lag));
        (self.lost, self.duplicated, self.reordered) = (outcome.lost, outcome.duplicated, outcome.reordered);
        self.conditions.rate = Some(rate);
        self.plots.add("due until acked", &outcome.ack);
        self.plots.add("due until delivered", &outcome.delivery);
        let lag_us = Histogram::from(&outcome.lag).value_at_quantile(0.99);
        if lag_us > LAG_P99_MAX_US {
            let lag_ms = lag_us as f64 / 1000.0;
            self.void = Some(format!("the load was {lag_ms:.1} ms late with one message of a hundred; ask for less"));
        } else if outcome.refused > 0 {
            let code = outcome.refused_code.unwrap_or_default();
            self.void = Some(format!("the server refused {} times, with code {code}", outcome.refused));
        } else if self.connections_lost > 0 {
            self.void = Some(format!("{} connections ended by themselves", self.connections_lost));
        }
    }
}

pub(crate) fn latency(times: &Times) -> Latency {
    (&Histogram::from(times)).into()
}

/// A line for each figure that some run has, a column for each run.
pub fn table(reports: &[Report]) -> String {
    let mut rows: Vec<(&str, Vec<String>)> = vec![("", reports.iter().map(column).collect())];
    let mut row = |name, cell: &dyn Fn(&Report) -> Option<String>| {
        let cells: Vec<Option<String>> = reports.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            rows.push((name, cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect()));
        }
    };
    let bytes = |bytes: f64| format!("{bytes:.0} B");
    let quantiles = |latency: &Latency| {
        let Latency { p50, p99, p999, max } = latency;
        format!("{p50:.1} · {p99:.1} · {p999:.1} · {max:.1}")
    };
    row("connections held", &|report| Some(report.connections_held.to_string()));
    row("connections lost", &|report| (report.connections_lost > 0).then(|| report.connections_lost.to_string()));
    row("connections/s", &|report| Some(format!("{:.0}", report.connections_per_second)));
    row("  full · resumed · by token · by ticket", &|report| {
        let Handshakes { full, resumed, tokens, tickets } = report.handshakes;
        Some(format!("{full} · {resumed} · {tokens} · {tickets}"))
    });
    row("until live, ms", &|report| Some(quantiles(&report.arrival_ms)));
    row("  server CPU for one", &|report| report.server_cpu_us_per_connection.map(|us| format!("{us:.0} µs")));
    row("server kernel/connection", &|report| report.memory.server_kernel_bytes_per_connection.map(bytes));
    row("  by its slab caches", &|report| report.memory.slab_bytes_per_end.map(bytes));
    row("server user/connection", &|report| report.memory.server_user_bytes_per_connection.map(bytes));
    row("  of that the router", &|report| report.memory.router_bytes_per_user.map(bytes));
    row("client user/connection", &|report| report.memory.client_user_bytes_per_connection.map(bytes));
    row("server kernel after messages", &|report| {
        report.after_messages.as_ref()?.server_kernel_bytes_per_connection.map(bytes)
    });
    row("server user after messages", &|report| {
        report.after_messages.as_ref()?.server_user_bytes_per_connection.map(bytes)
    });
    row("  of that the router", &|report| report.after_messages.as_ref()?.router_bytes_per_user.map(bytes));
    row("baseline kernel and user", &|report| report.baseline_bytes_per_connection.map(bytes));
    row("  server over baseline", &|report| report.bytes_over_baseline.map(|ratio| format!("{ratio:.2}")));
    row("durable messages/s", &|report| report.messages_per_second.map(|rate| format!("{rate:.0}")));
    row("deliveries/s", &|report| report.deliveries_per_second.map(|rate| format!("{rate:.0}")));
    row("  for each core of the server", &|report| {
        report.deliveries_per_second_and_core.map(|rate| format!("{rate:.0}"))
    });
    row("due until delivered, ms", &|report| report.latency_ms.as_ref().map(quantiles));
    row("due until acked, ms", &|report| report.ack_latency_ms.as_ref().map(quantiles));
    row("lag of the load, ms", &|report| report.generator_lag_ms.as_ref().map(quantiles));
    row("server CPU a message", &|report| {
        report.server_cpu_us_per_message.map(|stages| format!("{:.1} µs", stages.total))
    });
    let stages =
        |Stages { gateway, router, log, index, .. }| format!("{gateway:.1} · {router:.1} · {log:.1} · {index:.1}");
    row("  gateway · router · log · index", &|report| report.server_cpu_us_per_message.map(stages));
    row("baseline CPU a message", &|report| report.baseline_cpu_us_per_message.map(|us| format!("{us:.1} µs")));
    row("  server over baseline", &|report| report.cpu_over_baseline.map(|ratio| format!("{ratio:.2}")));
    row("  its latency, ms", &|report| report.baseline_latency_ms.as_ref().map(quantiles));
    row("  its latency over baseline's", &|report| report.latency_over_baseline.map(|ratio| format!("{ratio:.2}")));
    row("lost · duplicated · reordered", &|report| {
        Some(format!("{} · {} · {}", report.lost, report.duplicated, report.reordered))
    });
    lines(&rows) + &notes(reports)
}

/// What stands above a run.
pub(crate) fn column(report: &Report) -> String {
    report.conditions.driver_setting.clone().unwrap_or_else(|| report.conditions.tiers.to_owned())
}

fn lines(rows: &[(&str, Vec<String>)]) -> String {
    let width = |text: &str| text.chars().count();
    let name_width = rows.iter().map(|(name, _)| width(name)).max().unwrap_or_default();
    let cell_width = rows.iter().flat_map(|(_, cells)| cells).map(|cell| width(cell)).max().unwrap_or_default();
    let line = |(name, cells): &(&str, Vec<String>)| {
        let pad = |text: &str, wanted: usize| " ".repeat(wanted - width(text));
        let cells: String = cells.iter().map(|cell| format!("  {}{cell}", pad(cell, cell_width))).collect();
        format!("{name}{}{cells}\n", pad(name, name_width))
    };
    rows.iter().map(line).collect()
}

fn notes(reports: &[Report]) -> String {
    let mut notes = "latencies are p50 · p99 · p99.9 · max\n".to_owned();
    if let Some(report) = reports.first() {
        let Conditions { kernel, cores, commit, load_average_before, both_ends_here, .. } = &report.conditions.common;
        let ends = if *both_ends_here { "both ends here" } else { "the server elsewhere" };
        notes += &format!(
            "kernel {kernel}, {cores} cores, {ends}, commit {commit}, load average before {load_average_before}\n"
        );
    }
    for report in reports {
        if let Some(reason) = &report.void {
            notes += &format!("VOID: {reason}\n");
        }
    }
    notes
}
