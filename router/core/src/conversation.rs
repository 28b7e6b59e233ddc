//! The owner of one conversation: gives each entry its place, makes it durable, acks it, and tells its members.
//!
//! Per entry: dedup, permission, place, write; acks leave in order of seq once everything before is durable. Dedup comes
//! before permission, so that a retry gets the same answer also after its sender was removed.

mod admit;
mod answer;
mod channel;
mod receipt;
mod takeover;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::ids::{ClientMsgId, ConversationId, Ordinal, Seq, UserId};
use protocol::time::{Instant, WallTime};
use protocol::trace::Stage;
use protocol::wire::ConversationKind;
use storage_api::{
    ConversationRow, ENTRIES_IN_FLIGHT_MAX, Entry, EntryBody, EntryKey, Identity, Mutation, Request, Response,
};

use crate::audience::Audience;
use crate::context::Context;
use crate::dedup::DedupWindow;
use crate::links::LinkId;
use crate::mail::{Effect, Purpose, ReceiptKind, SessionRef, Ticket, ToConversation, ToUser, Told};
use crate::members::Members;
use crate::request::ConversationRequest;

/// A conversation that is being loaded or served.
pub(crate) struct ConversationOwner {
    id: ConversationId,
    inbox: VecDeque<ToConversation>,
    /// It was needed since the sweep looked at it last.
    pub(crate) is_fresh: bool,
    /// Pages that the store is reading for somebody.
    reads: usize,
    /// Entries of a takeover that are not durable yet, while there is one.
    takeover_left: usize,
    /// `None` while it is being loaded or taken over.
    conversation: Option<Conversation>,
}

/// Who waits for an entry, and under which name of theirs.
#[derive(Clone, Copy)]
struct Waiter {
    session: SessionRef,
    client_id: ClientMsgId,
    is_operation: bool,
}

struct InFlight {
    entry: Arc<Entry>,
    identity: Identity,
    waiters: Vec<Waiter>,
    /// Of an erased user that leaves: given back with the entry.
    #[expect(dead_code, reason = "holding it is its use")]
    ticket: Option<Ticket>,
    is_durable: bool,
    /// When it got its place.
    since: Instant,
}

/// The request at the head of the line, which waits for the store; everything behind it waits too, for order.
enum Step {
    /// Whether its client id is known.
    Dedup(SessionRef, ConversationRequest),
    /// Whether these users exist.
    Users(SessionRef, ConversationRequest, usize),
}

struct Conversation {
    id: ConversationId,
    /// `Unknown` until its first entry.
    kind: ConversationKind,
    title: String,
    members: Members,
    head: Seq,
    head_ordinal: Ordinal,
    /// Everything up to here may be acked, pushed and read.
    durable_head: Seq,
    server_time: WallTime,
    in_flight: VecDeque<InFlight>,
    dedup: DedupWindow,
    step: Option<Step>,
    /// The last entry of each sender since the conversation was loaded.
    last_sent: BTreeMap<UserId, Seq>,
    loaded_head: Seq,
    receipts: BTreeMap<(UserId, ReceiptKind), Seq>,
    /// First and last pointer that each user's log has not confirmed.
    unconfirmed: BTreeMap<UserId, (Seq, Seq)>,
    fanned: Seq,
    /// Of a channel.
    audience: Audience,
}

impl ConversationOwner {
    pub(crate) fn load(context: &mut Context, id: ConversationId) -> ConversationOwner {
        context.ask(Request::LoadConversation(id), Purpose::LoadConversation(id));
        ConversationOwner { id, inbox: VecDeque::new(), is_fresh: true, reads: 0, takeover_left: 0, conversation: None }
    }

