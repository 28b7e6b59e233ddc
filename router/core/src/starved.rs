//! Users with pushes that wait for the credits of a link, in the order in which they began to wait.

use alloc::collections::{BTreeSet, VecDeque};

use protocol::ids::UserId;

/// Each user once.
#[derive(Default)]
pub(crate) struct Starved {
    queue: VecDeque<UserId>,
    waiting: BTreeSet<UserId>,
}

impl Starved {
    /// Behind all others, unless it waits already.
    pub(crate) fn push(&mut self, user: UserId) {
        if self.waiting.insert(user) {
            self.queue.push_back(user);
        }
    }

    /// Who has waited longest. It waits no more.
    pub(crate) fn pop(&mut self) -> Option<UserId> {
        let user = self.queue.pop_front()?;
        self.waiting.remove(&user);
        Some(user)
    }

    pub(crate) fn has(&self, user: UserId) -> bool {
        self.waiting.contains(&user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_once_and_who_waited_longest_goes_first() {
        let mut starved = Starved::default();
        [7, 3, 7, 5].into_iter().for_each(|user| starved.push(UserId(user)));
        assert_eq!(starved.pop(), Some(UserId(7)));
        assert!(!starved.has(UserId(7)) && starved.has(UserId(3)));
        // Its credits were used up by others: again behind all.
        starved.push(UserId(7));
        assert_eq!(core::iter::from_fn(|| starved.pop()).collect::<alloc::vec::Vec<_>>(), [3, 5, 7].map(UserId));
    }
}
