//! Stands in for the client session until it is there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::frame;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq,
};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::{self, Capability, ClientBody, MembershipAction, OpStatus, ServerBody};

#[derive(Clone, Debug, Default)]
pub struct Saved {
    pub device: DeviceId,
    pub generation: DeviceGeneration,
    pub install_id: Option<ClientMsgId>,
    pub store_incarnation: StoreIncarnation,
    pub user_epoch: UserEpoch,
    pub cursor: UserSeq,
    pub last_id: Option<ClientMsgId>,
    pub outbox: VecDeque<Outgoing>,
}

#[derive(Clone, Debug)]
pub enum What {
    Message { conversation: ConversationId, peer: Option<UserId>, body: Vec<u8> },
    Create { members: Vec<UserId> },
    Change { conversation: ConversationId, action: MembershipAction, users: Vec<UserId> },
}

#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: Option<ClientMsgId>,
    pub attempt: u16,
    pub what: What,
    pub retry_at: Option<Instant>,
}

#[derive(Debug)]
pub enum Told {
    Online(DeviceId),
    Minted(ClientMsgId, What),
    Rebased(UserSeq),
    Applied(UserSeq, Event),
    Answered(ClientMsgId, What, bool),
    History { request_id: u32, entries: Vec<Event>, refused: bool },
    AskAgain,
    Close,
}

pub struct StandIn {
    pub saved: Saved,
    pub is_transient: bool,
    token: String,
    pub is_live: bool,
    pub frames: VecDeque<Vec<u8>>,
    pub told: VecDeque<Told>,
    builder: FrameBuilder,
    server_ahead_ms: i64,
    ack_at: Option<Instant>,
    acked: UserSeq,
    ping_at: Option<Instant>,
    dead_at: Option<Instant>,
    heartbeat: Duration,
    retry_at: Option<Instant>,
    awaits_snapshot: bool,
    sync_request: Option<u32>,
    requests: u32,
    random: u64,
    pub reads: BTreeMap<ConversationId, Seq>,
}

impl StandIn {
    pub fn new(saved: Saved, is_transient: bool, token: String, random: u64) -> StandIn {
        StandIn {
            saved,
            is_transient,
            token,
            is_live: false,
            frames: VecDeque::new(),
            told: VecDeque::new(),
            builder: FrameBuilder::default(),
            server_ahead_ms: 0,
            ack_at: None,
            acked: UserSeq(0),
            ping_at: None,
            dead_at: None,
            heartbeat: Duration::from_secs(5),
            retry_at: None,
            awaits_snapshot: false,
            sync_request: None,
            requests: 0,
            random,
            reads: BTreeMap::new(),
        }
    }

    pub fn connected(&mut self, now: Now) {
        self.is_live = false;
        self.dead_at = Some(now.monotonic + Duration::from_secs(10));
        let (saved, token, is_transient) = (&self.saved, &self.token, self.is_transient);
        let frame = self.builder.client(None, |fbb| {
            let access_token = fbb.create_string(token);
            let device_name = fbb.create_string("sim");
            let install_id =
                saved.install_id.filter(|_| !is_transient && saved.device.0 == 0).map(wire::ClientMsgId::from);
            let args = wire::HelloArgs {
                version_min: 1,
                version_max: 1,
                access_token: Some(access_token),
                resume_ticket: None,
                device_id: saved.device.0,
                device_generation: saved.generation.0,
                install_id: install_id.as_ref(),
                device_name: Some(device_name),
                store_incarnation: saved.store_incarnation.0,
                user_epoch: saved.user_epoch.0,
                user_cursor: saved.cursor.0,
                capabilities: if is_transient { Capability::Transient } else { Capability::empty() },
            };
            (ClientBody::Hello, wire::Hello::create(fbb, &args).as_union_value())
        });
        self.frames.push_back(frame.to_vec());
    }

    pub fn disconnected(&mut self) {
        self.is_live = false;
        self.frames.clear();
        (self.ack_at, self.ping_at, self.dead_at, self.retry_at) = (None, None, None, None);
        self.sync_request = None;
    }

