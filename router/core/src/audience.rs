//! Who follows a channel: how many connections of each link.
//!
//! Followers are of no account for what is durable. Each entry leaves once for a link, whose gateway has the connections by
//! name; who misses one finds it in the history.

use alloc::collections::BTreeMap;

use crate::links::LinkId;

#[derive(Default)]
pub(crate) struct Audience {
    by_link: BTreeMap<LinkId, u64>,
}

impl Audience {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_link.is_empty()
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.by_link.keys().copied()
    }

    /// One more.
    pub(crate) fn join(&mut self, link: LinkId) {
        *self.by_link.entry(link).or_default() += 1;
    }

    /// So many have stopped.
    pub(crate) fn leave(&mut self, link: LinkId, count: u32) {
        if let Some(followers) = self.by_link.get_mut(&link) {
            *followers = followers.saturating_sub(count.into());
            if *followers == 0 {
                self.by_link.remove(&link);
            }
        }
    }

    /// All of a link that is gone have.
    pub(crate) fn lose(&mut self, link: LinkId) {
        self.by_link.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_until_the_last_of_it_has_stopped() {
        let (mut audience, link) = (Audience::default(), LinkId(1));
        (0..3).for_each(|_| audience.join(link));
        audience.join(LinkId(2));
        audience.leave(link, 2);
        assert_eq!(audience.links().count(), 2);
        audience.leave(link, 1);
        assert_eq!(audience.links().collect::<alloc::vec::Vec<_>>(), [LinkId(2)]);
        audience.lose(LinkId(2));
        assert!(audience.is_empty());
    }
}
