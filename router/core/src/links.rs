//! The links to the gateways: sessions by connection, answers, pushes, and fan-out that shares one frame.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ConversationId, DeviceId, Seq, UserId, UserSeq};
use protocol::limits::PAGE_SIZE_MAX;
use protocol::link::{ConnectionKey, FANOUT_TARGETS_MAX, LinkEnd, Pulse, RouterMessage};
use protocol::time::Instant;

use crate::counters::RouterGauges;
use crate::dense::{DenseTable, Numbered};
use crate::mail::SessionRef;
use crate::starved::Starved;

/// One gateway shard's link, named by the shell and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Why a link is dropped. The gateway makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// Its gateway does not take what it is sent.
    Backlog,
    /// Its gateway was not heard of for [`protocol::link::LINK_SILENCE_MAX`].
    Silence,
}

/// A Push of one event, built once; each recipient's user_seq goes to the offset. That of a message is the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PushTemplate {
    pub(crate) frame: Arc<[u8]>,
    pub(crate) user_seq_offset: usize,
}

/// Held by a question from its beginning until its page was handed to the link, or there is nobody left to ask.
pub(crate) type PageSlot = Arc<()>;

struct Opened {
    connection: ConnectionKey,
    user: UserId,
    device: DeviceId,
}

/// As for a parked session.
const _: () = assert!(size_of::<Opened>() == 24);

impl Numbered for Opened {
    fn number(&self) -> u64 {
        self.connection.0
    }
}

impl Opened {
    fn on(&self, link: LinkId) -> SessionRef {
        SessionRef { link, connection: self.connection, user: self.user, device: self.device }
    }
}

pub(crate) struct Link {
    pub(crate) end: LinkEnd,
    pub(crate) pulse: Pulse,
    pub(crate) is_greeted: bool,
    /// Whose session each connection is, of every one that was opened.
    sessions: DenseTable<Opened>,
    /// Targets of the last fan-out, gathered while the next message is the same frame.
    open_fanout: Option<(PushTemplate, Vec<(ConnectionKey, UserSeq)>)>,
    /// Answers that wait for credits.
    backlog: VecDeque<(ConnectionKey, UserSeq, Vec<u8>)>,
    backlog_bytes: usize,
    /// Requests that have not begun, since answers to earlier ones wait. Their credits are not paid back before, so the
    /// window of the link bounds them.
    pub(crate) held: VecDeque<(ConnectionKey, Vec<u8>)>,
    /// Every page that is being read holds a clone.
    pages: PageSlot,
    starved: Starved,
    /// Channels whose newest entries found no credits: how far they are.
    untold: BTreeMap<ConversationId, Seq>,
}

#[derive(Default)]
pub(crate) struct Links {
    pub(crate) links: BTreeMap<LinkId, Link>,
}

impl Links {
    pub(crate) fn up(&mut self, now: Instant, link: LinkId) {
        let fresh = Link {
            end: LinkEnd::default(),
            pulse: Pulse::new(now),
            is_greeted: false,
            sessions: DenseTable::default(),
            open_fanout: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            held: VecDeque::new(),
            pages: PageSlot::default(),
            starved: Starved::default(),
            untold: BTreeMap::new(),
        };
        assert!(self.links.insert(link, fresh).is_none(), "the shell names every link anew");
    }

    /// The sessions that were on it.
    pub(crate) fn down(&mut self, link: LinkId) -> impl Iterator<Item = SessionRef> + use<> {
        let sessions = self.links.remove(&link).map(|link| link.sessions).unwrap_or_default();
        sessions.into_rows().map(move |opened| opened.on(link))
    }

    /// A gateway has opened a session.
    pub(crate) fn opened(&mut self, session: SessionRef) {
        let link = self.links.get_mut(&session.link).expect("the link that brings a session is there");
        let SessionRef { connection, user, device, .. } = session;
        link.sessions.remove(connection.0, |_| true);
        link.sessions.insert(Opened { connection, user, device });
    }

    /// A gateway has closed a session: whose it was.
    pub(crate) fn closed(&mut self, link: LinkId, connection: ConnectionKey) -> Option<SessionRef> {
        Some(self.links.get_mut(&link)?.sessions.remove(connection.0, |_| true)?.on(link))
    }

