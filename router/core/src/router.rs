//! The router as its shell sees it: what happened goes in, what to do comes out.

mod gauges;
mod ordering;
mod owners;
mod parking;
mod user_page;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use protocol::frame;
use protocol::ids::{ConversationId, UserId};
use protocol::link::{
    Batch, ConnectionKey, GatewayMessage, LINK_VERSION, LinkEnd, LinkError, RouterHello, RouterMessage,
};
use protocol::time::{Instant, Now};
use protocol::wire;
use storage_api::{Request, Response, StoreError, StoreToken, StoreTraits};

use crate::config::RouterConfig;
use crate::context::Context;
use crate::conversation::ConversationOwner;
use crate::counters::RouterCounters;
use crate::links::{DropCause, LinkId};
use crate::mail::{Effect, Mail, Purpose, SessionRef, ToConversation, ToUser};
use crate::orders::{Leavers, OrderId, OrderOutcome};
use crate::request::{self, ClientRequest, ConversationRequest, OpenRequest};
use crate::user::UserOwner;
use parking::Sweep;
use user_page::user_page;

/// What the shell does next.
#[derive(Debug)]
pub enum Action {
    /// Carry a batch to the gateway's end of a link, in order.
    SendBatch {
        /// Which link.
        link: LinkId,
        /// As [`LinkEnd`] made it.
        batch: Batch,
    },
    /// Hand a request to the store, and its answer to [`Router::handle_store`].
    Store {
        /// Names the answer.
        token: StoreToken,
        /// What is asked.
        request: Request,
    },
    /// The order of this name has ended.
    OrderEnded(OrderId, OrderOutcome),
    /// Drop a link.
    DropLink {
        /// Which link. `handle_link_down` follows.
        link: LinkId,
        /// Why.
        cause: DropCause,
    },
}

/// Conversation owners, user owners and links of one router process.
pub struct Router {
    context: Context,
    conversations: BTreeMap<ConversationId, ConversationOwner>,
    users: BTreeMap<UserId, UserOwner>,
    leavers: Leavers,
    users_sweep: Sweep<UserId>,
    conversations_sweep: Sweep<ConversationId>,
    timers: BTreeSet<(Instant, UserId)>,
    actions: VecDeque<Action>,
}

