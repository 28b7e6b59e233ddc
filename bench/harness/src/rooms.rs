//! Who writes to whom: rooms of equal size, one after the other.

use serde::{Deserialize, Serialize};

/// In a room of two both write to each other; in a larger one the first writes to all others. Some rooms may be silent.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Rooms {
    /// How many.
    pub count: usize,
    /// People in each, at least two.
    pub size: usize,
    /// In how many somebody writes, from the first on.
    pub writing: usize,
}

impl Rooms {
    /// None is silent.
    pub fn all_writing(count: usize, size: usize) -> Rooms {
        Rooms { count, size, writing: count }
    }

    /// People in all rooms.
    pub fn people(self) -> usize {
        self.count * self.size
    }

    /// The nth of those who write; somebody has to.
    pub fn writer(self, nth: u64) -> usize {
        let nth = usize::try_from(nth).unwrap_or(usize::MAX) % self.writers();
        if self.size == 2 { nth } else { nth * self.size }
    }

    /// How many write.
    pub fn writers(self) -> usize {
        if self.size == 2 { 2 * self.writing } else { self.writing }
    }

    /// Whose messages come to this one.
    pub fn heard_by(self, index: usize) -> Option<usize> {
        let first = index / self.size * self.size;
        if self.size == 2 { Some(index ^ 1) } else { (index != first).then_some(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_write_to_each_other_and_of_more_the_first_writes_to_all() {
        let pairs = Rooms::all_writing(3, 2);
        assert_eq!((pairs.people(), pairs.writers(), pairs.writer(7)), (6, 6, 1));
        assert_eq!((pairs.heard_by(4), pairs.heard_by(5)), (Some(5), Some(4)));
        let groups = Rooms::all_writing(2, 5);
        assert_eq!((groups.people(), groups.writers(), groups.writer(3)), (10, 2, 5));
        assert_eq!((groups.heard_by(5), groups.heard_by(6), groups.heard_by(9)), (None, Some(5), Some(5)));
    }
    #[test]
    fn in_silent_rooms_nobody_writes() {
        let pairs = Rooms { count: 3, size: 2, writing: 1 };
        assert_eq!((pairs.people(), pairs.writers(), pairs.writer(3)), (6, 2, 1));
        let groups = Rooms { count: 3, size: 5, writing: 2 };
        assert_eq!((groups.people(), groups.writers(), groups.writer(3)), (15, 2, 5));
    }
}
