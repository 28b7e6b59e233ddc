//! The owner of one user: appends to the user's log, knows the sessions of its devices, and pushes to them what is
//! durable, in order.

mod devices;
mod log;
mod push;
mod session_open;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::ids::{ConversationId, DeviceId, Ordinal, Seq, UserEpoch, UserId, UserSeq};
use protocol::small_map::SmallMap;
use protocol::time::Instant;
use protocol::wire::{self, ServerBody};
use storage_api::{
    DeviceRow, Entry, EntryKey, LoggedEvent, Mutation, Request, UserConversationRow, UserEvent, UserState,
};

use crate::config::RouterConfig;
use crate::context::Context;
use crate::links::PushTemplate;
use crate::mail::{Purpose, ReceiptKind, SessionRef, Ticket, ToConversation, ToUser, Told};
use crate::receipts::ReceiptGates;
use crate::session::UserSession;

/// Events kept at hand for pushes; older ones are read from the log.
const RECENT_EVENTS_MAX: usize = 256;

/// A user that is being loaded or served.
pub(crate) struct UserOwner {
    inbox: VecDeque<ToUser>,
    state: State,
    /// It was needed since the sweep looked at it last.
    pub(crate) is_fresh: bool,
    /// The timer that the router has for it. One that outlives it comes early, which is harmless.
    pub(crate) armed_for: Option<Instant>,
}

enum State {
    Loading,
    Unknown,
    Ready(alloc::boxed::Box<User>),
}

/// An event of late, with what it takes to push it.
struct Recent {
    user_seq: UserSeq,
    event: UserEvent,
    entry: Option<Arc<Entry>>,
    push: Option<PushTemplate>,
    /// When it got its place.
    since: Instant,
}

/// What is saved of a device once nobody can miss what follows from it.
enum Save {
    Cursor(Mutation),
    Read { conversation: ConversationId, up_to: Seq, ordinal: Ordinal },
}

struct User {
    id: UserId,
    handle: String,
    user_epoch: UserEpoch,
    head: UserSeq,
    /// The first place that is still there, or a later one of which that is known.
    log_start: UserSeq,
    /// Everything up to here may be pushed.
    durable_head: UserSeq,
    devices: SmallMap<DeviceId, DeviceRow>,
    conversations: SmallMap<ConversationId, UserConversationRow>,
    sessions: SmallMap<SessionRef, UserSession>,
    recent: VecDeque<Recent>,
    gates: ReceiptGates,
    /// Conversations whose missing entries are being pulled, and up to where.
    pulls: SmallMap<ConversationId, Seq>,
    /// Without one log: one write of the log at a time, the rest gathers here.
    unwritten: Vec<(UserEvent, Vec<Ticket>)>,
    is_writing: bool,
    /// The furthest ack of any device whose receipts are on their way.
    delivered: UserSeq,
    /// Acks beyond the windows: the log is being read for their receipts, up to here.
    ack_reading: Option<(UserSeq, Ticket)>,
    /// Oldest first: saved once what they have set in motion is durable.
    saves: VecDeque<(Save, Weak<()>)>,
    next_flush: Option<Instant>,
}

impl UserOwner {
    pub(crate) fn load(context: &mut Context, id: UserId) -> UserOwner {
        context.ask(Request::LoadUser(id), Purpose::LoadUser(id));
        UserOwner { inbox: VecDeque::new(), state: State::Loading, is_fresh: true, armed_for: None }
    }

    /// Nothing would be lost but its sessions if it were loaded again.
    pub(crate) fn is_idle(&self) -> bool {
        match &self.state {
            State::Loading => false,
            State::Unknown => true,
            State::Ready(user) => {
                user.sessions.values().all(|session| session.is_at_rest(user.durable_head))
                    && user.head == user.durable_head
                    && user.gates.is_empty()
                    && user.pulls.is_empty()
                    && user.ack_reading.is_none()
                    && user.saves.is_empty()
            }
        }
    }

    /// It is idle, and was since it was asked last.
    pub(crate) fn rests(&mut self) -> bool {
        !core::mem::take(&mut self.is_fresh) && self.is_idle()
    }

    /// What stays of it when it is forgotten, if anything does.
    pub(crate) fn into_sessions(self) -> Option<SmallMap<SessionRef, UserSession>> {
        match self.state {
            State::Ready(user) if !user.sessions.is_empty() => Some(user.sessions),
            _ => None,
        }
    }

    pub(crate) fn handle(&mut self, context: &mut Context, mail: ToUser) {
        match &mut self.state {
            State::Loading => self.inbox.push_back(mail),
            State::Unknown => refuse_unknown(context, &mail),
            State::Ready(user) => user.handle(context, mail),
        }
    }

    pub(crate) fn loaded(&mut self, context: &mut Context, id: UserId, state: Option<UserState>) {
        // It may have been erased meanwhile.
        if !matches!(self.state, State::Loading) {
            return;
        }
        self.state = state.map_or(State::Unknown, |state| State::Ready(User::new(state).into()));
        context.counters.users_woken += u64::from(context.parked.has(id));
        for (reference, session) in context.parked.take(id) {
            match &mut self.state {
                State::Ready(user) => drop(user.sessions.insert(reference, session)),
                _ => context.links.refuse(reference, Code::UserUnknown),
            }
        }
        while let Some(mail) = self.inbox.pop_front() {
            self.handle(context, mail);
        }
    }

