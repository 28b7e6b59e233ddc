//! The user's log: pointers become events, gaps are pulled, receipts are gathered; all of it durable before it is sent.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::event::Receipt;
use protocol::ids::{ConversationId, DeviceId, Ordinal, Seq, UserId, UserSeq};
use protocol::trace::Stage;
use protocol::wire::{ConversationKind, MembershipAction};
use storage_api::{Entry, EntryBody, EntryKey, LoggedEvent, Mutation, Request, UserConversationRow, UserEvent};

use super::{RECENT_EVENTS_MAX, Recent, Save, User};
use crate::context::Context;
use crate::links::PushTemplate;
use crate::mail::{Effect, Purpose, ReceiptKind, SessionRef, Ticket, ToConversation, Told};

/// What a device has got of others: of each conversation, up to where and whose.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<ConversationId, (Seq, BTreeSet<UserId>)>);

impl Taken {
    fn add(&mut self, key: EntryKey, sender: UserId) {
        let (up_to, senders) = self.0.entry(key.conversation).or_default();
        *up_to = key.seq;
        senders.insert(sender);
    }
}

impl User {
    pub(super) fn pointer(&mut self, context: &mut Context, entry: Arc<Entry>, push: PushTemplate, prev: Seq) {
        let key = entry.key;
        let held = self.held(key.conversation);
        if key.seq <= held {
            return self.confirm(context, key.conversation, held);
        }
        if let Some(target) = self.pulls.get_mut(&key.conversation) {
            *target = (*target).max(key.seq);
        } else if prev > held {
            self.pull(context, key.conversation, key.seq);
        } else {
            self.append_entry(context, entry, Some(push));
        }
    }

    pub(super) fn repeated(&mut self, context: &mut Context, conversation: ConversationId, seq: Seq) {
        let held = self.held(conversation);
        if seq <= held {
            return self.confirm(context, conversation, held);
        }
        match self.pulls.get_mut(&conversation) {
            Some(target) => *target = (*target).max(seq),
            None => self.pull(context, conversation, seq),
        }
    }

    pub(super) fn pulled(
        &mut self,
        context: &mut Context,
        conversation: ConversationId,
        entries: Vec<Arc<Entry>>,
        up_to: Seq,
    ) {
        for entry in entries {
            if entry.key.seq > self.held(conversation) {
                context.counters.gap_pulls += 1;
                self.append_entry(context, entry, None);
            }
        }
        let Some(&target) = self.pulls.get(&conversation) else { return };
        if up_to < target {
            let mail = ToConversation::Pull { user: self.id, after: up_to };
            return context.tell_conversation(conversation, mail);
        }
        self.pulls.remove(&conversation);
    }

    fn pull(&mut self, context: &mut Context, conversation: ConversationId, target: Seq) {
        self.pulls.insert(conversation, target);
        let after = self.held(conversation);
        context.tell_conversation(conversation, ToConversation::Pull { user: self.id, after });
    }

    fn held(&self, conversation: ConversationId) -> Seq {
        self.conversations.get(&conversation).map_or(Seq(0), |row| row.held)
    }

    /// Tells the conversation, unless the write that will tell it is still under way.
    fn confirm(&self, context: &mut Context, conversation: ConversationId, held: Seq) {
        if !context.traits.one_log && self.head == self.durable_head {
            context.tell_conversation(conversation, ToConversation::Held { user: self.id, up_to: held });
        }
    }

    fn append_entry(&mut self, context: &mut Context, entry: Arc<Entry>, push: Option<PushTemplate>) {
        self.note(&entry);
        // A void has no sender; it is logged so that what is held has no gap.
        let sender = entry.identity().map_or(UserId(0), |identity| identity.sender);
        let event = UserEvent::Entry { key: entry.key, sender };
        self.append(context, event, Some(entry), push, Vec::new());
    }

    /// Devices that have the entry hear that its place is void, and those that lack it will find it so.
    pub(super) fn erased(&mut self, context: &mut Context, key: EntryKey) {
        for recent in &mut self.recent {
            if matches!(recent.event, UserEvent::Entry { key: held, .. } if held == key) {
                (recent.entry, recent.push) = (None, None);
            }
        }
        if key.seq <= self.held(key.conversation) {
            let event = UserEvent::Entry { key, sender: UserId(0) };
            self.append(context, event, None, None, Vec::new());
        }
    }

