//! What happens within a turn: frames to the shard, actions of the shard, deadlines of the driver.

use std::time::Duration;

use gateway_core::{AuthRefusal, CloseCause, ConnectionId};
use gateway_transport::{Blame, TlsError};
use protocol::codes::Code;
use protocol::frame::FrameError;
use protocol::time::Now;
use protocol_shell::clock;

use super::torn::Held;
use super::{Attention, Entry, Phase, ShardLoop};
use crate::authenticator::Verdict;
use crate::shard_port::{ShardAction, ShardPort};
use crate::wiretap;

/// What somebody without a TLS session gets of the close timeout: enough for an alert, too little to pile up sockets.
const STRANGER_CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

impl<S: ShardPort, A: Attention> ShardLoop<S, A> {
    /// Polls the shard until it wants nothing more, and wakes who waits for something of that.
    pub(super) fn end_turn(&mut self, now: Now) {
        self.act_all(now);
        self.attention.to_depart();
        self.settle(now);
    }

    pub(super) fn act_all(&mut self, now: Now) {
        while let Some(action) = self.shard.poll_action() {
            self.act(now, action);
        }
    }

    /// Sends the router what the turns since the last departure have gathered.
    pub(crate) fn depart(&mut self) {
        let now = clock::now();
        self.send_batches(now);
        self.settle(now);
    }

    fn send_batches(&mut self, now: Now) {
        self.link.send(now, &mut self.shard);
        // A batch that has left may let the shard go on with connections that waited for it.
        while let Some(action) = self.shard.poll_action() {
            self.act(now, action);
            self.link.send(now, &mut self.shard);
        }
    }

    fn settle(&mut self, now: Now) {
        self.published.set_ready(self.shard.is_ready());
        self.published.trace.absorb(now.monotonic, self.shard.notes());
        if let Some(deadline) = self.shard.poll_timeout() {
            self.attention.timer_before(deadline);
        }
        if self.is_drained() {
            self.send_batches(now);
            self.publish();
            self.attention.to_end();
        }
    }

    pub(super) fn publish(&mut self) {
        (self.figures.trace_steps, self.figures.trace_lost) = self.shard.notes().counts();
        self.figures.torn_bytes = self.torn.bytes() as u64;
        self.figures.torn_connections = self.torn.len() as u64;
        self.figures.closing_connections = self.closing.len() as u64;
        self.published.set_figures(self.shard.counters(), self.shard.gauges(), &self.figures);
    }

