//! A live session of a device in its user's owner: what was pushed and is not yet acked.

use alloc::collections::VecDeque;

use protocol::ids::{DeviceId, SessionId, UserSeq};
use storage_api::{EntryKey, UserEvent};

/// Pushes go out in order from `pushed` on while the window has room; the rest stays in the log until acks come. A slow
/// device thus costs a bounded amount and makes nobody wait.
pub(crate) struct UserSession {
    /// The higher of two of one device is the newer.
    pub(crate) id: SessionId,
    pub(crate) device: DeviceId,
    /// The last event that was sent, or sent again after the device asked for it.
    pub(crate) pushed: UserSeq,
    /// The last event that was ever sent: what the device may ack, also while it is sent again.
    reached: UserSeq,
    /// A page of the log is being read for it.
    pub(crate) is_reading: bool,
    /// Oldest first: sent and not acked.
    window: VecDeque<Sent>,
    window_bytes: usize,
}

struct Sent {
    user_seq: UserSeq,
    size: usize,
    /// An entry of somebody else, whose sender wants to know.
    entry: Option<EntryKey>,
}

impl UserSession {
    pub(crate) fn new(id: SessionId, device: DeviceId, pushed: UserSeq) -> UserSession {
        UserSession { id, device, pushed, reached: pushed, is_reading: false, window: VecDeque::new(), window_bytes: 0 }
    }

    /// Room for another event; an empty window has room for any.
    pub(crate) fn has_room(&self, events_max: usize, bytes_max: usize) -> bool {
        self.window.is_empty() || (self.window.len() < events_max && self.window_bytes < bytes_max)
    }

    pub(crate) fn sent(&mut self, user_seq: UserSeq, event: &UserEvent, size: usize, own: protocol::ids::UserId) {
        assert_eq!(user_seq, self.pushed.next(), "pushes go out in order");
        let entry = match event {
            UserEvent::Entry { key, sender } if *sender != own => Some(*key),
            _ => None,
        };
        self.pushed = user_seq;
        self.reached = self.reached.max(user_seq);
        self.window_bytes += size;
        self.window.push_back(Sent { user_seq, size, entry });
    }

    /// Takes what is acked out of the window; calls back with each place that was in it. Answers up to where that is: a
    /// device cannot have what it was never sent. What it has is not sent again.
    pub(crate) fn acked(&mut self, up_to: UserSeq, mut with_sent: impl FnMut(UserSeq, Option<EntryKey>)) -> UserSeq {
        let up_to = up_to.min(self.reached);
        self.pushed = self.pushed.max(up_to);
        while let Some(sent) = self.window.pop_front_if(|sent| sent.user_seq <= up_to) {
            self.window_bytes -= sent.size;
            with_sent(sent.user_seq, sent.entry);
        }
        up_to
    }

    /// The device asks for everything after `after` again.
    pub(crate) fn rewind(&mut self, after: UserSeq) {
        self.pushed = after;
        while let Some(sent) = self.window.pop_back_if(|sent| sent.user_seq > after) {
            self.window_bytes -= sent.size;
        }
    }
}