    /// Keeps the list of conversations in step with the log. Before the entry is appended.
    fn note(&mut self, entry: &Entry) {
        let conversation = entry.key.conversation;
        let touched = self.head.next();
        let row = self.conversations.get_or_insert_with(conversation, || UserConversationRow {
            conversation,
            kind: ConversationKind::Unknown,
            direct_peer: None,
            title: Default::default(),
            held: Seq(0),
            held_ordinal: Ordinal(0),
            touched,
            read: Seq(0),
            read_ordinal: Ordinal(0),
        });
        (row.held, row.touched) = (entry.key.seq, touched);
        row.held_ordinal = row.held_ordinal.max(entry.ordinal);
        match &entry.body {
            EntryBody::Message(message) => {
                let head = message.head();
                if let Some(peer) = head.direct_peer {
                    row.kind = ConversationKind::Direct;
                    row.direct_peer = Some(if peer == self.id { head.sender } else { peer });
                }
            }
            EntryBody::Membership(change) => {
                row.kind = change.kind;
                if matches!(change.action, MembershipAction::Created | MembershipAction::Added) {
                    row.title.clone_from(&change.title);
                }
            }
            EntryBody::Void => {}
        }
    }

    pub(super) fn append(
        &mut self,
        context: &mut Context,
        event: UserEvent,
        entry: Option<Arc<Entry>>,
        push: Option<PushTemplate>,
        tickets: Vec<Ticket>,
    ) {
        self.head = self.head.next();
        let since = context.now.monotonic;
        self.recent.push_back(Recent { user_seq: self.head, event, entry, push, since });
        while self.recent.len() > RECENT_EVENTS_MAX
            && self.recent.front().is_some_and(|recent| recent.user_seq <= self.durable_head)
        {
            self.recent.pop_front();
        }
        if context.traits.one_log {
            let mutation = Mutation::UserEvents {
                user: self.id,
                first_user_seq: self.head,
                epoch: context.config.epoch,
                events: alloc::vec![event],
            };
            context.write(mutation, Some(Effect::UserLog(self.id, self.head, tickets)));
        } else {
            self.unwritten.push((event, tickets));
            self.write_log(context);
        }
    }

    /// One write at a time, so that the log never has a hole.
    fn write_log(&mut self, context: &mut Context) {
        if self.is_writing || self.unwritten.is_empty() {
            return;
        }
        self.is_writing = true;
        let first_user_seq = UserSeq(self.head.0 - self.unwritten.len() as u64 + 1);
        let (events, tickets): (Vec<_>, Vec<_>) = core::mem::take(&mut self.unwritten).into_iter().unzip();
        let mutation = Mutation::UserEvents { user: self.id, first_user_seq, epoch: context.config.epoch, events };
        let tickets = tickets.into_iter().flatten().collect();
        context.write(mutation, Some(Effect::UserLog(self.id, self.head, tickets)));
    }

    pub(super) fn log_durable(&mut self, context: &mut Context, user_seq: UserSeq) {
        let before = self.durable_head;
        self.durable_head = self.durable_head.max(user_seq);
        if !context.traits.one_log {
            self.is_writing = false;
            let written = self.recent.iter().filter(|recent| recent.user_seq > before && recent.user_seq <= user_seq);
            let mut held: BTreeMap<ConversationId, Seq> = BTreeMap::new();
            for recent in written {
                if let UserEvent::Entry { key, .. } = recent.event {
                    held.insert(key.conversation, key.seq);
                }
            }
            for (conversation, up_to) in held {
                context.tell_conversation(conversation, ToConversation::Held { user: self.id, up_to });
            }
            self.write_log(context);
        }
        self.pump_all(context);
    }

