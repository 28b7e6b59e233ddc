//! The one connection of a session: whether there is one, when there will be another, and whether it still lives.

use core::time::Duration;

use super::action::{Action, ClientEvent, ConnectionState, Me, Reason};
use super::backoff::Backoff;
use super::output::Output;
use super::random::Random;
use super::state::Position;
use crate::codes::{Code, number_is_temporary};
use crate::ids::UserSeq;
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::time::Instant;

/// Shorter intervals that a server names are taken for this one.
pub const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Longer ones for this one.
pub const HEARTBEAT_INTERVAL_MAX: Duration = Duration::from_secs(10 * 60);

pub(super) struct Connection {
    phase: Phase,
    backoff: Backoff,
    /// A token has expired, and the next connection brings another one; expired again, there is no other.
    is_token_renewed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting {
        until: Instant,
    },
    Connecting {
        deadline: Instant,
    },
    /// Hello claims this position.
    Greeting {
        deadline: Instant,
        claimed: Position,
    },
    Live(Heartbeat),
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Heartbeat {
    interval: Duration,
    heard_at: Instant,
    ping_at: Instant,
    /// Everything was acked up to here when the last Ping went out.
    pub(super) settled_at: Option<UserSeq>,
}

impl Connection {
    /// Connects at once.
    pub(super) fn new() -> Connection {
        Connection {
            phase: Phase::Waiting { until: Instant::default() },
            backoff: Backoff::default(),
            is_token_renewed: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// Whether the shell has one, or is dialing.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. } | Phase::Greeting { .. } | Phase::Live(_))
    }

    pub(super) fn connect(&mut self, now: Instant, output: &mut Output) {
        self.phase = Phase::Connecting { deadline: now + HANDSHAKE_TIMEOUT };
        output.push(Action::Connect);
        output.event(ClientEvent::State(ConnectionState::Connecting));
    }

    /// False where it comes too late.
    pub(super) fn greet(&mut self, claimed: Position) -> bool {
        let Phase::Connecting { deadline } = self.phase else { return false };
        self.phase = Phase::Greeting { deadline, claimed };
        true
    }

    pub(super) fn go_live(&mut self, now: Instant, heartbeat_interval_ms: u32, me: Me, output: &mut Output) {
        let interval = Duration::from_millis(u64::from(heartbeat_interval_ms));
        let interval = interval.clamp(HEARTBEAT_INTERVAL_MIN, HEARTBEAT_INTERVAL_MAX);
        self.phase = Phase::Live(Heartbeat { interval, heard_at: now, ping_at: now + interval, settled_at: None });
        self.backoff.succeeded();
        self.is_token_renewed = false;
        output.event(ClientEvent::State(ConnectionState::Online(me)));
    }

    /// A frame has come.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Phase::Live(heartbeat) = &mut self.phase {
            heartbeat.heard_at = now;
        }
    }

    /// The server ends it, and says within which time it wants to see us again.
    pub(super) fn told_to_go(
        &mut self,
        now: Instant,
        reason: Reason,
        window_ms: (u32, u32),
        random: &mut Random,
        output: &mut Output,
    ) {
        let is_expired = reason.code == Code::TokenExpired.number() && !self.is_token_renewed;
        if is_expired {
            self.is_token_renewed = true;
        } else if (3000..4000).contains(&reason.code) && !number_is_temporary(reason.code) {
            return self.close(Some(reason), output);
        }
        output.push(Action::Disconnect);
        let wait = self.backoff.next_within(window_ms, random);
        self.wait(now + wait, Some(reason), output);
    }

    /// It is of no use: gives it up and tries another one.
    pub(super) fn give_up(&mut self, now: Instant, reason: Code, random: &mut Random, output: &mut Output) {
        output.push(Action::Disconnect);
        let wait = self.backoff.next(random);
        self.wait(now + wait, Some(reason.into()), output);
    }

    /// It is gone, or was never made.
    pub(super) fn lost(&mut self, now: Instant, random: &mut Random, output: &mut Output) {
        let wait = self.backoff.next(random);
        self.wait(now + wait, None, output);
    }

    fn wait(&mut self, until: Instant, reason: Option<Reason>, output: &mut Output) {
        self.phase = Phase::Waiting { until };
        output.event(ClientEvent::State(ConnectionState::Offline(reason)));
    }

    /// For good.
    pub(super) fn close(&mut self, reason: Option<Reason>, output: &mut Output) {
        if self.is_there() {
            output.push(Action::Disconnect);
        }
        self.phase = Phase::Closed;
        output.event(ClientEvent::State(ConnectionState::Closed(reason)));
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Connecting { deadline } | Phase::Greeting { deadline, .. } => Some(deadline),
            Phase::Live(heartbeat) => Some(heartbeat.ping_at.min(heartbeat.dead_at())),
            Phase::Closed => None,
        }
    }

    /// Sends a Ping when one is due; `settled_at` is remembered with it.
    pub(super) fn ping_if_due(&mut self, now: Instant, settled_at: Option<UserSeq>, output: &mut Output) {
        if let Phase::Live(heartbeat) = &mut self.phase
            && heartbeat.ping_at <= now
        {
            heartbeat.ping_at = now + heartbeat.interval;
            heartbeat.settled_at = settled_at;
            output.transmit(|builder| builder.ping());
        }
    }
}

impl Heartbeat {
    /// A server that is there answers each Ping: after two intervals without a frame it is not.
    pub(super) fn dead_at(&self) -> Instant {
        self.heard_at + 2 * self.interval
    }
}

impl From<Code> for Reason {
    fn from(code: Code) -> Reason {
        Reason { code: code.number(), text: code.text().into() }
    }
}
