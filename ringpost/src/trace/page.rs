//! What an admin listener answers to `/trace/CLIENT_MSG_ID`. Fields are only ever added.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::time::Instant;
use protocol::trace::{Stage, TraceConfig, TraceStep};
use protocol_shell::{TraceFound, clock};
use serde::{Deserialize, Serialize};

/// Of one process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TracePage {
    pub(crate) client_msg_id: String,
    pub(crate) tiers: Vec<TierPage>,
}

/// Of one tier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TierPage {
    /// `gateway` or `router`.
    pub(crate) tier: String,
    pub(crate) one_in: u32,
    pub(crate) kept_s: u64,
    /// Steps up to then may be gone, by the wall clock in microseconds since 1970.
    pub(crate) gone_through_us: Option<u64>,
    pub(crate) steps: Vec<StepLine>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StepLine {
    pub(crate) stage: String,
    /// By the wall clock.
    pub(crate) at_us: u64,
    pub(crate) user: String,
    /// 0 for a transient session.
    pub(crate) device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
}

/// Turns the time of steps into that of people. Steps keep the clock that does not step, so what is shown follows the
/// wall clock of now also where that was set meanwhile.
#[derive(Clone, Copy)]
struct Clocks {
    now: Instant,
    wall_us: u64,
}

impl Clocks {
    fn read() -> Clocks {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clocks { now: clock::now().monotonic, wall_us: u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX) }
    }

    fn wall_us(self, at: Instant) -> u64 {
        let ago_us = u64::try_from(self.now.since(at).as_micros()).unwrap_or(u64::MAX);
        self.wall_us.saturating_sub(ago_us)
    }
}

impl TierPage {
    /// What a tier has kept of a message.
    pub(crate) fn new(tier: &str, config: &TraceConfig, found: TraceFound) -> TierPage {
        let clocks = Clocks::read();
        TierPage {
            tier: tier.to_owned(),
            one_in: config.one_in,
            kept_s: config.kept.as_secs(),
            gone_through_us: found.gone_through.map(|at| clocks.wall_us(at)),
            steps: found.steps.iter().map(|step| StepLine::new(step, clocks)).collect(),
        }
    }
}

impl StepLine {
    fn new(step: &TraceStep, clocks: Clocks) -> StepLine {
        StepLine {
            stage: step.stage.name().to_owned(),
            at_us: clocks.wall_us(step.at),
            user: step.user.to_string(),
            device: step.device.to_string(),
            code: (step.stage == Stage::Refused).then_some(step.code),
        }
    }
}