    pub(super) fn append_receipt(
        &mut self,
        context: &mut Context,
        kind: ReceiptKind,
        receipt: Receipt,
        tickets: Vec<Ticket>,
    ) {
        let event = match kind {
            ReceiptKind::Delivered => UserEvent::Delivered(receipt),
            ReceiptKind::Read => UserEvent::Read(receipt),
        };
        self.append(context, event, None, None, tickets);
    }

    /// A device has stored everything up to here: its senders may know, and its window has room.
    pub(super) fn ack(&mut self, context: &mut Context, reference: SessionRef, user_seq: UserSeq) {
        let Some(session) = self.sessions.get_mut(&reference) else { return };
        let delivered = self.delivered;
        let (mut taken, mut seen_count) = (Taken::default(), 0);
        let user_seq = session.acked(user_seq, |sent| {
            context.counters.device_ack_seconds.observe(context.now.monotonic.since(sent.sent_at));
            if let Some(id) = sent.traced {
                context.trace(id, Stage::Stored, reference.user, reference.device);
            }
            if sent.user_seq > delivered {
                seen_count += 1;
                if let Some((key, sender)) = sent.entry {
                    taken.add(key, sender);
                }
            }
        });
        // What was sent before a rewind, or before this session, is in no window.
        let is_covered = delivered.0 + seen_count == user_seq.0;
        self.device_holds(context, reference.device, user_seq, is_covered.then_some(taken));
        self.pump(context, reference);
    }

    /// `taken`: what is new, or `None` where the log must be asked.
    pub(super) fn device_holds(
        &mut self,
        context: &mut Context,
        device: DeviceId,
        user_seq: UserSeq,
        taken: Option<Taken>,
    ) {
        let Some(row) = self.devices.get_mut(&device) else { return };
        if user_seq <= row.cursor {
            return;
        }
        row.cursor = user_seq;
        // Whoever comes while the log is being read waits for the same receipts.
        let ticket = self.ack_reading.as_ref().map(|(_, ticket)| Arc::clone(ticket)).unwrap_or_default();
        self.save_later(context, Save::Cursor(Mutation::DeviceCursor { user: self.id, device, user_seq }), &ticket);
        if user_seq <= self.delivered {
            return;
        }
        match taken {
            Some(taken) if self.ack_reading.is_none() => {
                self.delivered = user_seq;
                self.tell_delivered(context, taken, &ticket);
            }
            _ => self.read_acked_log(context, user_seq, ticket),
        }
    }

    fn tell_delivered(&self, context: &mut Context, taken: Taken, ticket: &Ticket) {
        for (conversation, (up_to, senders)) in taken.0 {
            let told = Told {
                kind: ReceiptKind::Delivered,
                user: self.id,
                up_to,
                senders: Some(senders),
                ticket: Arc::clone(ticket),
            };
            context.tell_conversation(conversation, ToConversation::Receipt(told));
        }
    }

    fn read_acked_log(&mut self, context: &mut Context, up_to: UserSeq, ticket: Ticket) {
        match &mut self.ack_reading {
            Some((target, _)) => *target = up_to.max(*target),
            None => {
                self.ack_reading = Some((up_to, ticket));
                self.ask_acked_log(context);
            }
        }
    }

    fn ask_acked_log(&self, context: &mut Context) {
        let request =
            Request::ReadUserLog { user: self.id, after: self.delivered, count_max: 1024, bytes_max: 1024 * 1024 };
        context.ask(request, Purpose::AckedLog(self.id));
    }

    pub(super) fn acked_log_read(&mut self, context: &mut Context, page: &[LoggedEvent]) {
        let Some((up_to, ticket)) = self.ack_reading.take() else { return };
        let mut taken = Taken::default();
        for logged in page.iter().filter(|logged| logged.user_seq <= up_to) {
            if let UserEvent::Entry { key, sender } = logged.event
                && sender != self.id
                && sender != UserId(0)
            {
                taken.add(key, sender);
            }
        }
        self.tell_delivered(context, taken, &ticket);
        let read_up_to = page.last().map_or(up_to, |logged| logged.user_seq);
        self.delivered = self.delivered.max(read_up_to.min(up_to));
        if self.delivered < up_to {
            self.ack_reading = Some((up_to, ticket));
            self.ask_acked_log(context);
        }
    }
}
