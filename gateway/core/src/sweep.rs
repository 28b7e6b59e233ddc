//! The one timer of all live sessions: a walk over the slots that finds who was silent too long, who does not take what is
//! sent, and whose token is over.
//!
//! A turn looks at a quarter of the slots, so it finds what is due at most [`SWEEP_ROUND`] late, and at a million
//! connections reads some 30 MB a second.

use core::time::Duration;

use protocol::codes::Code;
use protocol::time::{Instant, Now};

use crate::connection::Connection;
use crate::connections::Connections;

/// Between two turns.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Turns in which every slot is looked at once.
const SWEEP_TURNS: u32 = 4;
/// A turn looks at this many at least: small shards are done in one.
const SWEEP_SLOTS_MIN: u32 = 1024;
/// How late a session is closed at most, once it is due: a silent one is a second after its time, since seconds of silence
/// are counted whole.
pub const SWEEP_ROUND: Duration = SWEEP_INTERVAL.saturating_mul(SWEEP_TURNS);
/// A turn that comes this late finds that it was this process that slept.
const SWEEP_LATE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(crate) struct Sweep {
    next_at: Instant,
    next_slot: u32,
    /// Until then nobody is silent: what was sent meanwhile has not been read yet.
    forgives_until: Instant,
}

impl Sweep {
    pub(crate) fn next_at(&self) -> Instant {
        self.next_at
    }

    pub(crate) fn run(&mut self, now: Now, connections: &mut Connections) {
        if now.monotonic < self.next_at {
            return;
        }
        if now.monotonic.since(self.next_at) >= SWEEP_LATE {
            self.forgives_until = now.monotonic + connections.config.heartbeat_interval;
        }
        self.next_at = now.monotonic + SWEEP_INTERVAL;
        let slots_count = connections.slab.slots_count();
        let turn_slots = slots_count.div_ceil(SWEEP_TURNS).max(SWEEP_SLOTS_MIN).min(slots_count);
        for _ in 0..turn_slots {
            self.next_slot = if self.next_slot + 1 < slots_count { self.next_slot + 1 } else { 0 };
            let Some((id, connection)) = connections.slab.at_mut(self.next_slot) else { continue };
            if let Some(code) = self.verdict(now, connection, connections.config.heartbeat_interval) {
                connections.close(id, code);
            }
        }
    }

    fn verdict(&self, now: Now, connection: &mut Connection, heartbeat_interval: Duration) -> Option<Code> {
        if !connection.is_live() {
            return None;
        }
        if connection.token_expires_at <= now.wall {
            return Some(Code::TokenExpired);
        }
        if stalled_for(now, connection) >= 2 * heartbeat_interval {
            return Some(Code::SlowReader);
        }
        // Who is held cannot be heard.
        let is_listened_to = !connection.is_held && now.monotonic >= self.forgives_until;
        let is_silent = is_listened_to && connection.session.is_silent(now.monotonic, 2 * heartbeat_interval);
        is_silent.then_some(Code::HeartbeatMissed)
    }
}

/// How long the socket has been seen to take nothing though something waits, to a second: its peer does not read. Notes when
/// that begins.
fn stalled_for(now: Now, connection: &mut Connection) -> Duration {
    // Never 0, which says that it is not.
    let now_s = u32::try_from(now.monotonic.0 / 1_000_000_000).unwrap_or(u32::MAX).max(1);
    if connection.send_queue_bytes == 0 {
        connection.stalled_since_s = 0;
    } else if connection.stalled_since_s == 0 {
        connection.stalled_since_s = now_s;
    }
    match connection.stalled_since_s {
        0 => Duration::ZERO,
        since_s => Duration::from_secs(now_s.saturating_sub(since_s).into()),
    }
}
