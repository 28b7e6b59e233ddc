//! The router's end of the link: it opens whatever session it is asked to, and keeps what it was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::codes::Code;
use protocol::frame;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, SessionId, StoreIncarnation, UserEpoch, UserId,
    UserSeq,
};
use protocol::link::{
    ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LinkEnd, RouterHello, RouterMessage, SessionOpen,
    SessionOpened,
};
use protocol::wire::Durability;

pub(crate) const USER_HEAD: UserSeq = UserSeq(100);
pub(crate) const USER_EPOCH: UserEpoch = UserEpoch(5);

pub(crate) fn handle_of(user: UserId) -> String {
    format!("user{user}")
}

/// What was asked for with an open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) connection: ConnectionKey,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) device_generation: DeviceGeneration,
    pub(crate) install_id: Option<ClientMsgId>,
    pub(crate) device_name: String,
    pub(crate) transient: bool,
    pub(crate) store_incarnation: StoreIncarnation,
    pub(crate) user_epoch: UserEpoch,
    pub(crate) user_cursor: UserSeq,
    /// What it was before a break.
    pub(crate) session: Option<SessionId>,
}

impl From<SessionOpen<'_>> for Open {
    fn from(open: SessionOpen<'_>) -> Open {
        Open {
            connection: open.connection,
            user: open.user,
            device: open.device,
            device_generation: open.device_generation,
            install_id: open.install_id,
            device_name: open.device_name.to_owned(),
            transient: open.transient,
            store_incarnation: open.store_incarnation,
            user_epoch: open.user_epoch,
            user_cursor: open.user_cursor,
            session: open.session,
        }
    }
}

/// See the file's head.
pub(crate) struct Router {
    pub(crate) end: LinkEnd,
    pub(crate) hello: RouterHello,
    pub(crate) greeted_by: Option<GatewayHello>,
    /// Answers nothing by itself.
    pub(crate) is_lazy: bool,
    pub(crate) resumes: bool,
    /// Asked for and not answered.
    pub(crate) asked: VecDeque<Open>,
    pub(crate) sessions: BTreeMap<ConnectionKey, Open>,
    /// Refused on this link: what the gateway had sent before it heard of that may still come.
    refused: BTreeSet<ConnectionKey>,
    /// Every open and every close there ever was.
    pub(crate) opens: Vec<Open>,
    pub(crate) farewells: Vec<ConnectionKey>,
    pub(crate) requests: Vec<(ConnectionKey, Vec<u8>)>,
    /// How many connections it let follow each channel, less those that have stopped.
    pub(crate) followers: BTreeMap<ConversationId, u32>,
    /// Requests taken and not finished with, while lazy.
    pub(crate) unpaid_bytes: u64,
    /// Sessions opened for the first time.
    sessions_opened: u64,
}

impl Default for Router {
    fn default() -> Router {
        Router {
            end: LinkEnd::default(),
            hello: RouterHello {
                version: LINK_VERSION,
                router_incarnation: 1,
                store_incarnation: StoreIncarnation(7),
                durability: Durability::Fsync,
            },
            greeted_by: None,
            is_lazy: false,
            resumes: true,
            asked: VecDeque::new(),
            sessions: BTreeMap::new(),
            refused: BTreeSet::new(),
            opens: Vec::new(),
            farewells: Vec::new(),
            requests: Vec::new(),
            followers: BTreeMap::new(),
            unpaid_bytes: 0,
            sessions_opened: 0,
        }
    }
}

impl Router {
    /// Takes a batch and is heard of itself; each rule of the link that a gateway has to keep is an assertion here.
    pub(crate) fn take(&mut self, batch: &[u8]) {
        let mut end = std::mem::take(&mut self.end);
        let taken = end.handle_batch_of_gateway(batch, |end, message| self.take_message(end, message));
        self.end = end;
        assert_eq!(taken, Ok(()));
        self.end.beat();
        while !self.is_lazy && self.answer_next() {}
    }

