//! A client process: one session, the app around it with what it has on disk, and the person who uses it.
//!
//! What an app has shown it never forgets; what its session has is what is on disk. A write is on disk some time after
//! it was asked for, in order; a death keeps some first part of what was under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::client::{
    Action, Answer, Change, ChangeNumber, ClientEvent, ClientSession, ClientState, CommandError, ConnectionState,
    Draft, HistoryRange, MemberDraft, RequestId, Snapshot,
};
use protocol::codes::Code;
use protocol::event::Event;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserEpoch, UserId, UserSeq};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::{ConversationKind, MembershipAction, Role};

use crate::gateway_host::access_token;
use crate::network::{End, Happening, WireId};
use crate::prng::Prng;
use crate::process::{Input, ProcessId, Surroundings};
use crate::promise::{Broken, Promise};
use crate::script::{CROWD_COUNT, GATEWAYS_COUNT, Order, Room};
use crate::sighting::{Body, Content, Name, StreamEvent};
use crate::witness::{self, Watched};

/// What was asked for is on disk after this time at the latest.
const DISK_LATENCY_MAX: Duration = Duration::from_millis(10);
/// An app takes its time with what it is told.
const APP_LATENCY_MAX: Duration = Duration::from_millis(60);
/// A person tries again after this what an app does not take.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A history that is being scrolled through, from the newest entry down.
struct Scroll {
    conversation: ConversationId,
    /// `None`: to be asked for.
    request_id: Option<RequestId>,
    before: Option<Seq>,
    entries: BTreeMap<Seq, Content>,
}

/// All lives of one installation.
pub struct ClientHost {
    index: usize,
    watched: Watched,
    home: usize,
    is_transient: bool,
    session: ClientSession,
    disk: ClientState,
    /// Under way to the disk.
    writes: VecDeque<(ChangeNumber, Change)>,
    /// From which log the last Hello claimed to have something.
    claimed: UserEpoch,
    wire: Option<WireId>,
    /// The newest entry that was shown, by conversation.
    shown: BTreeMap<ConversationId, Seq>,
    /// Messages for the group that are not answered.
    unacked_in_group: BTreeSet<ClientMsgId>,
    scrolls: VecDeque<Scroll>,
    /// What it has asked to be revoked, by the name of the operation.
    revokes: BTreeMap<ClientMsgId, (DeviceId, DeviceGeneration)>,
    /// The operation that makes the channel.
    channel_op: Option<ClientMsgId>,
    /// The session has been told to follow the channel.
    is_following: bool,
    /// It is revoked: its user links it anew in its next life.
    is_revoked: bool,
}

impl ClientHost {
    /// Not installed yet. `home` is the user's gateway.
    pub fn new(index: usize, home: usize, user: UserId, is_transient: bool, prng: &mut Prng) -> ClientHost {
        let disk = ClientState::new(ClientMsgId::new(WallTime(1), prng.draw_u128()));
        ClientHost {
            index,
            watched: Watched { user, device: DeviceId(0), hello_at: Instant::default() },
            home,
            is_transient,
            session: session(&disk, is_transient, prng),
            disk,
            writes: VecDeque::new(),
            claimed: UserEpoch(0),
            wire: None,
            shown: BTreeMap::new(),
            unacked_in_group: BTreeSet::new(),
            scrolls: VecDeque::new(),
            revokes: BTreeMap::new(),
            channel_op: None,
            is_following: false,
            is_revoked: false,
        }
    }

    /// A new life, from what is on disk.
    pub fn start(&mut self, prng: &mut Prng) {
        let kept_count = prng.index(self.writes.len() + 1);
        self.writes.drain(..).take(kept_count).for_each(|(_, change)| self.disk.apply(&change));
        self.session = session(&self.disk, self.is_transient, prng);
        if self.is_revoked {
            self.session.link_anew();
        }
        self.wire = None;
        self.is_following = false;
        self.unacked_in_group.clear();
        self.scrolls.clear();
    }

    /// When its timer is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    /// Where the device is.
    pub fn cursor(&self) -> UserSeq {
        self.disk.position.user_seq
    }

    /// How far each conversation was opened, by what the device will not forget.
    pub fn kept_reads(&self) -> impl Iterator<Item = (ConversationId, Seq)> {
        self.disk.marks.iter().map(|mark| (mark.conversation, mark.read))
    }

    /// Whether it does nothing before it is linked anew.
    pub fn is_revoked(&self) -> bool {
        self.is_revoked && self.session.is_closed()
    }

    /// Whether it is served.
    pub fn is_online(&self) -> bool {
        self.session.is_online()
    }

    /// Its connection.
    pub fn wire(&self) -> Option<WireId> {
        self.wire
    }

    /// What was sent, or is to be, and is not answered.
    pub fn unacked_count(&self) -> usize {
        self.session.outbox_len()
    }

