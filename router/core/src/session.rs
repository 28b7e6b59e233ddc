//! A live session of a device in its user's owner: what was pushed and is not yet acked.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use protocol::ids::{ClientMsgId, DeviceId, SessionId, UserId, UserSeq};
use protocol::time::Instant;
use storage_api::{EntryKey, UserEvent};

use crate::config::RouterConfig;

/// Pushes go out in order from `pushed` on while the window has room; the rest stays in the log until acks come. A slow
/// device thus costs a bounded amount and makes nobody wait. One that leaves a full window unacked for too long gets no
/// more pushes, until it has asked for pages up to the end of the log.
pub(crate) struct UserSession {
    /// The higher of two of one device is the newer.
    pub(crate) id: SessionId,
    pub(crate) device: DeviceId,
    /// The last event that was sent, or sent again after the device asked for it.
    pub(crate) pushed: UserSeq,
    /// The last event that was ever sent: what the device may ack, also while it is sent again.
    reached: UserSeq,
    /// What it begins with instead of the log, and up to where that shows it. It is sent when all of that is durable.
    pub(crate) snapshot: Option<Box<(UserSeq, Vec<u8>)>>,
    /// A page of the log is being read for it.
    pub(crate) is_reading: bool,
    /// Oldest first: sent and not acked.
    window: VecDeque<Sent>,
    window_bytes: usize,
    pace: Pace,
}

/// Who says when events go out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// The window.
    Push,
    /// The device, which has not asked for a page yet. When it was last looked at.
    PullUnheard(Instant),
    /// The device, page by page.
    Pull {
        /// Where it knows the log to end.
        known_head: UserSeq,
        /// For a page, since it was told that by itself.
        has_asked: bool,
    },
}

/// An event that a device was sent.
pub(crate) struct Sent {
    pub(crate) user_seq: UserSeq,
    pub(crate) sent_at: Instant,
    size: usize,
    /// An entry of somebody else, whose sender wants to know.
    pub(crate) entry: Option<(EntryKey, UserId)>,
    /// What its sender calls it, where its way is traced.
    pub(crate) traced: Option<ClientMsgId>,
}

impl UserSession {
    pub(crate) fn new(id: SessionId, device: DeviceId, pushed: UserSeq) -> UserSession {
        UserSession {
            id,
            device,
            pushed,
            reached: pushed,
            snapshot: None,
            is_reading: false,
            window: VecDeque::new(),
            window_bytes: 0,
            pace: Pace::Push,
        }
    }

    /// Room for another event; an empty window has room for any. Who pulls has none.
    pub(crate) fn has_room(&self, config: &RouterConfig) -> bool {
        let is_open = self.window.is_empty()
            || (self.window.len() < config.push_window_events && self.window_bytes < config.push_window_bytes);
        is_open && !self.is_pulling()
    }

    /// It has everything up to `head` and has acked what it was pushed: its cursor is all there is to know of it.
    pub(crate) fn is_at_rest(&self, head: UserSeq) -> bool {
        self.pushed == head
            && self.snapshot.is_none()
            && !self.is_reading
            && self.window.is_empty()
            && !self.is_pulling()
    }

    pub(crate) fn is_pulling(&self) -> bool {
        self.pace != Pace::Push
    }

    /// When the oldest event of a full window has waited too long for its ack, if `head` says that more is to come.
    pub(crate) fn lags_at(&self, config: &RouterConfig, head: UserSeq) -> Option<Instant> {
        let is_full = !self.is_pulling() && !self.has_room(config);
        let oldest = self.window.front().filter(|_| is_full && self.pushed < head)?;
        Some(oldest.sent_at + config.pull_after)
    }

    pub(crate) fn begin_pull(&mut self, now: Instant) {
        self.pace = Pace::PullUnheard(now);
    }

    /// When it is time to see whether the device has understood that it has to ask.
    pub(crate) fn pull_is_due_at(&self, config: &RouterConfig) -> Option<Instant> {
        if let Pace::PullUnheard(since) = self.pace { Some(since + config.pull_after) } else { None }
    }

    /// False when it has taken everything that it was sent, and yet does not ask for more.
    pub(crate) fn may_still_pull(&mut self, now: Instant) -> bool {
        self.pace = Pace::PullUnheard(now);
        !self.window.is_empty()
    }

    /// Once for each page that the device asks for: whether it is to be told that the log has grown.
    pub(crate) fn takes_news(&mut self, head: UserSeq) -> bool {
        let Pace::Pull { known_head, has_asked: true } = self.pace else { return false };
        let is_news = head > known_head && !self.is_reading;
        if is_news {
            self.pace = Pace::Pull { known_head: head, has_asked: false };
        }
        is_news
    }

    pub(crate) fn sent(&mut self, now: Instant, user_seq: UserSeq, event: &UserEvent, size: usize, own: UserId) {
        assert_eq!(user_seq, self.pushed.next(), "pushes go out in order");
        let entry = match event {
            UserEvent::Entry { key, sender } if *sender != own && *sender != UserId(0) => Some((*key, *sender)),
            _ => None,
        };
        self.pushed = user_seq;
        self.reached = self.reached.max(user_seq);
        self.window_bytes += size;
        self.window.push_back(Sent { user_seq, sent_at: now, size, entry, traced: None });
    }

    /// The ack of what was sent last is a step of this message.
    pub(crate) fn trace_last(&mut self, id: ClientMsgId) {
        if let Some(last) = self.window.back_mut() {
            last.traced = Some(id);
        }
    }

    /// Takes what is acked out of the window; calls back with each event that was in it. Answers up to where that is: a
    /// device cannot have what it was never sent. What it has is not sent again.
    pub(crate) fn acked(&mut self, up_to: UserSeq, mut with_sent: impl FnMut(&Sent)) -> UserSeq {
        let up_to = up_to.min(self.reached);
        self.pushed = self.pushed.max(up_to);
        while let Some(sent) = self.window.pop_front_if(|sent| sent.user_seq <= up_to) {
            self.window_bytes -= sent.size;
            with_sent(&sent);
        }
        up_to
    }

    /// The device asks for everything after `after` again.
    pub(crate) fn rewind(&mut self, after: UserSeq) {
        if self.is_pulling() {
            self.pace = Pace::Pull { known_head: self.reached, has_asked: true };
        }
        self.pushed = after;
        while let Some(sent) = self.window.pop_back_if(|sent| sent.user_seq > after) {
            self.window_bytes -= sent.size;
        }
    }

    /// A page from `first` to `last` is sent, which says where the log ends: who pulls is done there. It is not in the
    /// window, or whoever asks and never acks would make that grow: what an ack of it stands for is read from the log.
    pub(crate) fn paged(&mut self, first: UserSeq, last: UserSeq, head: UserSeq) {
        if first <= self.pushed.next() && last > self.pushed {
            self.pushed = last;
            self.reached = self.reached.max(last);
            self.window.clear();
            self.window_bytes = 0;
        }
        if self.is_pulling() {
            self.pace = if last < head { Pace::Pull { known_head: head, has_asked: true } } else { Pace::Push };
        }
    }
}
