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
        for (name, count) in counters.rows().map(|(name, _, count)| (name, count)).chain(closes) {
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
        let counters =
            ["connections_refused", "deliveries_late", "fanouts", "frames_held", "links_silent", "sessions_reopened"];
        for name in codes.map(Code::name).into_iter().chain(counters) {
            assert!(self.counts.get(name).is_some_and(|count| *count >= 10), "{name} hardly ever happened");
        }
    }
}