    /// Whether the shard has been drained, everybody is gone, and nobody is on the way here.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain_deadline.is_some() && self.entries.is_empty() && !self.crossings.is_expecting()
    }

    fn act(&mut self, now: Now, action: ShardAction<S::Frame>) {
        match action {
            ShardAction::Authenticate { connection, access_token } => {
                if self.authenticator.ask(connection, access_token).is_err() {
                    self.shard.handle_authenticated(now, connection, Err(AuthRefusal::Busy));
                }
            }
            ShardAction::Send { connection, frame } => {
                // The parts of the frame are the shard's until the next time it is polled.
                let parts = self.shard.frame(&frame);
                if let Some(entry) = self.entries.get_mut(&connection).filter(|entry| entry.is_open()) {
                    wiretap::sent(connection, parts);
                    entry.connection.queue(parts, || self.spare_buffers.take());
                    self.attention.to_write(connection);
                }
            }
            ShardAction::Release { connection } => self.release(now, connection),
            ShardAction::MoveTo { connection, shard } => self.begin_move(now, connection, shard),
            ShardAction::Close { connection, code } => {
                tracing::debug!(?connection, code = code.name(), "closing");
                self.close(now, connection, CloseCause::ByShard);
            }
        }
    }

    pub(super) fn open_entry(&mut self, key: ConnectionId) -> Option<&mut Entry> {
        self.entries.get_mut(&key).filter(|entry| entry.is_open())
    }

    /// Goes on with the frames that came while the connection was held.
    fn release(&mut self, now: Now, key: ConnectionId) {
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.is_open()) else { return };
        // Held from the Hello to the Welcome, so whoever is released has authenticated.
        entry.connection.set_authenticated();
        self.attention.to_read(key);
        let shard = &mut self.shard;
        let released = entry.connection.release(now.monotonic, |frame| {
            wiretap::received(key, frame);
            shard.handle_frame(now, key, frame)
        });
        if let Err(error) = released {
            shard.handle_violation(now, key, code_of(error));
        }
        self.account(now, key);
    }

    /// Counts the memory of a connection anew, and makes room when there is too little.
    pub(super) fn account(&mut self, now: Now, key: ConnectionId) {
        let Some(entry) = self.entries.get(&key) else { return };
        let Entry { connection, .. } = entry;
        // Of one that is held the rest cannot come.
        let torn_since = connection.torn_since().filter(|_| !connection.is_held());
        self.torn.note(key, Held { bytes: connection.bytes_held(), torn_since });
        if self.torn.bytes() > self.config.torn_bytes_max {
            self.make_room(now);
        }
    }

    /// Gives up the connection that holds most, of equals the one that began first. One a turn is enough: a turn adds
    /// less than the largest one holds.
    fn make_room(&mut self, now: Now) {
        let is_open = |key: &ConnectionId| self.entries.get(key).is_some_and(Entry::is_open);
        let Some(key) = self.torn.largest_first().find(is_open) else { return };
        self.metrics.closed_torn_memory.increment();
        self.violated(now, key, Code::Overloaded);
    }

    /// Who cannot be told a code is not worth the wait.
    fn violated(&mut self, now: Now, key: ConnectionId, code: Code) {
        let Some(entry) = self.open_entry(key) else { return };
        if entry.connection.is_established() {
            entry.connection.hold();
            self.shard.handle_violation(now, key, code);
        } else {
            self.abort(key, CloseCause::Lost);
        }
    }

    pub(super) fn authenticated(&mut self, now: Now, verdict: Verdict) {
        let Verdict { connection, result } = verdict;
        if self.open_entry(connection).is_none() {
            return;
        }
        self.shard.handle_authenticated(now, connection, result.map_err(AuthRefusal::from));
    }

    pub(super) fn tls_failed(&mut self, now: Now, key: ConnectionId, error: TlsError) {
        let metrics = &self.metrics;
        let counter = match (error, error.blame()) {
            (TlsError::NotTls, _) => &metrics.closed_not_tls,
            (_, Blame::InvalidBytes | Blame::Local) => &metrics.closed_tls_invalid,
            (_, Blame::PeerMisbehaved) => &metrics.closed_tls_misbehaved,
            (_, Blame::Incompatible) => &metrics.closed_tls_incompatible,
            (_, Blame::PeerRefused) => &metrics.closed_tls_alert,
        };
        counter.increment();
        tracing::debug!(connection = ?key, %error, "TLS failed");
        self.close(now, key, CloseCause::Transport);
    }

    /// Flushes what is queued, then ends. Does nothing for a connection that is ending already.
    pub(super) fn close(&mut self, now: Now, key: ConnectionId, cause: CloseCause) {
        let close_timeout = self.config.close_timeout;
        let Some(entry) = self.open_entry(key) else { return };
        let is_stranger = !entry.connection.is_established();
        let deadline =
            now.monotonic + if is_stranger { close_timeout.min(STRANGER_CLOSE_TIMEOUT) } else { close_timeout };
        entry.connection.finish();
        entry.phase = Phase::Closing { cause };
        self.attention.to_read(key);
        self.attention.to_write(key);
        self.closing.insert(key, deadline);
        self.account(now, key);
    }

    /// Ends at once.
    pub(super) fn abort(&mut self, key: ConnectionId, cause: CloseCause) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let cause = match entry.phase {
            Phase::Open | Phase::Leaving => cause,
            Phase::Closing { cause } | Phase::Aborted { cause } => cause,
        };
        entry.phase = Phase::Aborted { cause };
        self.attention.to_read(key);
        self.attention.to_write(key);
    }

    pub(super) fn sweep_torn(&mut self, now: Now) {
        let frame_timeout = self.config.frame_timeout;
        let late = self.torn.oldest_first().take_while(|(since, _)| now.monotonic.since(*since) >= frame_timeout);
        let late: Vec<_> = late.map(|(_, key)| key).collect();
        for key in late {
            self.violated(now, key, Code::FrameTimeout);
        }
    }

    pub(super) fn sweep_closing(&mut self, now: Now) {
        let late = self.closing.iter().filter(|(_, deadline)| **deadline <= now.monotonic);
        let late: Vec<_> = late.map(|(key, _)| *key).collect();
        for key in late {
            if self.entries.get(&key).is_some_and(|entry| entry.is_writing) {
                self.metrics.closed_aborted.increment();
            }
            self.abort(key, CloseCause::Lost);
        }
    }
}

pub(super) fn code_of(error: FrameError) -> Code {
    match error {
        FrameError::TooLarge => Code::FrameTooLarge,
        FrameError::Invalid => Code::FrameInvalid,
    }
}
