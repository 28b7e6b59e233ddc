//! What every owner works with in a turn: the clock reading, the post between owners, the store, the links.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::encode::{FrameBuilder, Refusal};
use protocol::event::PUSH_USER_SEQ_OFFSET;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Seq, SessionId, UserId};
use protocol::time::Now;
use protocol::trace::{Stage, TraceNotes, TraceStep};
use protocol::wire::{self, ClientBody, OpStatus, ServerBody};
use storage_api::{Entry, EntryBody, Mutation, Request, StoreToken, StoreTraits};

use crate::config::RouterConfig;
use crate::counters::RouterCounters;
use crate::last_seen::LastSeen;
use crate::links::{Links, PushTemplate};
use crate::mail::{Effect, Mail, Purpose, SessionRef, ToConversation, ToUser};
use crate::orders::{OrderId, OrderOutcome};
use crate::parked::ParkedSessions;
use crate::request::ConversationRequest;
use crate::store_queue::StoreQueue;

pub(crate) struct Context {
    pub(crate) now: Now,
    pub(crate) config: RouterConfig,
    pub(crate) traits: StoreTraits,
    pub(crate) counters: RouterCounters,
    pub(crate) notes: TraceNotes,
    pub(crate) links: Links,
    pub(crate) parked: ParkedSessions,
    pub(crate) last_seen: LastSeen,
    pub(crate) store: StoreQueue,
    pub(crate) builder: FrameBuilder,
    pub(crate) mail: VecDeque<Mail>,
    pub(crate) disk_low: bool,
    /// Users that were erased in this life: what is at hand of them is of no account.
    pub(crate) erased: BTreeSet<UserId>,
    pub(crate) ended_orders: VecDeque<(OrderId, OrderOutcome)>,
    sessions_opened: u64,
    /// Requests for the shell to hand to the store.
    pub(crate) submitted: VecDeque<(StoreToken, Request)>,
    /// With one log: the write of this turn.
    write: Vec<Mutation>,
    effects: Vec<Effect>,
}

