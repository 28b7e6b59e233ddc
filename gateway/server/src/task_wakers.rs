//! Who waits for what of the shard loop: the tasks of the monoio driver.

use std::collections::HashMap;
use std::mem;
use std::task::{Context, Waker};
use std::time::Duration;

use gateway_core::ConnectionId;
use protocol::time::Instant;

use crate::handshake_turns::HandshakeTurns;
use crate::shard_loop::{Attention, Side};

/// See the file's head. Each waits for the next time only, and looks for itself when it is woken.
pub(crate) struct TaskWakers {
    pub(crate) handshakes: HandshakeTurns,
    sides: HashMap<ConnectionId, Sides>,
    departure: Option<Waker>,
    is_departure_due: bool,
    timer: Option<Waker>,
    timer_armed_for: Instant,
    is_timer_late: bool,
    end: Option<Waker>,
}

#[derive(Default)]
struct Sides {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl TaskWakers {
    /// Nobody waits.
    pub(crate) fn new(handshakes: HandshakeTurns) -> TaskWakers {
        TaskWakers {
            handshakes,
            sides: HashMap::new(),
            departure: None,
            is_departure_due: false,
            timer: None,
            timer_armed_for: Instant::default(),
            is_timer_late: false,
            end: None,
        }
    }

    /// This side of a connection waits.
    pub(crate) fn wait(&mut self, key: ConnectionId, side: Side, context: &Context<'_>) {
        let sides = self.sides.entry(key).or_default();
        let waiting = match side {
            Side::Reading => &mut sides.reader,
            Side::Writing => &mut sides.writer,
        };
        match waiting {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waiting = Some(context.waker().clone()),
        }
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, key: ConnectionId) {
        self.sides.remove(&key);
    }

    /// True when something may be there for the router since the last time that it was.
    pub(crate) fn await_departure(&mut self, context: &Context<'_>) -> bool {
        self.departure = Some(context.waker().clone());
        mem::take(&mut self.is_departure_due)
    }

    /// From now to when the timer goes off.
    pub(crate) fn arm_timer(&mut self, now: Instant, due: Instant) -> Duration {
        (self.timer_armed_for, self.is_timer_late) = (due, false);
        due.since(now)
    }

    /// True when there is an earlier deadline than the timer was armed for.
    pub(crate) fn await_earlier(&mut self, context: &Context<'_>) -> bool {
        self.timer = Some(context.waker().clone());
        mem::take(&mut self.is_timer_late)
    }

    pub(crate) fn await_end(&mut self, context: &Context<'_>) {
        self.end = Some(context.waker().clone());
    }
}

impl Attention for TaskWakers {
    fn to_write(&mut self, key: ConnectionId) {
        wake(self.sides.get_mut(&key).and_then(|sides| sides.writer.take()));
    }

    fn to_read(&mut self, key: ConnectionId) {
        wake(self.sides.get_mut(&key).and_then(|sides| sides.reader.take()));
    }

    fn to_depart(&mut self) {
        self.is_departure_due = true;
        wake(self.departure.take());
    }

    fn timer_before(&mut self, deadline: Instant) {
        if deadline < self.timer_armed_for {
            self.is_timer_late = true;
            wake(self.timer.take());
        }
    }

    fn to_end(&mut self) {
        wake(self.end.take());
    }
}

fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}