    fn take_message(&mut self, end: &mut LinkEnd, message: GatewayMessage<'_>) {
        assert_eq!(self.greeted_by.is_none(), matches!(message, GatewayMessage::Hello(_)), "one hello, first");
        match message {
            GatewayMessage::Hello(hello) => {
                self.greeted_by = Some(hello);
                end.send_to_gateway(&RouterMessage::Hello(self.hello)).expect("a hello is free");
            }
            GatewayMessage::SessionOpen(open) => {
                let open = Open::from(open);
                assert!(!self.knows(open.connection), "a session is opened once on a link");
                self.opens.push(open.clone());
                self.asked.push_back(open);
            }
            GatewayMessage::SessionClose(key) => {
                assert!(self.knows(key) || self.refused.remove(&key), "a session is closed once, after it was opened");
                self.sessions.remove(&key);
                self.asked.retain(|open| open.connection != key);
                self.farewells.push(key);
            }
            GatewayMessage::ChannelLeft { conversation, count } => {
                let followers = self.followers.get_mut(&conversation).expect("only who follows stops");
                *followers = followers.checked_sub(count).expect("each stops once");
            }
            GatewayMessage::ClientRequest { connection, frame } => {
                let is_served = self.sessions.contains_key(&connection) || self.refused.contains(&connection);
                assert!(is_served, "only live sessions ask");
                self.requests.push((connection, frame.to_vec()));
                self.let_follow(end, connection, frame);
                let cost_bytes = LinkEnd::cost(frame.len());
                if self.is_lazy {
                    self.unpaid_bytes += cost_bytes;
                } else {
                    end.release(cost_bytes);
                }
            }
        }
    }

    /// Where it asks for channels: all of them.
    fn let_follow(&mut self, end: &mut LinkEnd, connection: ConnectionKey, frame: &[u8]) {
        let view = frame::client_frame(frame).expect("a gateway forwards what it has verified");
        let Some(follow) = view.body_as_channel_follow() else { return };
        for conversation in follow.channels().into_iter().flatten().map(ConversationId::from) {
            *self.followers.entry(conversation).or_default() += 1;
            let request_id = follow.request_id();
            let joined = RouterMessage::ChannelJoined { connection, request_id, conversation, head: Seq(0) };
            end.send_to_gateway(&joined).expect("it is free");
        }
    }

    fn knows(&self, key: ConnectionKey) -> bool {
        self.sessions.contains_key(&key) || self.asked.iter().any(|open| open.connection == key)
    }

    /// Opens the session that has waited longest. False when none waits.
    pub(crate) fn answer_next(&mut self) -> bool {
        let Some(open) = self.asked.pop_front() else { return false };
        let session = open.session.unwrap_or_else(|| {
            self.sessions_opened += 1;
            SessionId(self.sessions_opened)
        });
        let registers = open.device == DeviceId(0) && !open.transient;
        let opened = SessionOpened {
            connection: open.connection,
            session,
            user: open.user,
            handle: &handle_of(open.user),
            device: if registers { DeviceId(500) } else { open.device },
            device_generation: if registers { DeviceGeneration(1) } else { open.device_generation },
            resumed: self.resumes,
            user_epoch: USER_EPOCH,
            user_head: USER_HEAD.max(open.user_cursor),
        };
        self.end.send_to_gateway(&RouterMessage::SessionOpened(opened)).expect("an answer is free");
        self.sessions.insert(open.connection, open);
        true
    }

    /// Ends or refuses a session.
    pub(crate) fn refuse(&mut self, connection: ConnectionKey, code: Code) {
        assert!(self.knows(connection), "only what it knows");
        self.sessions.remove(&connection);
        self.asked.retain(|open| open.connection != connection);
        self.refused.insert(connection);
        self.end.send_to_gateway(&RouterMessage::SessionRefused { connection, code }).expect("a refusal is free");
    }

    /// Finishes with all requests.
    pub(crate) fn pay_back(&mut self) {
        self.end.release(std::mem::take(&mut self.unpaid_bytes));
    }

    /// Everything of this link is lost on this side too.
    pub(crate) fn disconnect(&mut self) {
        self.end.reset();
        self.greeted_by = None;
        self.sessions.clear();
        self.asked.clear();
        self.refused.clear();
        self.followers.clear();
        self.unpaid_bytes = 0;
    }

    pub(crate) fn reconnect(&mut self) {
        assert!(self.greeted_by.is_none(), "it was disconnected before");
    }
}
