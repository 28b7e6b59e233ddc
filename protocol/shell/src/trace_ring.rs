//! The steps of messages that a tier keeps: the newest, within a bound of memory and of time.
//!
//! The thread that notes steps never waits for whoever reads: while it is read the steps stay with the thread. The memory
//! is reserved at once and used as steps come, so keeping a step allocates nothing.

use std::sync::{Mutex, TryLockError};

use protocol::ids::ClientMsgId;
use protocol::time::Instant;
use protocol::trace::{TraceConfig, TraceNotes, TraceStep};

/// See the file's head.
#[derive(Debug)]
pub struct TraceRing {
    config: TraceConfig,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    steps: Vec<TraceStep>,
    /// Where the oldest step is, once there is no more room.
    oldest: usize,
    /// Steps up to then may be gone.
    gone_through: Option<Instant>,
    lost_count: u64,
}

/// What is kept of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceFound {
    /// In the order in which they were noted.
    pub steps: Vec<TraceStep>,
    /// Steps up to then may be gone. `None`: all there ever were are there.
    pub gone_through: Option<Instant>,
}

impl TraceFound {
    /// Takes in what another thread of the tier has kept of the same message.
    pub fn merge(&mut self, other: TraceFound) {
        self.steps.extend(other.steps);
        self.steps.sort_by_key(|step| step.at);
        self.gone_through = self.gone_through.max(other.gone_through);
    }
}

impl Default for TraceRing {
    fn default() -> Self {
        TraceRing::new(TraceConfig::default())
    }
}

impl TraceRing {
    /// With nothing in it.
    pub fn new(config: TraceConfig) -> TraceRing {
        let steps_max = if config.one_in == 0 { 0 } else { config.bytes_max / size_of::<TraceStep>() };
        let kept = Kept { steps: Vec::with_capacity(steps_max), oldest: 0, gone_through: None, lost_count: 0 };
        TraceRing { config, kept: Mutex::new(kept) }
    }

    /// Which messages it is for, and how many.
    pub fn config(&self) -> &TraceConfig {
        &self.config
    }

    /// Takes what a core has noted, unless somebody is reading.
    pub fn absorb(&self, now: Instant, notes: &mut TraceNotes) {
        if notes.steps().is_empty() {
            return;
        }
        let mut kept = match self.kept.try_lock() {
            Ok(kept) => kept,
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Poisoned(_)) => panic!("nothing panics while it holds this lock"),
        };
        notes.steps().iter().for_each(|step| kept.keep(*step));
        let (_, lost_count) = notes.counts();
        if lost_count > kept.lost_count {
            kept.lost_count = lost_count;
            kept.gone_through = Some(now);
        }
        notes.clear();
    }

    /// Everything that is known of a message. It looks at every step that is kept.
    pub fn find(&self, now: Instant, id: ClientMsgId) -> TraceFound {
        let kept = self.kept.lock().expect("nothing panics while it holds this lock");
        let too_old = now - self.config.kept;
        let (newer, older) = kept.steps.split_at(kept.oldest);
        let in_order = || older.iter().chain(newer);
        let has_too_old = in_order().next().is_some_and(|oldest| oldest.at < too_old);
        TraceFound {
            steps: in_order().filter(|step| step.id == id && step.at >= too_old).copied().collect(),
            gone_through: kept.gone_through.max(has_too_old.then_some(too_old)),
        }
    }
}

impl Kept {
    fn keep(&mut self, step: TraceStep) {
        if self.steps.len() < self.steps.capacity() {
            return self.steps.push(step);
        }
        if let Some(oldest) = self.steps.get_mut(self.oldest) {
            self.gone_through = Some(std::mem::replace(oldest, step).at);
            self.oldest = (self.oldest + 1) % self.steps.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::ids::{DeviceId, UserId};
    use protocol::trace::Stage;

    use super::*;

    fn step(number: u64) -> TraceStep {
        let id = id(number);
        TraceStep { id, at: Instant(number), user: UserId(1), device: DeviceId(1), code: 0, stage: Stage::Received }
    }

    fn id(number: u64) -> ClientMsgId {
        ClientMsgId(u128::from(number).to_be_bytes())
    }

    fn ring(steps_max: usize, kept: Duration) -> (TraceRing, TraceNotes) {
        let config = TraceConfig { bytes_max: steps_max * size_of::<TraceStep>(), kept, ..TraceConfig::default() };
        (TraceRing::new(config), TraceNotes::new(&config))
    }

    #[test]
    fn a_full_ring_keeps_the_newest_and_says_since_when() {
        let (ring, mut notes) = ring(4, Duration::from_secs(1));
        (1..=6).for_each(|number| notes.note(step(number)));
        ring.absorb(Instant(10), &mut notes);
        let gone_through = Some(Instant(2));
        let found = |number| ring.find(Instant(10), id(number));
        assert_eq!(found(2), TraceFound { steps: vec![], gone_through });
        (3..=6).for_each(|number| assert_eq!(found(number), TraceFound { steps: vec![step(number)], gone_through }));
    }

    #[test]
    fn the_steps_of_a_message_are_in_order_also_where_the_ring_begins_anew() {
        let (ring, mut notes) = ring(4, Duration::from_secs(1));
        let steps: Vec<TraceStep> = (1..=4).map(|at| TraceStep { at: Instant(at), ..step(9) }).collect();
        [step(1), step(2)].iter().chain(&steps).for_each(|step| notes.note(*step));
        ring.absorb(Instant(10), &mut notes);
        assert_eq!(ring.find(Instant(10), id(9)).steps, steps);
    }

    #[test]
    fn what_has_had_its_time_is_gone() {
        let (ring, mut notes) = ring(2, Duration::from_nanos(100));
        notes.note(step(1));
        ring.absorb(Instant(1), &mut notes);
        assert_eq!(ring.find(Instant(101), id(1)), TraceFound { steps: vec![step(1)], gone_through: None });
        assert_eq!(ring.find(Instant(102), id(1)), TraceFound { steps: vec![], gone_through: Some(Instant(2)) });
    }

    #[test]
    fn without_tracing_nothing_is_reserved_and_nothing_kept() {
        let config = TraceConfig { one_in: 0, ..TraceConfig::default() };
        let ring = TraceRing::new(config);
        let mut notes = TraceNotes::new(&TraceConfig::default());
        notes.note(step(1));
        ring.absorb(Instant(1), &mut notes);
        assert_eq!(ring.find(Instant(1), id(1)).steps, []);
    }

    #[test]
    fn while_it_is_read_steps_wait_with_their_thread() {
        let (ring, mut notes) = ring(2, Duration::from_secs(1));
        notes.note(step(1));
        let reading = ring.kept.lock().expect("not poisoned");
        ring.absorb(Instant(1), &mut notes);
        drop(reading);
        assert_eq!(notes.steps().len(), 1);
        ring.absorb(Instant(1), &mut notes);
        assert_eq!((notes.steps().len(), ring.find(Instant(1), id(1)).steps.len()), (0, 1));
    }
}
