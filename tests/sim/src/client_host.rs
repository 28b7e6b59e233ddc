//! A client process: one session, the app around it with what it has on disk, and the person who uses it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::event::Event;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Seq, UserId, UserSeq};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::MembershipAction;

use crate::gateway_host::access_token;
use crate::network::{End, Happening, WireId};
use crate::prng::Prng;
use crate::process::{Input, ProcessId, Surroundings};
use crate::script::{GATEWAYS_COUNT, Order, Room};
use crate::sighting::{Body, Content, Name, StreamEvent};
use crate::stand_in::{Saved, StandIn, Told, What};
use crate::witness::{self, Watched};

/// A history that is being scrolled through, from the newest entry down.
struct Scroll {
    conversation: ConversationId,
    /// `None`: to be asked for.
    request_id: Option<u32>,
    before: Seq,
    entries: BTreeMap<Seq, Content>,
}

/// All lives of one installation.
pub struct ClientHost {
    index: usize,
    user: UserId,
    home: usize,
    is_transient: bool,
    session: StandIn,
    disk: Saved,
    random: u64,
    wire: Option<WireId>,
    /// The newest entry that was shown, by conversation.
    shown: BTreeMap<ConversationId, Seq>,
    scrolls: VecDeque<Scroll>,
}

impl ClientHost {
    /// Not installed yet. `home` is the user's gateway.
    pub fn new(index: usize, home: usize, user: UserId, is_transient: bool, prng: &mut Prng) -> ClientHost {
        let install_id = ClientMsgId::new(WallTime(1), prng.draw_u128());
        let disk = Saved { install_id: (!is_transient).then_some(install_id), ..Saved::default() };
        ClientHost {
            index,
            user,
            home: home % GATEWAYS_COUNT,
            is_transient,
            session: StandIn::new(disk.clone(), is_transient, access_token(user), 0),
            disk,
            random: prng.draw(),
            wire: None,
            shown: BTreeMap::new(),
            scrolls: VecDeque::new(),
        }
    }

    /// A new life, from what is on disk.
    pub fn start(&mut self) {
        self.random = self.random.wrapping_add(1);
        self.session = StandIn::new(self.disk.clone(), self.is_transient, access_token(self.user), self.random);
        self.wire = None;
        self.scrolls.clear();
    }

