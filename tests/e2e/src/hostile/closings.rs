//! How many connections the server has closed, and why, as it counts them.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::server::Server;
use protocol::codes::Code;

/// By the shard, by code.
const OF_SHARD: &str = "ringpost_shard_closes_total{code=\"";
/// By the gateway around it.
const OF_GATEWAY: &str = "ringpost_gateway_";

/// By reason, since the server began.
pub(super) struct Closings(BTreeMap<String, u64>);

impl Closings {
    pub(super) fn of(server: &Server) -> Result<Closings> {
        let (_, text) = server.admin("/metrics")?;
        Ok(Closings(text.lines().filter_map(reason).collect()))
    }

    /// Those that have come since.
    pub(super) fn since(&self, before: &Closings) -> String {
        let more = |(reason, count): (&String, &u64)| {
            let more = count - before.0.get(reason).copied().unwrap_or_default();
            (more > 0).then(|| format!("{more} {reason}"))
        };
        self.0.iter().filter_map(more).collect::<Vec<_>>().join(", ")
    }
}

/// What a line of the figures counts, if it counts closings.
fn reason(line: &str) -> Option<(String, u64)> {
    let (name, count) = line.rsplit_once(' ')?;
    let code = || name.strip_prefix(OF_SHARD)?.strip_suffix("\"}")?.parse().ok();
    let of_shard = || Some(Code::from_number(code()?)?.name());
    let of_gateway = || {
        let name = name.strip_prefix(OF_GATEWAY)?.strip_suffix("_total")?;
        (name == "truncated").then_some(name).or_else(|| name.strip_prefix("closed_"))
    };
    Some((of_shard().or_else(of_gateway)?.to_owned(), count.parse().ok()?))
}
