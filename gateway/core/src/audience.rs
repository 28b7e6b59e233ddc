//! Who follows which channels on this shard, and what of them is still to be sent.
//!
//! The router decides who may follow, and sends each entry once for all of them here. What has come of a channel in some
//! milliseconds goes to everybody together, some hundred connections at a time: so entries share a send, and a large
//! audience keeps nobody else waiting. The credits of the link are given back when everybody has had it, so what waits is
//! bounded. Who does not read its socket misses entries, and is told how far the channel is when it reads again: its
//! device asks for the history.
//!
//! Invariant: of each connection that the router was told to follow, it is told that it has stopped, once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;
use core::ops::Bound;
use core::time::Duration;

use protocol::ids::{ConversationId, Seq};
use protocol::time::Instant;

use crate::connection::ConnectionId;

/// Connections that are sent something of channels in a turn, which takes some 2 ms. More of them are sent it in the turns
/// after it.
pub const FOLLOWERS_PER_TURN_MAX: usize = 256;

/// Rounds of channels begin at least so far apart. Whoever publishes after a pause waits for nothing.
pub const ROUND_INTERVAL_MIN: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(crate) struct Audience {
    channels: BTreeMap<ConversationId, Channel>,
    followers: BTreeMap<ConnectionId, Follower>,
    /// Channels with something for their followers, each once.
    due: VecDeque<ConversationId>,
    round: Option<Round>,
    /// When the next round may begin.
    next_round_at: Instant,
    /// Of the link, for what nobody is to be sent any more.
    spent_bytes: u64,
    /// How many have stopped, and the router does not know.
    stopped: BTreeMap<ConversationId, u32>,
    /// Followers that have missed something.
    behind: BTreeSet<ConnectionId>,
    /// Followers of all channels.
    count: usize,
}

#[derive(Default)]
struct Channel {
    head: Seq,
    followers: BTreeSet<ConnectionId>,
    entries: Entries,
}

/// Frames that go to the same connections.
#[derive(Default)]
pub(crate) struct Entries {
    bytes: Vec<u8>,
    /// Of each frame in `bytes`.
    ends: Vec<usize>,
    /// What they cost on the link.
    cost_bytes: u64,
}

impl Entries {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| self.bytes.get(begin..*end).expect("frames lie one behind the other"))
    }
}

/// What everybody who follows a channel is being sent.
struct Round {
    conversation: ConversationId,
    entries: Entries,
    /// The last one that has had it.
    sent_to: Option<ConnectionId>,
}

struct Follower {
    /// Of its last ChannelFollow.
    request_id: u32,
    channels: Vec<Followed>,
}

struct Followed {
    conversation: ConversationId,
    has_missed: bool,
}

/// What is to be sent to some of those who follow a channel.
pub(crate) struct Share {
    pub(crate) conversation: ConversationId,
    pub(crate) entries: Entries,
    pub(crate) followers: Vec<ConnectionId>,
}

impl Audience {
    /// The connection asks, under this name, to follow other channels than those before.
    pub(crate) fn begin(&mut self, connection: ConnectionId, request_id: u32) {
        self.leave(connection);
        self.followers.insert(connection, Follower { request_id, channels: Vec::new() });
    }

    /// The router says that it follows one of them.
    pub(crate) fn join(&mut self, connection: ConnectionId, request_id: u32, conversation: ConversationId, head: Seq) {
        let follower = self.followers.get_mut(&connection).filter(|follower| follower.request_id == request_id);
        let is_new = |follower: &&mut Follower| !follower.channels.iter().any(|it| it.conversation == conversation);
        let Some(follower) = follower.filter(is_new) else {
            // It is gone, or has asked for others meanwhile.
            return self.note_stopped(conversation);
        };
        follower.channels.push(Followed { conversation, has_missed: false });
        let channel = self.channels.entry(conversation).or_default();
        channel.head = channel.head.max(head);
        channel.followers.insert(connection);
        self.count += 1;
    }

    /// The connection follows nothing any more.
    pub(crate) fn leave(&mut self, connection: ConnectionId) {
        let Some(follower) = self.followers.remove(&connection) else { return };
        self.behind.remove(&connection);
        for Followed { conversation, .. } in follower.channels {
            self.note_stopped(conversation);
            self.count -= 1;
            let channel = self.channels.get_mut(&conversation).expect("who is followed is there");
            channel.followers.remove(&connection);
            if channel.followers.is_empty() {
                self.spent_bytes += channel.entries.cost_bytes;
                self.channels.remove(&conversation);
            }
        }
    }