    /// When its timer is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.session.next_at()
    }

    /// Where the device is.
    pub fn cursor(&self) -> UserSeq {
        self.session.saved.cursor
    }

    /// Whether it is served.
    pub fn is_online(&self) -> bool {
        self.session.is_live
    }

    /// Its connection.
    pub fn wire(&self) -> Option<WireId> {
        self.wire
    }

    /// What was sent and not answered.
    pub fn unacked_count(&self) -> usize {
        self.session.unacked()
    }

    /// Of those, what is for the group.
    pub fn unacked_in_group(&self) -> usize {
        self.session
            .saved
            .outbox
            .iter()
            .filter(|outgoing| matches!(outgoing.what, What::Message { peer: None, .. }))
            .count()
    }

    /// Whether its death would make a difference.
    pub fn has_something_to_lose(&self) -> bool {
        self.session.unacked() > 0 || self.disk.cursor != self.session.saved.cursor
    }

    /// What keeps it from being done.
    pub fn unfinished(&self) -> Option<String> {
        if !self.session.is_live {
            return Some("is offline".into());
        }
        if let Some(outgoing) = self.session.saved.outbox.front() {
            return Some(format!("waits for an answer to {outgoing:?}"));
        }
        self.scrolls.front().map(|scroll| format!("waits for the history of {}", scroll.conversation))
    }

    /// One turn.
    pub fn turn(&mut self, now: Now, inputs: Vec<Input>, around: &mut Surroundings<'_>) {
        for input in inputs {
            match input {
                Input::Start | Input::Dial => self.dial(around),
                Input::Order(order) => self.obey(now, order, around),
                Input::Wire(wire, happening) if self.wire == Some(wire) => self.take(now, happening, around),
                Input::Wire(..) => {}
                other => unreachable!("nobody sends a client {other:?}"),
            }
            self.hear(now, around);
        }
        if self.session.next_at().is_some_and(|at| at <= now.monotonic) {
            self.session.timeout(now);
        }
        self.scroll(around);
        self.hear(now, around);
        self.send(around);
    }

    fn dial(&mut self, around: &mut Surroundings<'_>) {
        if self.wire.is_none() {
            let elsewhere = usize::from(around.prng.chance(150));
            self.wire = Some(around.dial(ProcessId::Gateway((self.home + elsewhere) % GATEWAYS_COUNT)));
        }
    }

    fn take(&mut self, now: Now, happening: Happening, around: &mut Surroundings<'_>) {
        match happening {
            Happening::Opened(_) => self.session.connected(now),
            Happening::Received(frame) => {
                let watched = Watched { user: self.user, device: self.session.saved.device };
                let verdict = witness::observe(watched, &frame, around.ledger, around.store);
                around.judge(verdict);
                self.session.frame(now, &frame);
            }
            Happening::Sent(_) => {}
            Happening::Closed | Happening::Lost | Happening::DialFailed => self.is_cut_off(around),
        }
    }

    fn is_cut_off(&mut self, around: &mut Surroundings<'_>) {
        self.wire = None;
        self.session.disconnected();
        self.forget_request();
        let backoff = around.prng.between(Duration::from_millis(20), Duration::from_secs(2));
        around.later.push((backoff, Input::Dial));
    }

    fn forget_request(&mut self) {
        if let Some(scroll) = self.scrolls.front_mut() {
            scroll.request_id = None;
        }
    }

    fn send(&mut self, around: &mut Surroundings<'_>) {
        // What others are told of is on disk before.
        if !self.session.frames.is_empty() || around.prng.chance(300) {
            self.disk = self.session.saved.clone();
        }
        while let Some(frame) = self.session.frames.pop_front() {
            if let Some(wire) = self.wire {
                around.network.send(around.at, wire, End::Dialer, frame);
            }
        }
    }

    fn conversation(&self, room: Room, around: &Surroundings<'_>) -> Option<ConversationId> {
        match room {
            Room::Direct(one, other) => Some(ConversationId::direct(one, other)),
            Room::Group => around.ledger.group,
        }
    }

    fn obey(&mut self, now: Now, order: Order, around: &mut Surroundings<'_>) {
        let room = match order {
            Order::CreateGroup(members) => {
                self.session.put(now, What::Create { members: members.to_vec() });
                return;
            }
            Order::Say(room, _) | Order::Read(room) | Order::Type(room, _) | Order::ReadHistory(room) => room,
            Order::Add(_) | Order::Remove(_) | Order::Leave => Room::Group,
        };
        let Some(conversation) = self.conversation(room, around) else { return };
        let change = |action, users| What::Change { conversation, action, users };
        match order {
            Order::Say(room, size) => {
                let mut body = vec![b' '; size];
                body.iter_mut().zip(around.prng.draw().to_le_bytes()).for_each(|(byte, random)| *byte = random);
                let peer = match room {
                    Room::Direct(one, other) => Some(if one == self.user { other } else { one }),
                    Room::Group => None,
                };
                self.session.put(now, What::Message { conversation, peer, body });
            }
            Order::Read(_) => {
                let shown = self.shown.get(&conversation).copied().filter(|_| !self.is_transient);
                if let Some(up_to) = shown {
                    self.session.read(conversation, up_to);
                    around.ledger.mark_read(self.user, (conversation, up_to));
                }
            }
            Order::Type(_, active) => self.session.typing(conversation, active),
            Order::ReadHistory(_) => {
                let scroll = Scroll { conversation, request_id: None, before: Seq(0), entries: BTreeMap::new() };
                self.scrolls.push_back(scroll);
            }
            Order::Add(user) => self.session.put(now, change(MembershipAction::Added, vec![user])),
            Order::Remove(user) => self.session.put(now, change(MembershipAction::Removed, vec![user])),
            Order::Leave => self.session.put(now, change(MembershipAction::Left, vec![self.user])),
            Order::CreateGroup(_) => unreachable!("done above"),
        }
    }

    /// What the session tells the app.
    fn hear(&mut self, now: Now, around: &mut Surroundings<'_>) {
        while let Some(told) = self.session.told.pop_front() {
            match told {
                Told::Online(device) if !self.is_transient => {
                    let stream = around.ledger.streams.entry(self.index).or_default();
                    (stream.user, stream.device) = (self.user, device);
                }
                Told::Online(_) => {}
                Told::Minted(id, what) => self.is_minted(id, what, around),
                Told::Rebased(base) => around.ledger.rebase(self.index, base),
                Told::Applied(user_seq, event) => self.show(user_seq, &event, around),
                Told::Answered(id, what, is_done) => self.is_answered(id, &what, is_done, around),
                Told::History { request_id, entries, refused } => self.turn_page(request_id, &entries, refused, around),
                Told::AskAgain => self.forget_request(),
                Told::Close => {
                    if let Some(wire) = self.wire {
                        around.network.close(around.at, wire, End::Dialer);
                        self.is_cut_off(around);
                    }
                }
            }
        }
        let _ = now;
    }

    fn device(&self) -> DeviceId {
        self.session.saved.device
    }

    fn is_minted(&mut self, id: ClientMsgId, what: What, around: &mut Surroundings<'_>) {
        let name = Name { sender: self.user, device: self.device(), client_id: id };
        if let What::Message { conversation, body, .. } = what {
            around.ledger.send(name, conversation, Body::of(&body));
        }
    }

    fn is_answered(&mut self, id: ClientMsgId, what: &What, is_done: bool, around: &mut Surroundings<'_>) {
        match what {
            What::Create { .. } if is_done => {
                around.ledger.group = Some(ConversationId::created_by(self.user, self.device(), id));
            }
            What::Change { .. } if is_done => around.work.membership_changes += 1,
            _ => {}
        }
    }

    fn show(&mut self, user_seq: UserSeq, event: &Event, around: &mut Surroundings<'_>) {
        let event = StreamEvent::seen(event, self.user, self.device()).expect("this server is of this version");
        if let Some((conversation, seq)) = event.place() {
            let shown = self.shown.entry(conversation).or_default();
            *shown = (*shown).max(seq);
        }
        let verdict = around.ledger.apply(self.index, user_seq, event);
        around.judge(verdict);
    }

    /// Asks for the next page.
    fn scroll(&mut self, around: &mut Surroundings<'_>) {
        if let Some(scroll) = self.scrolls.front_mut().filter(|scroll| scroll.request_id.is_none()) {
            let limit = *around.prng.pick(&[3, 50, 200]);
            scroll.request_id = self.session.history(scroll.conversation, scroll.before, limit);
        }
    }

    fn turn_page(&mut self, request_id: u32, entries: &[Event], refused: bool, around: &mut Surroundings<'_>) {
        let Some(scroll) = self.scrolls.front_mut().filter(|scroll| scroll.request_id == Some(request_id)) else {
            return;
        };
        scroll.request_id = None;
        for event in entries {
            if let Some(StreamEvent::Entry((_, seq), content)) = StreamEvent::seen(event, self.user, DeviceId(0)) {
                scroll.entries.insert(seq, content);
            }
        }
        let first = scroll.entries.first_key_value().map(|(seq, _)| *seq);
        if !refused && !entries.is_empty() && first.is_some_and(|first| first > Seq(1)) {
            scroll.before = first.unwrap_or_default();
            return;
        }
        let scroll = self.scrolls.pop_front().expect("it was there a line ago");
        if !refused {
            around.work.histories_read += 1;
            let entries = scroll.entries.into_iter().filter(|(_, content)| *content != Content::Void);
            around.ledger.histories.insert((self.user, scroll.conversation), entries.collect());
        }
    }
}
