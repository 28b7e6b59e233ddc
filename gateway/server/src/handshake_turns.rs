//! Whose TLS handshake goes on in this turn of the monoio driver, and who waits for the next one.

use std::collections::VecDeque;
use std::task::{Context, Waker};

/// See the file's head. Who waits longest is next.
pub(crate) struct HandshakeTurns {
    per_turn_max: u32,
    left: u32,
    waiting: VecDeque<Waker>,
}

impl HandshakeTurns {
    /// So many steps a turn; not 0.
    pub(crate) fn new(per_turn_max: u32) -> HandshakeTurns {
        HandshakeTurns { per_turn_max, left: per_turn_max, waiting: VecDeque::new() }
    }

    /// From the next turn on.
    pub(crate) fn set_per_turn_max(&mut self, per_turn_max: u32) {
        self.per_turn_max = per_turn_max;
    }

    /// Whether a step may be taken now; if not, its task is woken for another try.
    pub(crate) fn take(&mut self, context: &Context<'_>) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            self.waiting.push_back(context.waker().clone());
            return false;
        };
        self.left = left;
        true
    }

    /// Everything that was ready has had its turn. Those who are woken here run before any that come later.
    pub(crate) fn begin(&mut self) {
        self.left = self.per_turn_max;
        let next = self.waiting.len().min(self.left as usize);
        self.waiting.drain(..next).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_grants_no_more_than_it_has_and_the_rest_wait_for_the_next() {
        let mut turns = HandshakeTurns::new(2);
        let context = Context::from_waker(Waker::noop());
        let granted = |turns: &mut HandshakeTurns| (0..3).filter(|_| turns.take(&context)).count();
        assert_eq!((granted(&mut turns), turns.waiting.len()), (2, 1));
        assert_eq!((granted(&mut turns), turns.waiting.len()), (0, 4));
        turns.begin();
        assert_eq!((granted(&mut turns), turns.waiting.len()), (2, 3));
    }
}
