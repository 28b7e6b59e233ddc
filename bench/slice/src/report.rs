//! What a run gave: as JSON for scripts, and as a table for people.

use std::fmt;

use bench_harness::{Conditions, Latency, Stages};
use serde::Serialize;

/// Fields are only ever added. What was not measured is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `slice`
    pub scenario: &'static str,
    /// That moved the bytes: `uring` or `monoio`.
    pub driver: String,
    /// Its version; `null` for none.
    pub tls: Option<&'static str>,
    /// Durable messages acked in a second, with all ticks, as fast as acks come.
    pub messages_per_second: f64,
    /// Messages a second, each sent when it is due: half of that rate, or what was asked for.
    pub paced_messages_per_second: f64,
    /// At the paced rate, where each message has receives and sends of its own.
    pub server_cpu_us_per_message: Stages,
    /// At the full rate, where messages share receives, sends and syncs.
    pub server_cpu_us_per_message_at_full_rate: Stages,
    /// Of the baseline, at the paced rate.
    pub baseline_cpu_us_per_message: f64,
    /// The server's CPU over the baseline's.
    pub cpu_over_baseline: f64,
    /// That of the gateway's threads alone, TLS included: what a router behind it costs is not in it.
    pub gateway_cpu_over_baseline: f64,
    /// At the paced rate: from when a message was due until the other one has it.
    pub latency_ms: Latency,
    /// At the paced rate: from when a message was due until its ack.
    pub ack_latency_ms: Latency,
    /// Of the baseline, at the paced rate: what this machine and this load allow.
    pub baseline_latency_ms: Latency,
    /// How late the load itself was, at the paced rate.
    pub generator_lag_ms: Latency,
    /// On the steady path of the gateway. Not counted here but by `gateway/server/tests/allocations`, for the gateway alone.
    pub heap_allocations_per_message: Option<f64>,
    /// Of the text, from the sender's socket to the recipient's. Not counted here but by `tests/e2e/tests/copies.rs`, since a
    /// server whose copies are counted is not one whose time is measured.
    pub body_copies_per_message: Option<f64>,
    /// Messages that never came, or were never acked.
    pub lost: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Messages that came out of order.
    pub reordered: u64,
    /// Why the run is worth nothing.
    pub void: Option<String>,
    /// Under which it was measured.
    pub conditions: SliceConditions,
}

/// What those of every benchmark do not say.
#[derive(Clone, Debug, Serialize)]
pub struct SliceConditions {
    /// Of the machine and the binary.
    #[serde(flatten)]
    pub common: Conditions,
    /// Pairs of users, both of whom write.
    pub pairs: usize,
    /// What the latencies are.
    pub latency_is: &'static str,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SliceConditions { common, pairs, .. } = &self.conditions;
        let Conditions { kernel, cores, commit, load_average_before, .. } = common;
        writeln!(f, "durable messages/s     {:.0}, {pairs} pairs, both ends here", self.messages_per_second)?;
        writeln!(f, "  server CPU/message   {}", self.server_cpu_us_per_message_at_full_rate)?;
        writeln!(f, "at {:.0} messages/s", self.paced_messages_per_second)?;
        writeln!(f, "  server CPU/message   {}", self.server_cpu_us_per_message)?;
        let (floor, ratio) = (self.baseline_cpu_us_per_message, self.cpu_over_baseline);
        let of_gateway = self.gateway_cpu_over_baseline;
        writeln!(
            f,
            "  baseline             {floor:.1} µs, so {ratio:.2} times that; its gateway {of_gateway:.2} times"
        )?;
        writeln!(f, "  due until delivered  {}", self.latency_ms)?;
        writeln!(f, "    on the baseline    {}", self.baseline_latency_ms)?;
        writeln!(f, "  due until acked      {}", self.ack_latency_ms)?;
        writeln!(f, "  lag of the load      {}", self.generator_lag_ms)?;
        writeln!(f, "lost {}, duplicated {}, reordered {}", self.lost, self.duplicated, self.reordered)?;
        writeln!(f, "kernel {kernel}, {cores} cores, commit {commit}, load average before {load_average_before}")?;
        match &self.void {
            Some(reason) => write!(f, "VOID: {reason}"),
            None => Ok(()),
        }
    }
}
