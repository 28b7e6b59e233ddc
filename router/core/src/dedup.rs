//! Which client ids a conversation has seen of late: a bounded window, and when the store must be asked instead.

use alloc::collections::{BTreeMap, VecDeque};

use protocol::ids::{ClientMsgId, DeviceId, Seq, UserId};
use protocol::time::WallTime;
use storage_api::Identity;

/// A first attempt is told by its device's newest id, without a look at the window; so that is searched for retries only,
/// and costs a message no more than its place at the end. Of a device that has said nothing yet the newest id is not known,
/// unless the window began with the conversation: a stalled connection may bring a first attempt when a later one has long
/// been answered over another, and the conversation was loaded again since.
pub(crate) struct DedupWindow {
    /// Oldest first.
    seen: VecDeque<(Identity, Seq, WallTime)>,
    newest_by_device: BTreeMap<(UserId, DeviceId), ClientMsgId>,
    /// The conversation had no entry before.
    has_begun_with_it: bool,
}

/// What the window knows of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// There it is, and since when.
    At(Seq, WallTime),
    New,
    AskStore,
}

impl DedupWindow {
    pub(crate) fn new(has_begun_with_conversation: bool) -> DedupWindow {
        let (seen, newest_by_device) = (VecDeque::new(), BTreeMap::new());
        DedupWindow { seen, newest_by_device, has_begun_with_it: has_begun_with_conversation }
    }

    /// A first attempt with an id newer than all of its device is new; everything else that is not at hand is asked.
    pub(crate) fn look_up(&self, identity: Identity, attempt: u16) -> Known {
        // What is at hand is no newer than the newest of its device.
        let newest = self.newest_by_device.get(&(identity.sender, identity.device));
        let is_newest = newest.map_or(self.has_begun_with_it, |newest| identity.client_id > *newest);
        if attempt == 0 && is_newest {
            return Known::New;
        }
        let found = self.seen.iter().rev().find(|(seen, ..)| *seen == identity);
        found.map_or(Known::AskStore, |(_, seq, time)| Known::At(*seq, *time))
    }

    /// Takes in an identity; forgets the oldest beyond `entries_max`.
    pub(crate) fn insert(&mut self, identity: Identity, (seq, time): (Seq, WallTime), entries_max: usize) {
        let newest = self.newest_by_device.entry((identity.sender, identity.device)).or_insert(identity.client_id);
        *newest = (*newest).max(identity.client_id);
        self.seen.push_back((identity, seq, time));
        let excess = self.seen.len().saturating_sub(entries_max);
        self.seen.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: u8) -> Identity {
        Identity { sender: UserId(1), device: DeviceId(1), client_id: ClientMsgId([id; 16]) }
    }

    #[test]
    fn a_first_attempt_is_new_only_while_its_device_has_sent_nothing_newer() {
        let mut window = DedupWindow::new(true);
        assert_eq!(window.look_up(identity(5), 0), Known::New);
        assert_eq!(window.look_up(identity(5), 1), Known::AskStore);
        window.insert(identity(5), (Seq(1), WallTime(7)), 8);
        assert_eq!(window.look_up(identity(5), 0), Known::At(Seq(1), WallTime(7)));
        assert_eq!(window.look_up(identity(4), 0), Known::AskStore);
        assert_eq!(window.look_up(identity(6), 0), Known::New);
    }

    #[test]
    fn of_a_conversation_that_was_there_before_a_device_is_asked_about_once() {
        let mut window = DedupWindow::new(false);
        assert_eq!(window.look_up(identity(5), 0), Known::AskStore);
        window.insert(identity(5), (Seq(1), WallTime(7)), 8);
        assert_eq!(window.look_up(identity(6), 0), Known::New);
        let other = Identity { device: DeviceId(2), ..identity(6) };
        assert_eq!(window.look_up(other, 0), Known::AskStore);
    }

    #[test]
    fn what_falls_out_of_the_window_is_asked_of_the_store() {
        let mut window = DedupWindow::new(true);
        for id in 1..=9 {
            window.insert(identity(id), (Seq(u64::from(id)), WallTime(0)), 2);
        }
        assert_eq!(window.look_up(identity(9), 1), Known::At(Seq(9), WallTime(0)));
        assert_eq!(window.look_up(identity(7), 0), Known::AskStore);
    }
}