    fn note_stopped(&mut self, conversation: ConversationId) {
        *self.stopped.entry(conversation).or_default() += 1;
    }

    /// How many have stopped to follow a channel, for the router; `None` when it knows.
    pub(crate) fn next_stopped(&mut self) -> Option<(ConversationId, u32)> {
        self.stopped.pop_first()
    }

    /// The link is gone, and with it what the router knew and what is still to be sent.
    pub(crate) fn clear(&mut self) {
        *self = Audience::default();
    }

    /// An entry of a channel has come.
    pub(crate) fn publish(&mut self, conversation: ConversationId, head: Seq, frame: &[u8], cost_bytes: u64) {
        let Some(channel) = self.channels.get_mut(&conversation) else {
            // The last one who followed it has just stopped.
            self.spent_bytes += cost_bytes;
            return;
        };
        channel.head = channel.head.max(head);
        if channel.entries.ends.is_empty() {
            self.due.push_back(conversation);
        }
        channel.entries.bytes.extend_from_slice(frame);
        channel.entries.ends.push(channel.entries.bytes.len());
        channel.entries.cost_bytes += cost_bytes;
    }

    /// When something is to be sent.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let begins_at = (!self.due.is_empty()).then_some(self.next_round_at);
        if self.round.is_some() { Some(Instant::default()) } else { begins_at }
    }

    /// What is to be sent now, and to whom of the next `count_max` followers.
    pub(crate) fn next_share(&mut self, now: Instant, count_max: usize) -> Option<Share> {
        let round = self.round.take().or_else(|| self.begin_round(now))?;
        let after = round.sent_to.map_or(Bound::Unbounded, Bound::Excluded);
        let followers = self.channels.get(&round.conversation).map(|channel| &channel.followers);
        let followers = followers.into_iter().flat_map(|followers| followers.range((after, Bound::Unbounded)));
        let followers = followers.take(count_max).copied().collect();
        let Round { conversation, entries, .. } = round;
        Some(Share { conversation, entries, followers })
    }

    /// All channels that have something when the first of them may.
    fn begin_round(&mut self, now: Instant) -> Option<Round> {
        if self.next_round_at > now {
            return None;
        }
        while let Some(conversation) = self.due.pop_front() {
            if let Some(channel) = self.channels.get_mut(&conversation).filter(|it| !it.entries.ends.is_empty()) {
                return Some(Round { conversation, entries: mem::take(&mut channel.entries), sent_to: None });
            }
        }
        None
    }

    /// They have had it. There may be more of them where there were as many as were asked for.
    pub(crate) fn sent(&mut self, now: Instant, share: Share, is_full: bool) {
        let Share { conversation, entries, followers } = share;
        match followers.last() {
            Some(last) if is_full => self.round = Some(Round { conversation, entries, sent_to: Some(*last) }),
            _ => self.spent_bytes += entries.cost_bytes,
        }
        if self.round.is_none() && self.due.is_empty() {
            self.next_round_at = now + ROUND_INTERVAL_MIN;
        }
    }

    /// What may be given back to the link.
    pub(crate) fn take_spent_bytes(&mut self) -> u64 {
        mem::take(&mut self.spent_bytes)
    }

    /// There was no room for this one.
    pub(crate) fn note_missed(&mut self, connection: ConnectionId, conversation: ConversationId) {
        let followed = self.followers.get_mut(&connection).into_iter().flat_map(|follower| &mut follower.channels);
        for followed in followed.filter(|followed| followed.conversation == conversation) {
            followed.has_missed = true;
            self.behind.insert(connection);
        }
    }

    /// There is room again: the channels of which it has missed something, and how far they are.
    pub(crate) fn take_missed(&mut self, connection: ConnectionId) -> Vec<(ConversationId, Seq)> {
        if !self.behind.remove(&connection) {
            return Vec::new();
        }
        let Audience { channels, followers, .. } = self;
        let followed = followers.get_mut(&connection).into_iter().flat_map(|follower| &mut follower.channels);
        let missed = followed.filter_map(|followed| {
            let has_missed = mem::take(&mut followed.has_missed);
            let channel = channels.get(&followed.conversation).filter(|_| has_missed)?;
            Some((followed.conversation, channel.head))
        });
        missed.collect()
    }

    /// Connections that follow a channel, each once for each.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const CHANNEL: ConversationId = ConversationId([1; 16]);
    const OTHER: ConversationId = ConversationId([2; 16]);

    fn connection(index: u32) -> ConnectionId {
        ConnectionId { index, generation: 1 }
    }

    fn stopped(audience: &mut Audience) -> Vec<(ConversationId, u32)> {
        core::iter::from_fn(|| audience.next_stopped()).collect()
    }

    #[test]
    fn the_router_hears_once_of_each_that_it_was_told_to_let_follow() {
        let mut audience = Audience::default();
        audience.begin(connection(1), 1);
        audience.begin(connection(2), 7);
        audience.join(connection(1), 1, CHANNEL, Seq(5));
        audience.join(connection(1), 1, OTHER, Seq(5));
        audience.join(connection(2), 7, CHANNEL, Seq(5));
        assert_eq!(stopped(&mut audience), []);

        // An answer to what it asked before, one that comes twice, one for somebody who is gone.
        audience.begin(connection(2), 8);
        audience.join(connection(2), 7, OTHER, Seq(5));
        audience.join(connection(1), 1, CHANNEL, Seq(5));
        audience.join(connection(3), 1, CHANNEL, Seq(5));
        assert_eq!(stopped(&mut audience), [(CHANNEL, 3), (OTHER, 1)]);

        audience.leave(connection(1));
        audience.leave(connection(1));
        assert_eq!(stopped(&mut audience), [(CHANNEL, 1), (OTHER, 1)]);
        assert_eq!(audience.count(), 0);
        audience.publish(CHANNEL, Seq(6), b"frame", 69);
        assert_eq!((audience.take_spent_bytes(), audience.next_at()), (69, None), "nobody follows it");
    }

    fn frames(share: &Share) -> Vec<&[u8]> {
        share.entries.iter().collect()
    }

    #[test]
    fn what_has_come_meanwhile_goes_to_each_once_though_some_come_and_go() {
        let (mut audience, now) = (Audience::default(), Instant::default() + Duration::from_secs(9));
        for index in 1..=5 {
            audience.begin(connection(index), 1);
            audience.join(connection(index), 1, CHANNEL, Seq(1));
        }
        audience.publish(CHANNEL, Seq(2), b"one", 67);
        audience.publish(CHANNEL, Seq(3), b"three", 69);
        let share = audience.next_share(now, 2).expect("there is one");
        assert_eq!(
            (frames(&share), &share.followers[..]),
            (vec![&b"one"[..], b"three"], &[connection(1), connection(2)][..])
        );
        audience.sent(now, share, true);
        audience.publish(CHANNEL, Seq(4), b"later", 69);
        audience.leave(connection(1));
        audience.leave(connection(3));
        let share = audience.next_share(now, 9).expect("it is not over");
        assert_eq!(share.followers, [connection(4), connection(5)]);
        assert_eq!(audience.take_spent_bytes(), 0);
        audience.sent(now, share, false);
        assert_eq!(audience.take_spent_bytes(), 67 + 69);
        let share = audience.next_share(now, 9).expect("what came meanwhile");
        assert_eq!((frames(&share), share.followers.len()), (vec![&b"later"[..]], 3));
        audience.sent(now, share, false);

        audience.publish(CHANNEL, Seq(5), b"soon", 68);
        assert!(audience.next_share(now, 9).is_none());
        let then = audience.next_at().expect("it is due");
        assert_eq!(then, now + ROUND_INTERVAL_MIN);
        (2..=5).for_each(|index| audience.leave(connection(index)));
        assert!(audience.next_share(then, 9).is_none(), "nobody follows it any more");
        assert_eq!(audience.take_spent_bytes(), 69 + 68);
    }

    #[test]
    fn whoever_has_missed_something_is_told_how_far_that_channel_is_once() {
        let mut audience = Audience::default();
        audience.begin(connection(1), 1);
        audience.join(connection(1), 1, CHANNEL, Seq(1));
        audience.join(connection(1), 1, OTHER, Seq(1));
        audience.note_missed(connection(1), CHANNEL);
        audience.publish(CHANNEL, Seq(9), b"frame", 69);
        assert_eq!(audience.take_missed(connection(1)), vec![(CHANNEL, Seq(9))]);
        assert_eq!(audience.take_missed(connection(1)), vec![]);
    }
}