    /// Nothing would be lost if it were loaded again.
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty()
            && self.reads == 0
            && self.conversation.as_ref().is_some_and(|conversation| {
                conversation.in_flight.is_empty()
                    && conversation.step.is_none()
                    && conversation.unconfirmed.is_empty()
                    && conversation.audience.is_empty()
            })
    }

    /// It is idle, and was since it was asked last. A large one never rests: it knows who has said something of late, which
    /// its readers would have to find in the store again.
    pub(crate) fn rests(&mut self) -> bool {
        let is_fresh = core::mem::take(&mut self.is_fresh);
        !is_fresh && self.is_idle() && self.conversation.as_ref().is_some_and(Conversation::is_small)
    }

    pub(crate) fn handle(&mut self, context: &mut Context, mail: ToConversation) {
        match mail {
            ToConversation::Request { session, request } if self.inbox.len() >= context.config.inbox_max => {
                context.refuse(session, &request, Code::TryAgain);
            }
            mail => self.inbox.push_back(mail),
        }
        self.work(context);
    }

    pub(crate) fn loaded(&mut self, context: &mut Context, row: Option<ConversationRow>) {
        match row {
            Some(row) if !context.traits.one_log && row.head_epoch < context.config.epoch => {
                let request = Request::ReadEntries {
                    conversation: self.id,
                    from: takeover::first_read(row.head),
                    to: row.head,
                    newest_first: false,
                    count_max: takeover::PLACES_READ,
                    bytes_max: usize::MAX,
                };
                context.ask(request, Purpose::TakeOver { conversation: self.id, head: row.head });
            }
            row => self.serve(context, row.as_ref()),
        }
    }

    /// Writes the tail anew under this ownership; when all of it is durable the conversation is loaded once more.
    pub(crate) fn take_over(&mut self, context: &mut Context, head: Seq, found: &[Arc<Entry>]) {
        let plan = takeover::plan(self.id, head, found, context.config.epoch);
        context.counters.takeovers += 1;
        context.counters.holes_voided += plan.voids;
        self.takeover_left = plan.entries.len();
        for entry in plan.entries {
            let effect = Effect::Entry(self.id, entry.key.seq);
            context.write(Mutation::Entry(entry), Some(effect));
        }
    }

    fn serve(&mut self, context: &mut Context, row: Option<&ConversationRow>) {
        let mut conversation = Conversation::new(self.id, row);
        conversation.repeat_pointers(context);
        self.conversation = Some(conversation);
        self.work(context);
    }

    pub(crate) fn stepped(&mut self, context: &mut Context, response: Response) {
        let conversation = self.conversation.as_mut().expect("only a loaded conversation asks");
        match (conversation.step.take(), response) {
            (Some(Step::Dedup(session, request)), Response::Found(found)) => {
                conversation.dedup_answered(context, session, request, found.as_deref());
            }
            (Some(Step::Users(session, request, wanted)), Response::Users(users)) => {
                if users.len() == wanted {
                    conversation.admit(context, session, request);
                } else {
                    context.refuse(session, &request, Code::NoSuchUser);
                }
            }
            _ => unreachable!("one step at a time, answered by its own kind"),
        }
        self.work(context);
    }

    /// A damaged record lay where a page should have been.
    pub(crate) fn read_failed(&mut self) {
        self.reads -= 1;
    }

    /// A damaged record lay where the answer should have been: the request fails, the conversation goes on.
    pub(crate) fn step_failed(&mut self, context: &mut Context) {
        let conversation = self.conversation.as_mut().expect("only a loaded conversation asks");
        if let Some(Step::Dedup(session, request) | Step::Users(session, request, _)) = conversation.step.take() {
            context.refuse(session, &request, Code::TryAgain);
        }
        self.work(context);
    }

    pub(crate) fn entry_durable(&mut self, context: &mut Context, seq: Seq) {
        if let Some(conversation) = &mut self.conversation {
            conversation.entry_durable(context, seq);
            return self.work(context);
        }
        self.takeover_left -= 1;
        if self.takeover_left == 0 {
            context.ask(Request::LoadConversation(self.id), Purpose::LoadConversation(self.id));
        }
    }

    pub(crate) fn history_read(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        request_id: u32,
        entries: &[Arc<Entry>],
    ) {
        self.reads -= 1;
        if let Some(conversation) = &self.conversation {
            conversation.history_page(context, session, request_id, entries);
        }
    }

    pub(crate) fn pulled(&mut self, context: &mut Context, user: UserId, up_to: Seq, entries: Vec<Arc<Entry>>) {
        self.reads -= 1;
        let Some(conversation) = &self.conversation else { return };
        let up_to = entries.last().map_or(up_to, |entry| entry.key.seq);
        let entries =
            entries.into_iter().filter(|entry| conversation.members.visible_to(user, entry.key.seq)).collect();
        context.tell_user(user, ToUser::Pulled { conversation: self.id, entries, up_to });
    }

    pub(crate) fn senders_read(&mut self, context: &mut Context, told: Told, from: Seq, entries: &[Arc<Entry>]) {
        let conversation = self.conversation.as_mut().expect("only a loaded conversation asks");
        let reads_on = conversation.senders_read(context, told, from, entries);
        self.reads -= usize::from(!reads_on);
    }

    /// Followers on this link have stopped.
    pub(crate) fn followers_left(&mut self, link: LinkId, count: u32) {
        self.conversation.iter_mut().for_each(|conversation| conversation.audience.leave(link, count));
    }

    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.conversation.iter_mut().for_each(|conversation| conversation.audience.lose(link));
    }

    fn work(&mut self, context: &mut Context) {
        let Some(conversation) = &mut self.conversation else { return };
        while conversation.step.is_none() && conversation.in_flight.len() < ENTRIES_IN_FLIGHT_MAX {
            let Some(mail) = self.inbox.pop_front() else { return };
            self.reads += usize::from(conversation.handle(context, mail));
        }
    }
}

