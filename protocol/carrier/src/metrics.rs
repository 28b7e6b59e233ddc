//! What an end of links counts. Written by the thread of the links.

use protocol::figures;
use protocol_shell::Counter;

use crate::refusal::Refusal;

figures! {
    /// See the file's head.
    #[derive(Debug, Default)]
    pub struct LinkMetrics of "link" {
        counter made: Counter, "Links that both ends have proven their key for.",
            "Rises at a start and after a break; one that keeps rising is a link that does not hold.";
        counter ended: Counter, "Links that have ended, for whatever reason.",
            "Rises without a restart: see the log for which end gave up and why.";
        counter refused_key: Counter, "Connections that became no link because the two ends have different link keys.",
            "Above 0: a tier has another `--link-key-file`, or a stranger tries.";
        counter refused_timeout: Counter, "Connections that became no link because the handshake took too long.",
            "Rises: an overloaded machine, or something that is no tier connects to `--link`.";
        counter refused_evicted: Counter,
            "Connections that became no link because they were the oldest of too many handshakes.",
            "Rises: somebody floods the port of the links; only gateways should reach it.";
        counter refused_other: Counter, "Connections that became no link for another reason; the log says which.",
            "Rises: see the log.";
    }
}

impl LinkMetrics {
    pub(crate) fn refused(&self, refusal: &Refusal) {
        match refusal {
            Refusal::OtherKey => self.refused_key.increment(),
            Refusal::TimedOut => self.refused_timeout.increment(),
            _ => self.refused_other.increment(),
        }
    }
}