    /// Of those, what was said in the group.
    pub fn unacked_in_group(&self) -> usize {
        self.unacked_in_group.len()
    }

    /// Whether its death would make a difference.
    pub fn has_something_to_lose(&self) -> bool {
        self.session.outbox_len() > 0 || !self.writes.is_empty()
    }

    /// What keeps it from being done.
    pub fn unfinished(&self) -> Option<String> {
        if !self.session.is_online() {
            return Some("is offline".into());
        }
        if self.session.outbox_len() > 0 {
            return Some(format!("waits for {} answers", self.session.outbox_len()));
        }
        self.scrolls.front().map(|scroll| format!("waits for the history of {}", scroll.conversation))
    }

    /// One turn.
    pub fn turn(&mut self, now: Now, inputs: Vec<Input>, around: &mut Surroundings<'_>) {
        for input in inputs {
            match input {
                Input::Start => {}
                Input::Order(order) => self.obey(now, order, around),
                Input::Persisted(number) => self.is_on_disk(now, number),
                Input::Applied(number) => self.session.handle_applied(now, number),
                Input::Wire(wire, happening) if self.wire == Some(wire) => self.take(now, happening, around),
                Input::Wire(..) => {}
                other => unreachable!("nobody sends a client {other:?}"),
            }
            self.drain(now, around);
        }
        if self.session.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.session.handle_timeout(now);
        }
        self.scroll(now, around);
        self.follow(now, around);
        self.drain(now, around);
    }

    /// What it was told in an earlier life the app knows.
    fn follow(&mut self, now: Now, around: &Surroundings<'_>) {
        if let Some(channel) = around.ledger.channel.filter(|_| !self.is_following) {
            let held = around.ledger.published_to(self.index);
            self.is_following = self.session.follow(now, &[(channel, held)]).is_ok();
        }
    }

    fn is_on_disk(&mut self, now: Now, number: ChangeNumber) {
        while let Some((_, change)) = self.writes.pop_front_if(|(written, _)| *written <= number) {
            self.disk.apply(&change);
        }
        self.session.handle_persisted(now, number);
    }

    fn take(&mut self, now: Now, happening: Happening, around: &mut Surroundings<'_>) {
        match happening {
            Happening::Opened(_) => {
                self.claimed = self.disk.position.user_epoch;
                self.watched.hello_at = around.at;
                self.session.handle_connected(now, &access_token(self.watched.user));
            }
            Happening::Received(frame) => {
                let verdict = witness::observe(&mut self.watched, &frame, around.ledger, around.store);
                around.judge(verdict);
                self.session.handle_frame(now, &frame).expect("servers send valid frames");
            }
            Happening::Sent(_) => {}
            Happening::Closed | Happening::Lost | Happening::DialFailed => {
                self.wire = None;
                self.session.handle_disconnected(now);
            }
        }
    }

    fn drain(&mut self, now: Now, around: &mut Surroundings<'_>) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => {
                    let elsewhere = usize::from(around.prng.chance(150));
                    let gateway = ProcessId::Gateway((self.home + elsewhere) % GATEWAYS_COUNT);
                    self.wire = Some(around.dial(gateway));
                }
                Action::Transmit(frame) => {
                    let wire = self.wire.expect("a session transmits while it has a connection");
                    around.network.send(around.at, wire, End::Dialer, frame);
                }
                Action::Disconnect => {
                    let wire = self.wire.take().expect("a session gives up the connection that it has");
                    around.network.close(around.at, wire, End::Dialer);
                }
                Action::Persist(number, change) => {
                    self.writes.push_back((number, change));
                    let latency = around.prng.between(Duration::ZERO, DISK_LATENCY_MAX);
                    around.later.push((latency, Input::Persisted(number)));
                }
                Action::Event(number, event) => {
                    self.hear(event, around);
                    if around.prng.chance(500) {
                        self.session.handle_applied(now, number);
                    } else {
                        let latency = around.prng.between(Duration::ZERO, APP_LATENCY_MAX);
                        around.later.push((latency, Input::Applied(number)));
                    }
                }
            }
        }
    }

    fn obey(&mut self, now: Now, order: Order, around: &mut Surroundings<'_>) {
        let is_installed = self.is_transient || self.watched.device != DeviceId(0);
        if !is_installed || self.try_to_obey(now, order, around).is_err() {
            around.later.push((AGAIN_AFTER, Input::Order(order)));
        }
    }

    fn try_to_obey(&mut self, now: Now, order: Order, around: &mut Surroundings<'_>) -> Result<(), CommandError> {
        let room = match order {
            Order::Revoke(index) => return self.revoke(now, index, around),
            Order::CreateGroup(members, crowd) => {
                let crowd = crowd.into_iter().flat_map(|UserId(first)| (first..).take(CROWD_COUNT).map(UserId));
                let members: Vec<UserId> = members.into_iter().chain(crowd).collect();
                return self.session.conversation_create(now, ConversationKind::Group, "group", &members).map(drop);
            }
            Order::CreateChannel => {
                let made = self.session.conversation_create(now, ConversationKind::Channel, "channel", &[]);
                return made.map(|id| self.channel_op = Some(id));
            }
            Order::Say(room, _) | Order::Read(room) | Order::Type(room, _) | Order::ReadHistory(room) => room,
            Order::Add(_) | Order::Remove(_) | Order::Leave => Room::Group,
        };
        let conversation = match room {
            Room::Direct(one, other) => Some(ConversationId::direct(one, other)),
            Room::Group => around.ledger.group,
            Room::Channel => around.ledger.channel,
        };
        let Some(conversation) = conversation else {
            around.later.push((AGAIN_AFTER, Input::Order(order)));
            return Ok(());
        };
        let change = |action, user| MemberDraft { conversation, action, users: vec![user], role: Role::Member };
        match order {
            Order::Say(room, size) => {
                let draft = self.draft(conversation, room, size, around.prng);
                self.session.send_message(now, &draft).map(drop)
            }
            Order::Read(_) => self.read(now, conversation, around),
            Order::Type(_, active) => {
                self.session.typing(conversation, active);
                Ok(())
            }
            Order::ReadHistory(_) => {
                let scroll = Scroll { conversation, request_id: None, before: None, entries: BTreeMap::new() };
                self.scrolls.push_back(scroll);
                Ok(())
            }
            Order::Add(user) => self.session.member_change(now, &change(MembershipAction::Added, user)).map(drop),
            Order::Remove(user) => self.session.member_change(now, &change(MembershipAction::Removed, user)).map(drop),
            Order::Leave => {
                self.session.member_change(now, &change(MembershipAction::Left, self.watched.user)).map(drop)
            }
            Order::CreateGroup(..) | Order::CreateChannel | Order::Revoke(_) => unreachable!("done above"),
        }
    }

    /// As its user finds it in the list of devices, if it is there by now.
    fn revoke(&mut self, now: Now, index: usize, around: &mut Surroundings<'_>) -> Result<(), CommandError> {
        let Some((device, generation)) = around.ledger.devices.get(&index).copied() else { return Ok(()) };
        let id = self.session.device_revoke(now, device, generation)?;
        self.revokes.insert(id, (device, generation));
        Ok(())
    }

    fn draft(&self, conversation: ConversationId, room: Room, size: usize, prng: &mut Prng) -> Draft {
        let direct_peer = match room {
            Room::Direct(one, other) => Some(if one == self.watched.user { other } else { one }),
            Room::Group | Room::Channel => None,
        };
        let text = format!("{:016x}", prng.draw()).repeat(size / 16 + 1);
        Draft::text(conversation, direct_peer, &text[..size])
    }

    fn read(
        &mut self,
        now: Now,
        conversation: ConversationId,
        around: &mut Surroundings<'_>,
    ) -> Result<(), CommandError> {
        let Some(up_to) = self.shown.get(&conversation).copied().filter(|_| !self.is_transient) else { return Ok(()) };
        around.ledger.mark_read(self.watched.user, (conversation, up_to));
        self.session.mark_read(now, conversation, up_to)
    }

    fn hear(&mut self, event: ClientEvent, around: &mut Surroundings<'_>) {
        match event {
            ClientEvent::State(ConnectionState::Online(me)) if !self.is_transient => {
                let stream = around.ledger.streams.entry(self.index).or_default();
                (stream.user, stream.device) = (me.user, me.device);
                around.work.devices_linked_anew += u64::from(std::mem::take(&mut self.is_revoked));
                around.ledger.devices.insert(self.index, (me.device, me.device_generation));
            }
            ClientEvent::State(ConnectionState::Closed(Some(reason)))
                if reason.code == Code::DeviceRevoked.number() =>
            {
                self.is_revoked = true;
            }
            ClientEvent::State(ConnectionState::Closed(reason)) => {
                panic!("client {} is closed: {reason:?}", self.index)
            }
            ClientEvent::State(_) | ClientEvent::Typing { .. } => {}
            ClientEvent::Channel { event, .. } => self.follow_on(&event, around),
            ClientEvent::OpRenamed { from, to } => {
                let revoke = self.revokes.remove(&from);
                self.revokes.extend(revoke.map(|revoke| (to, revoke)));
                self.channel_op = self.channel_op.map(|id| if id == from { to } else { id });
            }
            ClientEvent::Queued { client_msg_id, draft, replaces } => {
                let name = |client_id| Name { sender: self.watched.user, device: self.watched.device, client_id };
                if let Some(old) = replaces {
                    around.ledger.sent.remove(&name(old));
                    self.unacked_in_group.remove(&old);
                }
                around.ledger.send(name(client_msg_id), draft.conversation, Body::of(&draft.body));
                if Some(draft.conversation) == around.ledger.group {
                    self.unacked_in_group.insert(client_msg_id);
                }
            }
            ClientEvent::Acked(acked) => drop(self.unacked_in_group.remove(&acked.client_msg_id)),
            ClientEvent::Failed { client_msg_id, .. } => drop(self.unacked_in_group.remove(&client_msg_id)),
            ClientEvent::OpDone { client_op_id, place: Some(place) } if self.channel_op == Some(client_op_id) => {
                around.ledger.channel.get_or_insert(place.conversation);
            }
            ClientEvent::OpDone { place: Some(place), .. } => {
                around.work.membership_changes += 1;
                around.ledger.group.get_or_insert(place.conversation);
            }
            ClientEvent::OpDone { client_op_id, place: None } => {
                around.work.devices_revoked += 1;
                let revoked = self.revokes.get(&client_op_id).expect("nothing else is done outside of conversations");
                around.ledger.revoked.entry(*revoked).or_insert(around.at);
            }
            ClientEvent::Stream { user_seq, event, is_repeat } => self.show(user_seq, &event, is_repeat, around),
            ClientEvent::Snapshot(snapshot) => self.begin_anew(&snapshot, around),
            ClientEvent::Answer(_, Answer::Following) => {}
            ClientEvent::Answer(request_id, answer) => self.turn_page(request_id, answer, around),
        }
    }

    fn begin_anew(&mut self, snapshot: &Snapshot, around: &mut Surroundings<'_>) {
        if self.claimed == snapshot.position.user_epoch {
            let what = format!("device {} has a good cursor and is given a snapshot", self.watched.device);
            around.judge(Err(Broken::new(Promise::P4, what)));
        }
        around.ledger.rebase(self.index, snapshot.position.user_seq);
    }

    fn follow_on(&mut self, event: &Event, around: &mut Surroundings<'_>) {
        let event = StreamEvent::seen(event, self.watched.user, self.watched.device);
        let Some(StreamEvent::Entry(place, content)) = event else { panic!("a channel tells of entries") };
        around.work.entries_published += 1;
        let verdict = around.ledger.publish(self.index, place, content);
        around.judge(verdict);
    }

    fn show(&mut self, user_seq: UserSeq, event: &Event, is_repeat: bool, around: &mut Surroundings<'_>) {
        let event = StreamEvent::seen(event, self.watched.user, self.watched.device);
        let event = event.expect("this server is of this version");
        if let Some((conversation, seq)) = event.place() {
            let shown = self.shown.entry(conversation).or_default();
            *shown = (*shown).max(seq);
        }
        let verdict = around.ledger.apply(self.index, user_seq, event, is_repeat);
        around.judge(verdict);
    }

    /// Asks for the next page.
    fn scroll(&mut self, now: Now, around: &mut Surroundings<'_>) {
        if let Some(scroll) = self.scrolls.front_mut().filter(|scroll| scroll.request_id.is_none()) {
            let limit = *around.prng.pick(&[3, 50, 200]);
            let range = scroll.before.map_or(HistoryRange::Newest, HistoryRange::Before);
            scroll.request_id = self.session.history(now, scroll.conversation, range, limit).ok();
        }
    }

    fn turn_page(&mut self, request_id: RequestId, answer: Answer, around: &mut Surroundings<'_>) {
        let Some(scroll) = self.scrolls.front_mut() else { return };
        assert_eq!(scroll.request_id, Some(request_id), "one question at a time");
        scroll.request_id = None;
        let entries = match answer {
            Answer::History(page) => page.entries,
            Answer::Refused(_) => {
                self.scrolls.pop_front();
                return;
            }
            other => panic!("a history was asked for, the answer is {other:?}"),
        };
        for event in &entries {
            if let Some(StreamEvent::Entry((_, seq), content)) =
                StreamEvent::seen(event, self.watched.user, DeviceId(0))
            {
                scroll.entries.insert(seq, content);
            }
        }
        let first = scroll.entries.first_key_value().map(|(seq, _)| *seq);
        if !entries.is_empty() && first.is_some_and(|first| first > Seq(1)) {
            scroll.before = first;
            return;
        }
        let scroll = self.scrolls.pop_front().expect("it was there a line ago");
        let entries = scroll.entries.into_iter().filter(|(_, content)| *content != Content::Void);
        around.work.histories_read += 1;
        around.ledger.histories.insert((self.watched.user, scroll.conversation), entries.collect());
    }
}

fn session(disk: &ClientState, is_transient: bool, prng: &mut Prng) -> ClientSession {
    let seed = prng.draw();
    if is_transient { ClientSession::transient(seed) } else { ClientSession::new(disk.clone(), "simulated", seed) }
}