impl Conversation {
    fn new(id: ConversationId, row: Option<&ConversationRow>) -> Conversation {
        let mut conversation = Conversation {
            id,
            kind: ConversationKind::Unknown,
            title: String::new(),
            members: Members::default(),
            head: Seq(0),
            head_ordinal: Ordinal(0),
            durable_head: Seq(0),
            server_time: WallTime(0),
            in_flight: VecDeque::new(),
            dedup: DedupWindow::new(row.is_none_or(|row| row.head == Seq(0))),
            step: None,
            last_sent: BTreeMap::new(),
            loaded_head: Seq(0),
            receipts: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            fanned: Seq(0),
            audience: Audience::default(),
        };
        if let Some(row) = row {
            conversation.kind = row.kind;
            conversation.title = row.title.clone();
            conversation.members = Members::new(row.members.clone());
            conversation.head = row.head;
            conversation.head_ordinal = row.head_ordinal;
            conversation.durable_head = row.head;
            conversation.loaded_head = row.head;
            conversation.receipts =
                row.receipts.iter().map(|receipt| ((receipt.user, ReceiptKind::Read), receipt.read)).collect();
            conversation.fanned = row.fanned;
        }
        conversation
    }

    fn exists(&self) -> bool {
        self.kind != ConversationKind::Unknown
    }

    /// What a former owner may not have told: each member pulls what its log lacks.
    fn repeat_pointers(&mut self, context: &mut Context) {
        if !self.exists() || self.fanned >= self.durable_head {
            return;
        }
        for row in self.members.all() {
            let seq = self.members.last_visible(row.user, self.durable_head);
            if seq > self.fanned {
                context.counters.pointers_repeated += 1;
                // One log knows by itself what it holds.
                if !context.traits.one_log {
                    self.unconfirmed.insert(row.user, (self.fanned.next(), seq));
                }
                context.tell_user(row.user, ToUser::Repeat { conversation: self.id, seq });
            }
        }
    }

