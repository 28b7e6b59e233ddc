//! What is to happen and when, in virtual time. Things due at the same time happen in the order in which they were noted.

use std::collections::BTreeMap;

use protocol::time::Instant;

/// A calendar of things.
#[derive(Debug)]
pub struct Agenda<T> {
    things: BTreeMap<(Instant, u64), T>,
    noted_count: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Agenda { things: BTreeMap::new(), noted_count: 0 }
    }
}

impl<T> Agenda<T> {
    /// `thing` happens at `at`.
    pub fn note(&mut self, at: Instant, thing: T) {
        self.things.insert((at, self.noted_count), thing);
        self.noted_count += 1;
    }

    /// When the next one is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.things.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next one with its time.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        self.things.pop_first().map(|((at, _), thing)| (at, thing))
    }

    /// The next one if it is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next_at()? <= now { self.pop() } else { None }
    }

    /// What is to come, in order.
    pub fn things(&self) -> impl Iterator<Item = &T> {
        self.things.values()
    }

    /// Takes everything out, in order.
    pub fn drain(&mut self) -> Vec<(Instant, T)> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_order_of_time_and_then_as_noted() {
        let mut agenda = Agenda::default();
        for (at, thing) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            agenda.note(Instant(at), thing);
        }
        assert_eq!(agenda.pop_due(Instant(2)), None);
        let order: String = std::iter::from_fn(|| agenda.pop()).map(|(_, thing)| thing).collect();
        assert_eq!(order, "abcd");
    }
}