    /// When to call [`Links::beat`].
    pub(crate) fn next_beat(&self) -> Option<Instant> {
        self.links.values().map(|link| link.pulse.next_at()).min()
    }

    /// Fills in what concerns links.
    pub(crate) fn gauge(&self, gauges: &mut RouterGauges) {
        gauges.links = self.links.len() as u64;
        gauges.link_credits_min_bytes =
            self.links.values().map(|link| link.end.credits_bytes()).min().unwrap_or_default();
        for link in self.links.values() {
            gauges.sessions += link.sessions.len() as u64;
            gauges.requests_held += link.held.len() as u64;
            gauges.backlog_bytes += link.backlog_bytes as u64;
        }
    }

    /// Lets every gateway hear of this router. Those that were not heard of for too long.
    pub(crate) fn beat(&mut self, now: Instant) -> Vec<LinkId> {
        for link in self.links.values_mut() {
            if link.pulse.is_due(now) {
                link.end.beat();
            }
        }
        self.links.iter().filter(|(_, link)| link.pulse.is_silent(now)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn session(&self, link: LinkId, connection: ConnectionKey) -> Option<SessionRef> {
        Some(self.links.get(&link)?.sessions.find(connection.0, |_| true)?.on(link))
    }

    /// For a question of this session.
    pub(crate) fn page_slot(&self, session: SessionRef) -> PageSlot {
        self.links.get(&session.link).map(|link| link.pages.clone()).unwrap_or_default()
    }

    /// A device that was registered has its id from now on.
    pub(crate) fn rename(&mut self, session: SessionRef) {
        if let Some(link) = self.links.get_mut(&session.link)
            && let Some(opened) = link.sessions.find_mut(session.connection.0, |_| true)
        {
            opened.device = session.device;
        }
    }

    /// An answer: goes now or when credits come.
    pub(crate) fn answer(&mut self, session: SessionRef, frame: &[u8]) {
        let Some(link) = self.links.get_mut(&session.link) else { return };
        link.close_fanout();
        link.deliver_or_wait(session.connection, UserSeq(0), frame);
    }

    pub(crate) fn control(&mut self, link: LinkId, message: &RouterMessage<'_>) {
        let Some(link) = self.links.get_mut(&link) else { return };
        link.close_fanout();
        link.end.send_to_gateway(message).expect("control messages cost no credits");
    }

    /// The gateway closes the connection with this code, and what it has still asked is not served.
    pub(crate) fn refuse(&mut self, session: SessionRef, code: Code) {
        let Some(link) = self.links.get_mut(&session.link) else { return };
        link.sessions.remove(session.connection.0, |_| true);
        self.control(session.link, &RouterMessage::SessionRefused { connection: session.connection, code });
    }

    /// Whether a push may go; if not, its user is pumped again when credits come.
    pub(crate) fn may_push(&mut self, session: SessionRef, frame_size: usize) -> bool {
        let Some(link) = self.links.get_mut(&session.link) else { return false };
        let waiting = link
            .open_fanout
            .as_ref()
            .map_or(0, |(template, targets)| LinkEnd::fanout_cost(targets.len() + 1, template.frame.len()));
        let may = link.backlog.is_empty() && link.end.credits_bytes() >= waiting + LinkEnd::fanout_cost(1, frame_size);
        if !may {
            link.starved.push(session.user);
        }
        may
    }

    /// Who has waited longest for credits of this link, to be pumped.
    pub(crate) fn next_starved(&mut self, link: LinkId) -> Option<UserId> {
        self.links.get_mut(&link)?.starved.pop()
    }

    /// Whether its last pump found no credits.
    pub(crate) fn is_starved(&self, link: LinkId, user: UserId) -> bool {
        self.links.get(&link).is_some_and(|link| link.starved.has(user))
    }

    /// A push of several events; ask [`Links::may_push`] first.
    pub(crate) fn push(&mut self, session: SessionRef, user_seq_last: UserSeq, frame: &[u8]) {
        let Some(link) = self.links.get_mut(&session.link) else { return };
        link.close_fanout();
        link.deliver_or_wait(session.connection, user_seq_last, frame);
    }

    /// A push of one shared event; ask [`Links::may_push`] first.
    pub(crate) fn push_shared(&mut self, session: SessionRef, user_seq: UserSeq, template: &PushTemplate) {
        let Some(link) = self.links.get_mut(&session.link) else { return };
        match &mut link.open_fanout {
            Some((open, targets))
                if Arc::ptr_eq(&open.frame, &template.frame) && targets.len() < FANOUT_TARGETS_MAX =>
            {
                targets.push((session.connection, user_seq));
            }
            _ => {
                link.close_fanout();
                link.open_fanout = Some((template.clone(), alloc::vec![(session.connection, user_seq)]));
            }
        }
    }

    /// The gateway is to publish this channel to the connection from now on. False where there is nobody to tell.
    pub(crate) fn join(
        &mut self,
        session: SessionRef,
        request_id: u32,
        conversation: ConversationId,
        head: Seq,
    ) -> bool {
        let is_there = self.links.contains_key(&session.link);
        let connection = session.connection;
        self.control(session.link, &RouterMessage::ChannelJoined { connection, request_id, conversation, head });
        is_there
    }

    /// An entry of a channel, for all who follow it on this link. Where there are no credits it is left out, and when they
    /// come followers are told how far the channel is. Whether it has gone.
    pub(crate) fn publish(&mut self, link: LinkId, conversation: ConversationId, head: Seq, frame: &[u8]) -> bool {
        let Some(link) = self.links.get_mut(&link) else { return false };
        link.close_fanout();
        let message = RouterMessage::Publish { conversation, head, frame };
        let has_gone = link.backlog.is_empty() && link.end.send_to_gateway(&message).is_ok();
        if has_gone {
            link.untold.remove(&conversation);
        } else {
            link.untold.insert(conversation, head);
        }
        has_gone
    }

    /// Credits may have come for what [`Links::publish`] has left out.
    pub(crate) fn tell_heads(&mut self, link: LinkId, builder: &mut FrameBuilder) {
        let Some(link) = self.links.get_mut(&link).filter(|link| link.backlog.is_empty()) else { return };
        while let Some((conversation, head)) = link.untold.pop_first() {
            let frame = builder.channel_push(conversation, head, None);
            if link.end.send_to_gateway(&RouterMessage::Publish { conversation, head, frame }).is_err() {
                link.untold.insert(conversation, head);
                return;
            }
        }
    }

    /// At the end of a turn: nothing stays behind in a half-built message.
    pub(crate) fn flush(&mut self) {
        for link in self.links.values_mut() {
            link.close_fanout();
        }
    }
}

impl Link {
    /// Credits have come: what waited goes first.
    pub(crate) fn drain_backlog(&mut self) {
        while let Some((connection, user_seq_last, frame)) = self.backlog.pop_front() {
            let message = RouterMessage::Deliver { connection, user_seq_last, frame: &frame };
            if self.end.send_to_gateway(&message).is_err() {
                self.backlog.push_front((connection, user_seq_last, frame));
                return;
            }
            self.backlog_bytes -= frame.len();
        }
    }

    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }

    /// What waits for credits, and what may come to wait from the pages that are being read.
    pub(crate) fn answers_bytes(&self) -> usize {
        self.backlog_bytes + (Arc::strong_count(&self.pages) - 1) * PAGE_SIZE_MAX
    }

    fn deliver_or_wait(&mut self, connection: ConnectionKey, user_seq_last: UserSeq, frame: &[u8]) {
        let message = RouterMessage::Deliver { connection, user_seq_last, frame };
        if !self.backlog.is_empty() || self.end.send_to_gateway(&message).is_err() {
            self.backlog_bytes += frame.len();
            self.backlog.push_back((connection, user_seq_last, frame.to_vec()));
        }
    }

    fn close_fanout(&mut self) {
        let Some((template, targets)) = self.open_fanout.take() else { return };
        self.end
            .send_fanout(&targets, template.user_seq_offset, &template.frame)
            .expect("every target was admitted by `may_push`, which counts the open fan-out");
    }
}