    pub fn next_at(&self) -> Option<Instant> {
        [self.ack_at, self.ping_at, self.dead_at, self.retry_at].into_iter().flatten().min()
    }

    pub fn unacked(&self) -> usize {
        self.saved.outbox.len()
    }

    pub fn put(&mut self, now: Now, what: What) {
        self.saved.outbox.push_back(Outgoing { id: None, attempt: 0, what, retry_at: None });
        self.pump(now, false);
    }

    pub fn timeout(&mut self, now: Now) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.monotonic);
        if due(self.dead_at) {
            self.told.push_back(Told::Close);
            self.dead_at = None;
            return;
        }
        if due(self.ping_at) {
            let frame = self
                .builder
                .client(None, |fbb| (ClientBody::Ping, wire::Ping::create(fbb, &wire::PingArgs {}).as_union_value()));
            self.frames.push_back(frame.to_vec());
            self.ping_at = Some(now.monotonic + self.heartbeat);
        }
        if due(self.ack_at) {
            self.ack_at = None;
            self.acked = self.saved.cursor;
            let args = wire::AckArgs { user_seq: self.acked.0 };
            let frame =
                self.builder.client(None, |fbb| (ClientBody::Ack, wire::Ack::create(fbb, &args).as_union_value()));
            self.frames.push_back(frame.to_vec());
        }
        if due(self.retry_at) {
            self.pump(now, false);
        }
    }

    /// Sends what is unsent, and what has waited too long.
    fn pump(&mut self, now: Now, all_again: bool) {
        if !self.is_live {
            return;
        }
        let mut outbox = std::mem::take(&mut self.saved.outbox);
        for outgoing in &mut outbox {
            let is_first = outgoing.id.is_none();
            let is_due = outgoing.retry_at.is_none_or(|at| at <= now.monotonic);
            if !(is_first || is_due || all_again) {
                continue;
            }
            let id = match outgoing.id {
                Some(id) => {
                    outgoing.attempt += 1;
                    id
                }
                None => {
                    let id = self.mint(now);
                    outgoing.id = Some(id);
                    self.told.push_back(Told::Minted(id, outgoing.what.clone()));
                    id
                }
            };
            outgoing.retry_at = Some(now.monotonic + Duration::from_secs(3));
            let frame = self.frame_of(id, outgoing);
            self.frames.push_back(frame);
        }
        self.saved.outbox = outbox;
        self.retry_at = self.saved.outbox.iter().filter_map(|outgoing| outgoing.retry_at).min();
    }

    fn mint(&mut self, now: Now) -> ClientMsgId {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = WallTime(now.wall.0.saturating_add_signed(self.server_ahead_ms));
        let fresh = ClientMsgId::new(at, u128::from(self.random) << 40 | u128::from(self.random));
        let id = match self.saved.last_id {
            Some(last) if last >= fresh => last.successor(),
            _ => fresh,
        };
        self.saved.last_id = Some(id);
        id
    }

    fn frame_of(&mut self, id: ClientMsgId, outgoing: &Outgoing) -> Vec<u8> {
        match &outgoing.what {
            What::Message { conversation, peer, body } => self.builder.client(None, |fbb| {
                let body = fbb.create_vector(body);
                let content_type = fbb.create_string("text/plain");
                let (conversation, id) = ((*conversation).into(), id.into());
                let args = wire::MessageSendArgs {
                    conversation: Some(&conversation),
                    direct_peer: peer.map_or(0, |peer| peer.0),
                    client_msg_id: Some(&id),
                    attempt: outgoing.attempt,
                    content_type: Some(content_type),
                    encryption: wire::Encryption::None,
                    body: Some(body),
                    reply_to_seq: 0,
                    mentions: None,
                    expires_in_s: 0,
                };
                (ClientBody::MessageSend, wire::MessageSend::create(fbb, &args).as_union_value())
            }),
            What::Create { members } => self.builder.client(Some(id), |fbb| {
                let members = protocol::encode::user_ids(fbb, members);
                let title = fbb.create_string("group");
                let args = wire::ConversationCreateArgs {
                    kind: wire::ConversationKind::Group,
                    title: Some(title),
                    members: Some(members),
                };
                (ClientBody::ConversationCreate, wire::ConversationCreate::create(fbb, &args).as_union_value())
            }),
            What::Change { conversation, action, users } => self.builder.client(Some(id), |fbb| {
                let users = protocol::encode::user_ids(fbb, users);
                let conversation = (*conversation).into();
                let args = wire::MemberChangeArgs {
                    conversation: Some(&conversation),
                    action: *action,
                    users: Some(users),
                    role: wire::Role::Member,
                };
                (ClientBody::MemberChange, wire::MemberChange::create(fbb, &args).as_union_value())
            }),
        }
        .to_vec()
    }

    pub fn read(&mut self, conversation: ConversationId, up_to: Seq) {
        let known = self.reads.entry(conversation).or_default();
        *known = (*known).max(up_to);
        let up_to = *known;
        if self.is_live {
            self.send_read(conversation, up_to);
        }
    }

    fn send_read(&mut self, conversation: ConversationId, up_to: Seq) {
        let frame = self.builder.client(None, |fbb| {
            let conversation = conversation.into();
            let args = wire::MessageReadArgs { conversation: Some(&conversation), up_to_seq: up_to.0 };
            (ClientBody::MessageRead, wire::MessageRead::create(fbb, &args).as_union_value())
        });
        self.frames.push_back(frame.to_vec());
    }

    pub fn typing(&mut self, conversation: ConversationId, active: bool) {
        if !self.is_live {
            return;
        }
        let frame = self.builder.client(None, |fbb| {
            let conversation = conversation.into();
            if active {
                let args = wire::TypingStartArgs { conversation: Some(&conversation) };
                (ClientBody::TypingStart, wire::TypingStart::create(fbb, &args).as_union_value())
            } else {
                let args = wire::TypingStopArgs { conversation: Some(&conversation) };
                (ClientBody::TypingStop, wire::TypingStop::create(fbb, &args).as_union_value())
            }
        });
        self.frames.push_back(frame.to_vec());
    }

    /// The newest page before `before`; 0: of all.
    pub fn history(&mut self, conversation: ConversationId, before: Seq, limit: u16) -> Option<u32> {
        if !self.is_live {
            return None;
        }
        self.requests += 1;
        let request_id = self.requests;
        let frame = self.builder.client(None, |fbb| {
            let conversation = conversation.into();
            let args = wire::HistoryGetArgs {
                request_id,
                conversation: Some(&conversation),
                before_seq: before.0,
                after_seq: 0,
                limit,
            };
            (ClientBody::HistoryGet, wire::HistoryGet::create(fbb, &args).as_union_value())
        });
        self.frames.push_back(frame.to_vec());
        Some(request_id)
    }

    fn sync(&mut self) {
        if self.sync_request.is_some() {
            return;
        }
        self.requests += 1;
        self.sync_request = Some(self.requests);
        let args =
            wire::SyncGetArgs { request_id: self.requests, after_user_seq: self.saved.cursor.0, bytes_max: 60_000 };
        let frame =
            self.builder.client(None, |fbb| (ClientBody::SyncGet, wire::SyncGet::create(fbb, &args).as_union_value()));
        self.frames.push_back(frame.to_vec());
    }

    pub fn frame(&mut self, now: Now, bytes: &[u8]) {
        let frame = frame::server_frame(bytes).expect("valid");
        self.dead_at = Some(now.monotonic + 2 * self.heartbeat + Duration::from_secs(1));
        match frame.body_type() {
            ServerBody::Welcome => self.welcome(now, frame.body_as_welcome().expect("welcome")),
            ServerBody::Push => {
                let push = frame.body_as_push().expect("push");
                let events =
                    push.events().into_iter().flatten().map(|event| Event::decode(event).expect("valid")).collect();
                self.events(now, UserSeq(push.first_user_seq()), events);
            }
            ServerBody::SyncPage => {
                let page = frame.body_as_sync_page().expect("page");
                self.sync_request = None;
                let events =
                    page.events().into_iter().flatten().map(|event| Event::decode(event).expect("valid")).collect();
                self.events(now, UserSeq(page.first_user_seq()), events);
            }
            ServerBody::Snapshot => {
                let snapshot = frame.body_as_snapshot().expect("snapshot");
                self.awaits_snapshot = false;
                self.saved.cursor = UserSeq(snapshot.user_seq());
                self.saved.user_epoch = UserEpoch(snapshot.user_epoch());
                self.told.push_back(Told::Rebased(self.saved.cursor));
                self.ack_at = Some(now.monotonic + Duration::from_millis(50));
            }
            ServerBody::MessageAck => {
                self.answer(frame.body_as_message_ack().expect("ack").client_msg_id().into(), true)
            }
            ServerBody::OpAck => {
                let ack = frame.body_as_op_ack().expect("ack");
                let temporary = protocol::codes::number_is_temporary(ack.code());
                if ack.status() == OpStatus::Done || !temporary {
                    self.answer(ack.client_op_id().into(), ack.status() == OpStatus::Done);
                }
            }
            ServerBody::HistoryPage => {
                let page = frame.body_as_history_page().expect("page");
                let entries =
                    page.entries().into_iter().flatten().map(|event| Event::decode(event).expect("valid")).collect();
                self.told.push_back(Told::History { request_id: page.request_id(), entries, refused: false });
            }
            ServerBody::Error => {
                let error = frame.body_as_error().expect("error");
                if let Some(id) = error.client_msg_id() {
                    if !error.temporary() {
                        self.answer(id.into(), false);
                    }
                } else if error.request_id() != 0 {
                    if self.sync_request == Some(error.request_id()) {
                        self.sync_request = None;
                    }
                    self.told.push_back(Told::History {
                        request_id: error.request_id(),
                        entries: Vec::new(),
                        refused: !error.temporary(),
                    });
                }
            }
            ServerBody::Pong => {
                let head = UserSeq(frame.body_as_pong().expect("pong").user_head());
                if !self.is_transient && head > self.saved.cursor {
                    self.sync();
                }
            }
            ServerBody::Resend => {
                self.sync_request = None;
                self.resend(now);
            }
            ServerBody::GoAway => self.told.push_back(Told::Close),
            _ => {}
        }
    }

    fn resend(&mut self, now: Now) {
        self.told.push_back(Told::AskAgain);
        self.pump(now, true);
        for (conversation, up_to) in self.reads.clone() {
            self.send_read(conversation, up_to);
        }
        self.ack_at = (!self.is_transient).then_some(now.monotonic);
    }

    fn welcome(&mut self, now: Now, welcome: wire::Welcome<'_>) {
        self.is_live = true;
        self.saved.device = DeviceId(welcome.device_id());
        self.saved.generation = DeviceGeneration(welcome.device_generation());
        self.saved.store_incarnation = StoreIncarnation(welcome.store_incarnation());
        self.server_ahead_ms = welcome.server_time_ms() as i64 - now.wall.0 as i64;
        self.awaits_snapshot = !welcome.resumed();
        self.heartbeat = Duration::from_millis(u64::from(welcome.heartbeat_interval_ms()));
        self.ping_at = Some(now.monotonic + self.heartbeat / 2);
        self.told.push_back(Told::Online(self.saved.device));
        self.resend(now);
    }

    fn events(&mut self, now: Now, first: UserSeq, events: Vec<Event>) {
        assert!(!self.awaits_snapshot, "nothing comes before the snapshot");
        for (event, place) in events.into_iter().zip(first.0..) {
            if place <= self.saved.cursor.0 {
                continue;
            }
            if place > self.saved.cursor.0 + 1 {
                self.sync();
                return;
            }
            self.saved.cursor = UserSeq(place);
            self.told.push_back(Told::Applied(UserSeq(place), event));
            self.ack_at.get_or_insert(now.monotonic + Duration::from_millis(50));
        }
    }

    fn answer(&mut self, id: ClientMsgId, done: bool) {
        if let Some(index) = self.saved.outbox.iter().position(|outgoing| outgoing.id == Some(id)) {
            let outgoing = self.saved.outbox.remove(index).expect("found");
            self.told.push_back(Told::Answered(id, outgoing.what, done));
        }
    }
}
