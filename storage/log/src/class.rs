//! The classes of records: how long each kind of record is kept.

/// How long a record is kept. Its number stands in every record header and never changes its meaning.
///
/// Records of all classes share one open segment, so that a commit which touches several classes costs one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Kept until it is erased.
    Permanent = 1,
    /// A message that disappears after a day.
    Ttl1d = 2,
    /// A message that disappears after a week.
    Ttl7d = 3,
    /// A message that disappears after 90 days.
    Ttl90d = 4,
    /// A row of a user's log, kept for 30 days.
    UserLog30d = 5,
    /// Small state (users, members, cursors): the newest record of a key counts.
    State = 6,
}

impl Class {
    /// Every class, in the order of its numbers.
    pub const ALL: [Self; 6] = [Self::Permanent, Self::Ttl1d, Self::Ttl7d, Self::Ttl90d, Self::UserLog30d, Self::State];

    /// The number in the record header.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The class of a number; `None` is a class of a newer version.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }
}