impl Router {
    /// A router that owns everything the store holds.
    pub fn new(config: RouterConfig, traits: StoreTraits) -> Router {
        Router {
            context: Context::new(config, traits),
            conversations: BTreeMap::new(),
            users: BTreeMap::new(),
            leavers: Leavers::default(),
            users_sweep: Sweep::default(),
            conversations_sweep: Sweep::default(),
            timers: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// Once, before anything else: looks for what a former life has not told everybody.
    pub fn handle_start(&mut self, now: Now) {
        self.context.now = now;
        self.context.ask(Request::ListUnfanned, Purpose::Start);
        self.context.ask(Request::ListLeaving, Purpose::Leavers);
        self.finish_turn();
    }

    /// Other limits and intervals from now on. The ownership is for good, and not looked at.
    pub fn handle_limits(&mut self, config: RouterConfig) {
        self.context.config = self.context.config.with_limits_of(config);
    }

    /// A gateway shard has connected.
    pub fn handle_link_up(&mut self, now: Now, link: LinkId) {
        self.context.now = now;
        self.context.links.up(now.monotonic, link);
    }

    /// A batch has come. On an error the shell drops the link and calls [`Router::handle_link_down`].
    pub fn handle_link_batch(&mut self, now: Now, link: LinkId, batch: &[u8]) -> Result<(), LinkError> {
        self.context.now = now;
        let Some(entry) = self.context.links.links.get_mut(&link) else { return Ok(()) };
        // All credits of a batch count before its first request is answered.
        let mut messages = Vec::new();
        let handled = entry.end.handle_batch_of_gateway(batch, |_, message| messages.push(message));
        entry.pulse.heard(now.monotonic);
        entry.drain_backlog();
        handled?;
        for message in messages {
            self.handle_message(link, message)?;
        }
        self.deliver_mail();
        self.feed(link);
        self.finish_turn();
        Ok(())
    }

    /// Credits may have come: whose pushes wait for them has its turn, until one finds none. However many wait, a batch
    /// costs no more than what it pays for.
    fn feed(&mut self, link: LinkId) {
        self.context.links.tell_heads(link, &mut self.context.builder);
        while let Some(user) = self.context.links.next_starved(link) {
            self.with_user_at_hand(user, |owner, context| owner.pump(context));
            if self.context.links.is_starved(link, user) {
                break;
            }
        }
    }

    /// A link is gone, with the sessions on it.
    pub fn handle_link_down(&mut self, now: Now, link: LinkId) {
        self.context.now = now;
        self.conversations.values_mut().for_each(|owner| owner.link_down(link));
        for session in self.context.links.down(link) {
            self.tell_user(session.user, ToUser::Close(session));
        }
        self.finish_turn();
    }

    /// The store has answered. An answer to a request of a former life is ignored.
    pub fn handle_store(&mut self, now: Now, token: StoreToken, result: Result<Response, StoreError>) {
        self.context.now = now;
        match result {
            Ok(response) => {
                if let Some(pending) = self.context.store.take(token) {
                    self.answered(pending.purpose, response);
                }
            }
            Err(StoreError::Unavailable | StoreError::UnknownOutcome) => {
                self.context.counters.store_retries += 1;
                self.context.store.retry_later(now.monotonic, token, self.context.config.store_retry_max);
            }
            Err(error @ (StoreError::Expired | StoreError::Corrupt)) => {
                if let Some(pending) = self.context.store.take(token) {
                    if error == StoreError::Expired {
                        self.expired(&pending.purpose);
                    }
                    self.damaged(pending.purpose);
                }
            }
        }
        self.finish_turn();
    }

    /// While the store is almost full, what would be new is refused with `DiskLow`; all else goes on.
    pub fn handle_pressure(&mut self, now: Now, disk_low: bool) {
        self.context.now = now;
        self.context.disk_low = disk_low;
    }

    /// The time that [`Router::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.context.now = now;
        for link in self.context.links.beat(now.monotonic) {
            self.context.counters.links_silent += 1;
            self.actions.push_back(Action::DropLink { link, cause: DropCause::Silence });
        }
        while let Some((token, request)) = self.context.store.due(now.monotonic) {
            self.context.submitted.push_back((token, request));
        }
        while let Some(&(at, user)) = self.timers.first().filter(|(at, _)| *at <= now.monotonic) {
            self.timers.remove(&(at, user));
            self.with_user_at_hand(user, |owner, context| {
                owner.armed_for = owner.armed_for.filter(|armed| *armed != at);
                owner.handle_timeout(context);
            });
        }
        self.sweep();
        self.finish_turn();
    }

    /// A batch of [`Action::SendBatch`] has been read: its memory serves the next one of this link.
    pub fn take_back(&mut self, link: LinkId, batch: Batch) {
        if let Some(link) = self.context.links.links.get_mut(&link) {
            link.end.take_back(batch);
        }
    }

    /// Drain until `None` after every batch of `handle_*` calls.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Router::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        [timer, self.context.store.next_due(), self.context.links.next_beat(), self.next_sweep()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Counts since the start.
    pub fn counters(&self) -> &RouterCounters {
        &self.context.counters
    }

    fn handle_message(&mut self, link: LinkId, message: GatewayMessage<'_>) -> Result<(), LinkError> {
        let context = &mut self.context;
        let greeted = context.links.links.get(&link).is_some_and(|link| link.is_greeted);
        match message {
            GatewayMessage::Hello(hello) => {
                if greeted || hello.version != LINK_VERSION {
                    return Err(LinkError::HelloExpected);
                }
                context.links.links.get_mut(&link).expect("the link of this batch").is_greeted = true;
                let hello = RouterHello {
                    version: LINK_VERSION,
                    router_incarnation: context.config.router_incarnation,
                    store_incarnation: context.traits.incarnation,
                    durability: context.traits.durability,
                };
                context.links.control(link, &RouterMessage::Hello(hello));
            }
            _ if !greeted => return Err(LinkError::HelloExpected),
            GatewayMessage::SessionOpen(open) => {
                let session = SessionRef { link, connection: open.connection, user: open.user, device: open.device };
                if context.erased.contains(&session.user) {
                    context.links.refuse(session, protocol::codes::Code::UserUnknown);
                    return Ok(());
                }
                let open = OpenRequest::from(&open);
                context.links.opened(session);
                context.tell_user(session.user, ToUser::Open { session, open });
            }
            GatewayMessage::SessionClose(connection) => {
                if let Some(session) = context.links.closed(link, connection) {
                    context.tell_user(session.user, ToUser::Close(session));
                }
            }
            GatewayMessage::ChannelLeft { conversation, count } => {
                // Who is followed is here.
                if let Some(owner) = self.conversations.get_mut(&conversation) {
                    owner.followers_left(link, count);
                }
            }
            GatewayMessage::ClientRequest { connection, frame } => {
                let entry = context.links.links.get_mut(&link).expect("greeted");
                if entry.held.is_empty() && entry.answers_bytes() < context.config.link_backlog_bytes_max / 2 {
                    self.begin(link, connection, frame);
                } else {
                    entry.held.push_back((connection, frame.to_vec()));
                }
            }
        }
        Ok(())
    }

    /// Begins requests of a gateway that were held, in order, as far as it takes their answers.
    fn begin_held(&mut self, link: LinkId) {
        let answers_bytes_max = self.context.config.link_backlog_bytes_max / 2;
        while let Some(entry) = self.context.links.links.get_mut(&link)
            && entry.answers_bytes() < answers_bytes_max
            && let Some((connection, frame)) = entry.held.pop_front()
        {
            self.begin(link, connection, &frame);
        }
    }

    /// Its credits go back: it is no longer held.
    fn begin(&mut self, link: LinkId, connection: ConnectionKey, frame: &[u8]) {
        let entry = self.context.links.links.get_mut(&link).expect("whose request begins is there");
        entry.end.release(LinkEnd::cost(frame.len()));
        // A session that was refused or replaced may still have requests under way.
        if let Some(session) = self.context.links.session(link, connection) {
            self.client_request(session, frame);
            self.deliver_mail();
        }
    }

    fn client_request(&mut self, session: SessionRef, bytes: &[u8]) {
        let context = &mut self.context;
        let Ok(frame) = frame::client_frame(bytes) else {
            return context.refuse_frame(session, wire::ClientBody::NONE, None, 0, protocol::codes::Code::Malformed);
        };
        match request::decode(&frame, session, context.links.page_slot(session), &mut context.builder) {
            Err(code) => context.refuse_undecoded(session, &frame, code),
            Ok(ClientRequest::Conversation(conversation, request)) => {
                context.tell_conversation(conversation, ToConversation::Request { session, request });
            }
            Ok(ClientRequest::Follow { request_id, channels }) => {
                for channel in channels {
                    let request = ConversationRequest::Follow { request_id };
                    context.tell_conversation(channel, ToConversation::Request { session, request });
                }
            }
            Ok(ClientRequest::Ack(user_seq)) => context.tell_user(session.user, ToUser::Ack { session, user_seq }),
            Ok(ClientRequest::Read { conversation, up_to }) => {
                context.tell_user(session.user, ToUser::Read { session, conversation, up_to });
            }
            Ok(ClientRequest::Sync { request_id, after, bytes_max, page }) => {
                context.tell_user(session.user, ToUser::Sync { session, request_id, after, bytes_max, page });
            }
            Ok(ClientRequest::Lookup { request_id, realm, handles, ids }) => {
                let request = Request::LookupUsers { realm, handles, ids };
                context.ask(request, Purpose::Lookup { session, request_id });
            }
            Ok(ClientRequest::ListDevices { request_id }) => {
                context.tell_user(session.user, ToUser::ListDevices { session, request_id });
            }
            Ok(ClientRequest::Revoke { client_op_id, device, generation }) => {
                context.tell_user(session.user, ToUser::Revoke { session, client_op_id, device, generation });
            }
            Ok(ClientRequest::Nothing) => {}
        }
    }

    fn answered(&mut self, purpose: Purpose, response: Response) {
        match (purpose, response) {
            (Purpose::Start, Response::Conversations(conversations)) => {
                for conversation in conversations {
                    self.context.tell_conversation(conversation, ToConversation::Wake);
                }
            }
            (Purpose::Write(effects), Response::Written) => {
                for effect in effects {
                    self.effect(effect);
                }
            }
            (Purpose::LoadConversation(id), Response::Conversation(row)) => {
                self.with_conversation(id, |owner, context| owner.loaded(context, row));
            }
            (Purpose::TakeOver { conversation, head }, Response::Entries(found)) => {
                self.with_conversation(conversation, |owner, context| owner.take_over(context, head, &found));
            }
            (Purpose::Step(id), response @ (Response::Found(_) | Response::Users(_))) => {
                self.with_conversation(id, |owner, context| owner.stepped(context, response));
            }
            (Purpose::History { conversation, session, request_id, .. }, Response::Entries(entries)) => {
                self.with_conversation(conversation, |owner, context| {
                    owner.history_read(context, session, request_id, &entries);
                });
            }
            (Purpose::Pull { conversation, user, up_to }, Response::Entries(entries)) => {
                self.with_conversation(conversation, |owner, context| owner.pulled(context, user, up_to, entries));
            }
            (Purpose::Senders { conversation, told, from }, Response::Entries(entries)) => {
                self.with_conversation(conversation, |owner, context| {
                    owner.senders_read(context, told, from, &entries);
                });
            }
            (Purpose::LoadUser(id), Response::User(state)) => {
                self.with_user_at_hand(id, |owner, context| owner.loaded(context, id, state));
            }
            (Purpose::Device { session, open }, Response::Device(device)) => {
                self.context.tell_user(session.user, ToUser::Registered { session, open, device });
            }
            (Purpose::Push(session), Response::UserLog(page)) => {
                self.with_user_at_hand(session.user, |owner, context| owner.page_read(context, session, &page));
            }
            (Purpose::SyncPage { session, request_id, .. }, Response::UserLog(page)) => {
                self.with_user_at_hand(session.user, |owner, context| {
                    owner.sync_read(context, session, request_id, &page)
                });
            }
            (Purpose::AckedLog(user), Response::UserLog(page)) => {
                self.with_user_at_hand(user, |owner, context| owner.acked_log_read(context, &page));
            }
            (Purpose::Lookup { session, request_id }, Response::Users(users)) => {
                user_page(&mut self.context, session, request_id, &users);
            }
            (purpose, response) if purpose.is_of_order() => self.order_answered(purpose, response),
            (purpose, response) => panic!("the store answered {purpose:?} with {response:?}"),
        }
    }

    /// What a device lacks of the log has had its time: the session ends, and the next one begins with a snapshot.
    fn expired(&mut self, purpose: &Purpose) {
        let user = match purpose {
            Purpose::Push(session) | Purpose::SyncPage { session, .. } => session.user,
            Purpose::AckedLog(user) => *user,
            _ => return,
        };
        self.with_user_at_hand(user, |owner, _| owner.log_expired(purpose));
    }

    /// What was read is damaged: whoever asked is told, nobody else is harmed.
    fn damaged(&mut self, purpose: Purpose) {
        use protocol::codes::Code::InternalError;
        match purpose {
            Purpose::Step(id) => self.with_conversation(id, |owner, context| owner.step_failed(context)),
            Purpose::History { conversation, session, request_id, .. } => {
                self.with_conversation(conversation, |owner, _| owner.read_failed());
                self.context.refuse_frame(
                    session,
                    wire::ClientBody::HistoryGet,
                    None,
                    request_id,
                    protocol::codes::Code::TryAgain,
                );
            }
            Purpose::Pull { conversation, .. } | Purpose::Senders { conversation, .. } => {
                self.with_conversation(conversation, |owner, _| owner.read_failed());
            }
            Purpose::Lookup { session, request_id } => {
                self.context.refuse_frame(
                    session,
                    wire::ClientBody::UserLookup,
                    None,
                    request_id,
                    protocol::codes::Code::TryAgain,
                );
            }
            Purpose::Push(session) | Purpose::SyncPage { session, .. } | Purpose::Device { session, .. } => {
                self.context.links.refuse(session, InternalError);
            }
            Purpose::AckedLog(user) => self.with_user_at_hand(user, |owner, _| owner.acked_log_failed()),
            Purpose::EraseEntry(order, _) => self.context.end_order(order, OrderOutcome::Damaged),
            _ => {}
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Entry(conversation, seq) => {
                self.with_conversation(conversation, |owner, context| owner.entry_durable(context, seq));
            }
            Effect::UserLog(user, user_seq, _) => {
                self.with_user_at_hand(user, |owner, context| owner.log_durable(context, user_seq));
            }
            Effect::DeviceStanding { user, device, standing, waiter } => {
                self.context.tell_user(user, ToUser::StandingChanged { device, standing, waiter });
            }
        }
    }

    /// Answers have gone, or pages were read: what waited for that begins.
    fn begin_more(&mut self) {
        let waiting: Vec<LinkId> =
            self.context.links.links.iter().filter(|(_, link)| !link.held.is_empty()).map(|(id, _)| *id).collect();
        for link in waiting {
            self.begin_held(link);
        }
    }

    fn deliver_mail(&mut self) {
        while let Some(mail) = self.context.mail.pop_front() {
            match mail {
                Mail::Conversation(id, mail) => {
                    self.with_conversation(id, |owner, context| owner.handle(context, mail))
                }
                Mail::User(id, mail) => self.tell_user(id, mail),
            }
        }
    }

    fn finish_turn(&mut self) {
        self.deliver_mail();
        self.begin_more();
        self.leavers.advance(&mut self.context);
        self.deliver_mail();
        self.arm_sweep();
        self.context.flush_write();
        self.context.links.flush();
        while let Some((token, request)) = self.context.submitted.pop_front() {
            self.actions.push_back(Action::Store { token, request });
        }
        while let Some((id, outcome)) = self.context.ended_orders.pop_front() {
            self.actions.push_back(Action::OrderEnded(id, outcome));
        }
        for (&id, link) in &mut self.context.links.links {
            while let Some(batch) = link.end.poll_batch() {
                self.actions.push_back(Action::SendBatch { link: id, batch });
            }
            if link.backlog_bytes() > self.context.config.link_backlog_bytes_max {
                self.actions.push_back(Action::DropLink { link: id, cause: DropCause::Backlog });
            }
        }
    }
}
