//! What has happened over all lives, so that none of it is proven only in name.

use std::collections::BTreeMap;

use gateway_core::ShardCounters;
use protocol::codes::Code;

/// Counts by name.
#[derive(Default)]
pub(super) struct Fired {
    counts: BTreeMap<&'static str, u64>,
}

impl Fired {
    pub(super) fn add(&mut self, counters: &ShardCounters) {
        let closes = counters.closes.rows().map(|(code, count)| (code.name(), count));
        let others = [
            ("connections_refused", counters.connections_refused),
            ("deliveries_late", counters.deliveries_late),
            ("fanouts", counters.fanouts),
            ("frames_held", counters.frames_held),
            ("links_silent", counters.links_silent),
            ("sessions_reopened", counters.sessions_reopened),
        ];
        for (name, count) in others.into_iter().chain(closes) {
            *self.counts.entry(name).or_default() += count;
        }
    }

    pub(super) fn check(&self) {
        let codes = [
            Code::DeviceRevoked,
            Code::FrameInvalid,
            Code::FrameTimeout,
            Code::HeartbeatMissed,
            Code::HelloExpected,
            Code::HelloTimeout,
            Code::Overloaded,
            Code::Replaced,
            Code::RouterUnavailable,
            Code::SlowReader,
            Code::TokenExpired,
            Code::TokenInvalid,
        ];
        let closes = codes.map(Code::name);
        let others = self.counts.keys().filter(|name| Code::ALL.iter().all(|code| code.name() != **name));
        for name in others.chain(&closes) {
            assert!(self.counts.get(name).is_some_and(|count| *count >= 10), "{name} hardly ever happened");
        }
    }
}
