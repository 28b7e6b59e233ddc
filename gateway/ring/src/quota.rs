//! Sockets of which a turn reads from so many at most; the others wait in the order in which they had something.

use std::collections::VecDeque;

use crate::socket_id::SocketId;

/// See the file's head.
pub(crate) struct Quota {
    per_turn_max: u32,
    /// Of this turn.
    left: u32,
    /// Some may be gone.
    waiting: VecDeque<SocketId>,
}

impl Quota {
    /// Not 0.
    pub(crate) fn new(per_turn_max: u32) -> Quota {
        assert!(per_turn_max > 0, "they would wait for ever");
        Quota { per_turn_max, left: 0, waiting: VecDeque::new() }
    }

    /// From the next turn on. Not 0.
    pub(crate) fn set_per_turn_max(&mut self, per_turn_max: u32) {
        assert!(per_turn_max > 0, "they would wait for ever");
        self.per_turn_max = per_turn_max;
    }

    pub(crate) fn begin_turn(&mut self) {
        self.left = self.per_turn_max;
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// One is read from. Only while it is not used up.
    pub(crate) fn take(&mut self) {
        self.left -= 1;
    }

    pub(crate) fn wait(&mut self, socket: SocketId) {
        self.waiting.push_back(socket);
    }

    /// Who waits longest, while it is not used up.
    pub(crate) fn next(&mut self) -> Option<SocketId> {
        let left = self.left;
        self.waiting.pop_front_if(|_| left > 0)
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }
}