    /// There is no such user any more.
    pub(crate) fn erase(&mut self, context: &mut Context) {
        if let State::Ready(user) = core::mem::replace(&mut self.state, State::Unknown) {
            user.sessions.keys().for_each(|session| context.links.refuse(*session, Code::UserUnknown));
        }
        while let Some(mail) = self.inbox.pop_front() {
            refuse_unknown(context, &mail);
        }
    }

    fn ready(&mut self) -> Option<&mut User> {
        match &mut self.state {
            State::Ready(user) => Some(user),
            State::Loading | State::Unknown => None,
        }
    }

    /// The store no longer has what was asked of the log.
    pub(crate) fn log_expired(&mut self, purpose: &Purpose) {
        let Some(user) = self.ready() else { return };
        match purpose {
            Purpose::Push(session) | Purpose::SyncPage { session, .. } => {
                let pushed = user.sessions.remove(session).map(|session| session.pushed);
                // Whoever lacks the place behind it lacks what is gone.
                user.log_start = user.log_start.max(pushed.unwrap_or_default().next().next());
            }
            // Nobody waits for receipts of so long ago.
            _ => {
                if let Some((up_to, _)) = user.ack_reading.take() {
                    user.delivered = user.delivered.max(up_to);
                }
            }
        }
    }

    pub(crate) fn log_durable(&mut self, context: &mut Context, user_seq: UserSeq) {
        if let Some(user) = self.ready() {
            user.log_durable(context, user_seq);
        }
    }

    pub(crate) fn page_read(&mut self, context: &mut Context, session: SessionRef, page: &[LoggedEvent]) {
        if let Some(user) = self.ready() {
            user.page_read(context, session, page);
        }
    }

    pub(crate) fn sync_read(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        request_id: u32,
        page: &[LoggedEvent],
    ) {
        if let Some(user) = self.ready() {
            user.sync_page(context, session, request_id, page);
        }
    }

    pub(crate) fn acked_log_read(&mut self, context: &mut Context, page: &[LoggedEvent]) {
        if let Some(user) = self.ready() {
            user.acked_log_read(context, page);
        }
    }

    /// What was acked cannot be read: the next ack asks for it again.
    pub(crate) fn acked_log_failed(&mut self) {
        if let Some(user) = self.ready() {
            user.ack_reading = None;
        }
    }

    /// Credits have come back on a link.
    pub(crate) fn pump(&mut self, context: &mut Context) {
        if let Some(user) = self.ready() {
            user.pump_all(context);
        }
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context) {
        if let Some(user) = self.ready() {
            user.handle_timeout(context);
        }
    }

    pub(crate) fn poll_timeout(&self, config: &RouterConfig) -> Option<Instant> {
        match &self.state {
            State::Ready(user) => {
                [user.next_flush, user.gates.next_due(), user.next_laggard(config)].into_iter().flatten().min()
            }
            State::Loading | State::Unknown => None,
        }
    }
}

/// A token for a user that the store does not have.
fn refuse_unknown(context: &mut Context, mail: &ToUser) {
    if let ToUser::Open { session, .. } | ToUser::Registered { session, .. } = mail {
        context.links.refuse(*session, Code::UserUnknown);
    }
}

impl User {
    fn new(state: UserState) -> User {
        let delivered = state.devices.iter().map(|device| device.cursor).max().unwrap_or_default();
        User {
            id: state.row.id,
            handle: state.row.handle,
            user_epoch: state.user_epoch,
            head: state.head,
            log_start: state.log_start,
            durable_head: state.head,
            devices: state.devices.into_iter().map(|device| (device.id, device)).collect(),
            conversations: state.conversations.into_iter().map(|row| (row.conversation, row)).collect(),
            sessions: SmallMap::new(),
            recent: VecDeque::new(),
            gates: ReceiptGates::default(),
            pulls: SmallMap::new(),
            unwritten: Vec::new(),
            is_writing: false,
            delivered,
            ack_reading: None,
            saves: VecDeque::new(),
            next_flush: None,
        }
    }