impl Context {
    pub(crate) fn new(config: RouterConfig, traits: StoreTraits) -> Context {
        Context {
            now: Now::default(),
            config,
            traits,
            counters: RouterCounters::default(),
            notes: TraceNotes::new(&config.trace),
            links: Links::default(),
            parked: ParkedSessions::default(),
            last_seen: LastSeen::default(),
            store: StoreQueue::default(),
            builder: FrameBuilder::default(),
            mail: VecDeque::new(),
            disk_low: false,
            erased: BTreeSet::new(),
            ended_orders: VecDeque::new(),
            sessions_opened: 0,
            submitted: VecDeque::new(),
            write: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// A step of a message, from or to this device.
    pub(crate) fn trace(&mut self, id: ClientMsgId, stage: Stage, user: UserId, device: DeviceId) {
        self.notes.note(TraceStep { id, at: self.now.monotonic, user, device, code: 0, stage });
    }

    pub(crate) fn tell_conversation(&mut self, conversation: ConversationId, mail: ToConversation) {
        self.mail.push_back(Mail::Conversation(conversation, mail));
    }

    pub(crate) fn tell_user(&mut self, user: UserId, mail: ToUser) {
        self.mail.push_back(Mail::User(user, mail));
    }

    /// A session is over whose user need not know.
    pub(crate) fn close_parked(&mut self, session: SessionRef) {
        if self.parked.close(session) {
            self.last_seen.left(session.device, self.now.wall);
        }
    }

    /// Rises over the lives of a router, since the epoch does.
    pub(crate) fn new_session_id(&mut self) -> SessionId {
        self.sessions_opened += 1;
        SessionId(self.config.epoch.0 << 40 | self.sessions_opened)
    }

    pub(crate) fn ask(&mut self, request: Request, purpose: Purpose) {
        let token = self.store.submit(request.clone(), purpose, self.config.store_retry_min);
        self.submitted.push_back((token, request));
    }

    /// Makes a mutation durable, and lets `effect` happen when it is. With one log it rides with all others of this turn.
    pub(crate) fn write(&mut self, mutation: Mutation, effect: Option<Effect>) {
        self.write.push(mutation);
        self.effects.extend(effect);
        if !self.traits.one_log {
            self.flush_write();
        }
    }

    pub(crate) fn end_order(&mut self, order: OrderId, outcome: OrderOutcome) {
        self.ended_orders.push_back((order, outcome));
    }

    /// A message of a user that was erased.
    pub(crate) fn is_erased(&self, entry: &Entry) -> bool {
        !self.erased.is_empty()
            && matches!(entry.body, EntryBody::Message(_))
            && entry.identity().is_some_and(|identity| self.erased.contains(&identity.sender))
    }

    pub(crate) fn flush_write(&mut self) {
        if self.write.is_empty() {
            return;
        }
        let request = Request::Write(core::mem::take(&mut self.write));
        let effects = core::mem::take(&mut self.effects);
        self.ask(request, Purpose::Write(effects));
    }

    /// Answers a request with why it is not served.
    pub(crate) fn refuse(&mut self, session: SessionRef, request: &ConversationRequest, code: Code) {
        let (client_frame, client_id, request_id) = request.reference();
        match client_id {
            Some(client_op_id) if request.is_operation() => self.op_ack(session, client_op_id, Err(code)),
            client_msg_id => self.refuse_frame(session, client_frame, client_msg_id, request_id, code),
        }
    }

    pub(crate) fn refuse_frame(
        &mut self,
        session: SessionRef,
        client_frame: ClientBody,
        client_msg_id: Option<ClientMsgId>,
        request_id: u32,
        code: Code,
    ) {
        self.counters.refused.increment(code);
        let retry_after_ms = if code.is_temporary() { self.config.retry_after.as_millis() as u32 } else { 0 };
        let refusal = Refusal { code, retry_after_ms, client_frame, client_msg_id, request_id };
        self.links.answer(session, self.builder.error(refusal));
    }

    /// Answers a frame that could not be decoded, under the name that the client gave it.
    pub(crate) fn refuse_undecoded(&mut self, session: SessionRef, frame: &wire::ClientFrame<'_>, code: Code) {
        if let Some(client_op_id) = frame.client_op_id() {
            return self.op_ack(session, client_op_id.into(), Err(code));
        }
        let client_msg_id = frame.body_as_message_send().map(|send| send.client_msg_id().into());
        self.refuse_frame(session, frame.body_type(), client_msg_id, 0, code);
    }

    /// `done`: the entry it made, or `None` for what is not done in a conversation.
    pub(crate) fn op_ack(
        &mut self,
        session: SessionRef,
        client_op_id: ClientMsgId,
        done: Result<Option<(ConversationId, Seq)>, Code>,
    ) {
        if let Err(code) = done {
            self.counters.refused.increment(code);
        }
        let place = done.ok().flatten();
        let frame = self.builder.server(|fbb| {
            let text = done.err().map(|code| fbb.create_string(code.text()));
            let id = client_op_id.into();
            let conversation = place.map(|(conversation, _)| conversation.into());
            let args = wire::OpAckArgs {
                client_op_id: Some(&id),
                status: if done.is_ok() { OpStatus::Done } else { OpStatus::Refused },
                code: done.err().map_or(0, Code::number),
                conversation: conversation.as_ref(),
                seq: place.map_or(0, |(_, seq)| seq.0),
                text,
            };
            (ServerBody::OpAck, wire::OpAck::create(fbb, &args).as_union_value())
        });
        self.links.answer(session, frame);
    }

    /// The Push of one event that many recipients share.
    pub(crate) fn push_template(&mut self, entry: &Entry) -> PushTemplate {
        if let EntryBody::Message(message) = &entry.body {
            return PushTemplate { user_seq_offset: PUSH_USER_SEQ_OFFSET, frame: Arc::clone(message.push()) };
        }
        let (frame, user_seq_offset) = self.builder.push_template(&entry.event());
        PushTemplate { user_seq_offset, frame: frame.into() }
    }
}
