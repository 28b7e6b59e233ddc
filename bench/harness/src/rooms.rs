//! Who writes to whom: rooms of equal size, one after the other.

/// In a room of two both write to each other; in a larger one the first writes to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rooms {
    /// How many.
    pub count: usize,
    /// People in each, at least two.
    pub size: usize,
}

impl Rooms {
    /// People in all rooms.
    pub fn people(self) -> usize {
        self.count * self.size
    }

    /// The nth of those who write.
    pub fn writer(self, nth: u64) -> usize {
        let nth = usize::try_from(nth).unwrap_or(usize::MAX);
        if self.size == 2 { nth % self.people() } else { nth % self.count * self.size }
    }

    /// How many write.
    pub fn writers(self) -> usize {
        if self.size == 2 { self.people() } else { self.count }
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
        let pairs = Rooms { count: 3, size: 2 };
        assert_eq!((pairs.people(), pairs.writers(), pairs.writer(7)), (6, 6, 1));
        assert_eq!((pairs.heard_by(4), pairs.heard_by(5)), (Some(5), Some(4)));
        let groups = Rooms { count: 2, size: 5 };
        assert_eq!((groups.people(), groups.writers(), groups.writer(3)), (10, 2, 5));
        assert_eq!((groups.heard_by(5), groups.heard_by(6), groups.heard_by(9)), (None, Some(5), Some(5)));
    }
}
