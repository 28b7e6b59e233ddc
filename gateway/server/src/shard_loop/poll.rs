//! What the tasks of a driver wait for.

use std::task::{Context, Poll};
use std::time::Duration;

use gateway_core::ConnectionId;

use super::{Phase, ShardLoop};
use crate::connection::Outgoing;
use crate::shard_port::ShardPort;
use protocol_shell::clock;

/// The deadlines of frames, closes and drains are looked at this often, so they may be this late. It also bounds how
/// long a step of the clock, a machine that slept, goes unnoticed.
const TICK: Duration = Duration::from_millis(250);

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadTurn {
    /// Read, and report it.
    Read,
    /// The connection is over.
    Stop,
}

/// The two tasks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Reads.
    Reader,
    /// Writes.
    Writer,
}

impl<S: ShardPort> ShardLoop<S> {
    /// How long the timer task may sleep before it calls [`Self::timeout`].
    pub(crate) fn arm_timer(&mut self) -> Duration {
        let now = clock::now().monotonic;
        let tick = now + TICK;
        self.timer.armed_for = self.shard.poll_timeout().map_or(tick, |deadline| deadline.min(tick));
        self.timer.armed_for.since(now)
    }

    /// Ready when the shard has an earlier deadline than the timer was armed for.
    pub(crate) fn poll_earlier(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_earlier_deadline() {
            return Poll::Ready(());
        }
        self.timer.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when something may wait for [`Self::depart`].
    pub(crate) fn poll_departure(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.departure.is_due {
            return Poll::Ready(());
        }
        self.departure.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when the reader may go on, or has to end.
    pub(crate) fn poll_read_turn(&mut self, key: ConnectionId, context: &mut Context<'_>) -> Poll<ReadTurn> {
        let entry = self.entry_of_task(key);
        match entry.phase {
            Phase::Aborted { .. } => Poll::Ready(ReadTurn::Stop),
            Phase::Open if entry.connection.is_held() => {
                entry.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Phase::Open | Phase::Closing { .. } => Poll::Ready(ReadTurn::Read),
        }
    }

    /// Ready with what is to be written; with `None` when nothing follows.
    pub(crate) fn poll_outgoing(&mut self, key: ConnectionId, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let entry = self.entry_of_task(key);
        if matches!(entry.phase, Phase::Aborted { .. }) {
            return Poll::Ready(None);
        }
        if let Some(outgoing) = entry.connection.take_outgoing() {
            return Poll::Ready(Some(outgoing));
        }
        if !entry.is_open() {
            return Poll::Ready(None);
        }
        entry.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when an operation of this task must be given up.
    pub(crate) fn poll_abort(&mut self, key: ConnectionId, task: Task, context: &mut Context<'_>) -> Poll<()> {
        let entry = self.entry_of_task(key);
        if matches!(entry.phase, Phase::Aborted { .. }) {
            return Poll::Ready(());
        }
        match task {
            Task::Reader => entry.reader = Some(context.waker().clone()),
            Task::Writer => entry.writer = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Ready when the shard has been drained.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_drained() {
            return Poll::Ready(());
        }
        self.waiting_for_end = Some(context.waker().clone());
        Poll::Pending
    }

    fn entry_of_task(&mut self, key: ConnectionId) -> &mut super::Entry {
        self.entries.get_mut(&key).expect("an entry lives as long as its tasks")
    }
}