    /// Whether the store reads a page for it now.
    fn handle(&mut self, context: &mut Context, mail: ToConversation) -> bool {
        match mail {
            ToConversation::Request { session, request } => return self.request(context, session, request),
            ToConversation::Held { user, up_to } => self.held(context, user, up_to),
            ToConversation::Pull { user, after } => {
                let request = Request::ReadEntries {
                    conversation: self.id,
                    from: after.next(),
                    to: self.durable_head,
                    newest_first: false,
                    count_max: 256,
                    bytes_max: 1024 * 1024,
                };
                let purpose = Purpose::Pull { conversation: self.id, user, up_to: self.durable_head };
                context.ask(request, purpose);
                return true;
            }
            ToConversation::Receipt(receipt) => return self.receipt(context, receipt),
            ToConversation::Wake => {}
            ToConversation::Erased(seq) => {
                let key = EntryKey { conversation: self.id, seq };
                for row in self.members.all().filter(|row| self.members.visible_to(row.user, seq)) {
                    context.tell_user(row.user, ToUser::Erased(key));
                }
                self.publish_erased(context, seq);
            }
            ToConversation::Leave { user, ticket } => self.leave(context, user, ticket),
        }
        false
    }

    fn request(&mut self, context: &mut Context, session: SessionRef, request: ConversationRequest) -> bool {
        match &request {
            ConversationRequest::Send { message, attempt } => {
                context.counters.retries_seen += u64::from(*attempt > 0);
                let (client_id, attempt) = (message.head().client_msg_id, *attempt);
                self.deduplicate(context, session, request, client_id, attempt);
                false
            }
            // An operation has no attempt number: it may always be a retry.
            ConversationRequest::Create { client_op_id, .. } | ConversationRequest::Change { client_op_id, .. } => {
                let client_id = *client_op_id;
                self.deduplicate(context, session, request, client_id, 1);
                false
            }
            _ => self.read_request(context, session, request),
        }
    }

    fn entry_durable(&mut self, context: &mut Context, seq: Seq) {
        let first = self.in_flight.front().expect("an entry is in flight until it is durable").entry.key.seq;
        let index = (seq.0 - first.0) as usize;
        self.in_flight[index].is_durable = true;
        while let Some(done) = self.in_flight.pop_front_if(|entry| entry.is_durable) {
            self.durable_head = done.entry.key.seq;
            context.counters.durable_seconds.observe(context.now.monotonic.since(done.since));
            let Identity { sender, device, client_id } = done.identity;
            context.trace(client_id, Stage::Durable, sender, device);
            if matches!(done.entry.body, EntryBody::Message(_)) {
                context.counters.messages_acked += 1;
            }
            for waiter in &done.waiters {
                self.ack(context, *waiter, done.entry.key.seq, done.entry.server_time());
            }
            if !context.traits.one_log {
                self.fan_out(context, &done.entry);
            }
            self.publish(context, &done.entry);
        }
    }

    fn fan_out(&mut self, context: &mut Context, entry: &Arc<Entry>) {
        let seq = entry.key.seq;
        let push = context.push_template(entry);
        for (user, prev) in self.members.readers(seq) {
            context.tell_user(user, ToUser::Pointer { entry: Arc::clone(entry), push: push.clone(), prev });
            if !context.traits.one_log {
                self.unconfirmed.entry(user).or_insert((seq, seq)).1 = seq;
            }
        }
    }

    fn held(&mut self, context: &mut Context, user: UserId, up_to: Seq) {
        let Some((first, last)) = self.unconfirmed.get_mut(&user) else { return };
        if up_to < *last {
            *first = (*first).max(up_to.next());
            return;
        }
        self.unconfirmed.remove(&user);
        if self.unconfirmed.is_empty() && self.in_flight.is_empty() && self.fanned < self.durable_head {
            self.fanned = self.durable_head;
            context.write(Mutation::Fanned { conversation: self.id, seq: self.fanned }, None);
        }
    }
}
