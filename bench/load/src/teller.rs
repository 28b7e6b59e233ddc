//! Who says how far a run is, and keeps what was heard for the page.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::conductor::{Event, Workers};
use crate::order::{Order, Outcome, Progress};

/// Between two words of how far it is.
const SAY_INTERVAL: Duration = Duration::from_secs(2);

/// See the file's head.
pub(crate) struct Teller<'a> {
    say: &'a mut dyn FnMut(&str),
    began: Instant,
    said: Instant,
    timeline: Vec<(f64, Progress)>,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(say: &'a mut dyn FnMut(&str)) -> Teller<'a> {
        Teller { say, began: Instant::now(), said: Instant::now(), timeline: Vec::new() }
    }

    /// One that says the same to the same, and whose timeline is its own.
    pub(crate) fn aside(&mut self) -> Teller<'_> {
        Teller::new(&mut *self.say)
    }

    pub(crate) fn say(&mut self, what: &str) {
        (self.say)(what);
        self.said = Instant::now();
    }

    /// What changes all the time, not too often.
    pub(crate) fn mention(&mut self, what: impl FnOnce() -> String) {
        if self.said.elapsed() >= SAY_INTERVAL {
            self.say(&what());
        }
    }

    pub(crate) fn hear(&mut self, progress: Progress, what: &str) {
        self.timeline.push((self.began.elapsed().as_secs_f64(), progress));
        let Progress { live, answered, delivered } = progress;
        self.mention(|| format!("{what}: {live} live, {answered} messages acked, {delivered} delivered"));
    }

    /// Has the workers follow an order, and says how far they are.
    pub(crate) fn follow(&mut self, workers: &mut Workers, order: Order, what: &str) -> Result<Outcome> {
        workers.follow(order, |event| {
            if let Event::Progress(progress) = event {
                self.hear(progress, what);
            }
            Ok(())
        })
    }

    /// What was heard, and when.
    pub(crate) fn timeline(&mut self) -> Vec<(f64, Progress)> {
        std::mem::take(&mut self.timeline)
    }
}