    fn handle(&mut self, context: &mut Context, mail: ToUser) {
        match mail {
            ToUser::Open { session, open } => self.open(context, session, &open),
            ToUser::Close(session) => self.end_session(context, session),
            ToUser::Ack { session, user_seq } => self.ack(context, session, user_seq),
            ToUser::Read { session, conversation, up_to } => self.read(context, session, conversation, up_to),
            ToUser::Sync { session, request_id, after, bytes_max, page } => {
                self.sync(context, session, request_id, after, bytes_max, page);
            }
            ToUser::Pointer { entry, push, prev } => self.pointer(context, entry, push, prev),
            ToUser::Repeat { conversation, seq } => self.repeated(context, conversation, seq),
            ToUser::Pulled { conversation, entries, up_to } => self.pulled(context, conversation, entries, up_to),
            ToUser::Receipt { kind, receipt, ticket } => {
                let interval = context.config.receipt_interval;
                let passed = self.gates.offer(context.now.monotonic, interval, kind, receipt, ticket);
                if let Some((kind, receipt, tickets)) = passed {
                    self.append_receipt(context, kind, receipt, tickets);
                }
            }
            ToUser::Typing { conversation, by, active } => self.typing(context, conversation, by, active),
            ToUser::ListDevices { session, request_id } => self.list_devices(context, session, request_id),
            ToUser::Revoke { session, client_op_id, device, generation } => {
                self.revoke(context, session, client_op_id, device, generation);
            }
            ToUser::Registered { session, open, device } => self.device_registered(context, session, &open, device),
            ToUser::StandingChanged { device, standing, waiter } => {
                self.standing_changed(context, device, standing, waiter);
            }
            ToUser::Erased(key) => self.erased(context, key),
        }
    }

    fn handle_timeout(&mut self, context: &mut Context) {
        let (now, interval) = (context.now.monotonic, context.config.receipt_interval);
        while let Some((kind, receipt, tickets)) = self.gates.due(now, interval) {
            self.append_receipt(context, kind, receipt, tickets);
        }
        if self.next_flush.is_some_and(|at| at <= now) {
            self.next_flush = None;
            self.save(context);
        }
        self.switch_laggards(context);
    }

    /// Saves what has set nothing in motion that is not durable yet.
    fn save(&mut self, context: &mut Context) {
        let mut reads = BTreeMap::new();
        while let Some((save, _)) = self.saves.pop_front_if(|(_, ticket)| ticket.strong_count() == 0) {
            match save {
                Save::Cursor(cursor) => context.write(cursor, None),
                Save::Read { conversation, up_to, ordinal } => drop(reads.insert(conversation, (up_to, ordinal))),
            }
        }
        for (conversation, (seq, ordinal)) in reads {
            let ticket = Ticket::default();
            let synced = UserEvent::SyncRead { conversation, up_to: seq };
            self.append(context, synced, None, None, alloc::vec![Arc::clone(&ticket)]);
            let cursor = Mutation::ReadCursor { user: self.id, conversation, seq, ordinal };
            if context.traits.one_log {
                context.write(cursor, None);
            } else {
                self.save_later(context, Save::Cursor(cursor), &ticket);
            }
        }
        if !self.saves.is_empty() {
            self.next_flush = Some(context.now.monotonic + context.config.flush_interval);
        }
    }

    fn save_later(&mut self, context: &Context, save: Save, ticket: &Ticket) {
        self.saves.push_back((save, Arc::downgrade(ticket)));
        self.next_flush.get_or_insert(context.now.monotonic + context.config.flush_interval);
    }

    /// The senders learn of it through the conversation; the reader's devices through the log, once all senders have.
    fn read(&mut self, context: &mut Context, session: SessionRef, conversation: ConversationId, up_to: Seq) {
        let Some(row) = self.conversations.get_mut(&conversation) else { return };
        let up_to = up_to.min(row.held);
        if session.device == DeviceId(0) || up_to <= row.read {
            return;
        }
        // Where the entry is no longer at hand, counted from the newest one down: never more than the true count, so that
        // unread is never too small.
        let key = EntryKey { conversation, seq: up_to };
        let at_hand =
            self.recent.iter().rev().filter_map(|recent| recent.entry.as_ref()).find(|entry| entry.key == key);
        let behind = row.held.0 - up_to.0;
        let counted = at_hand.map_or(row.held_ordinal.0.saturating_sub(behind), |entry| entry.ordinal.0);
        row.read = up_to;
        row.read_ordinal = row.read_ordinal.max(Ordinal(counted));
        let ordinal = row.read_ordinal;
        let ticket = Ticket::default();
        // A device that is told of its own mark does not report it again, so what follows from it must be durable before.
        self.save_later(context, Save::Read { conversation, up_to, ordinal }, &ticket);
        let told = Told { kind: ReceiptKind::Read, user: self.id, up_to, senders: None, ticket };
        context.tell_conversation(conversation, ToConversation::Receipt(told));
    }

    fn typing(&mut self, context: &mut Context, conversation: ConversationId, by: UserId, active: bool) {
        if self.sessions.is_empty() {
            return;
        }
        let frame: Arc<[u8]> = context
            .builder
            .server(|fbb| {
                let conversation = conversation.into();
                let args = wire::TypingArgs { conversation: Some(&conversation), user: by.0, active };
                let typing = wire::Typing::create(fbb, &args).as_union_value();
                let args = wire::EphemeralArgs { body_type: wire::EphemeralBody::Typing, body: Some(typing) };
                (ServerBody::Ephemeral, wire::Ephemeral::create(fbb, &args).as_union_value())
            })
            .into();
        for (reference, session) in self.sessions.iter() {
            // Who does not keep up has no use for the moment either.
            if session.has_room(&context.config) && context.links.may_push(*reference, frame.len()) {
                context.links.push(*reference, UserSeq(0), &frame);
            }
        }
    }
}
