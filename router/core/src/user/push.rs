//! From the user's log to its devices: in order, within each device's window.

use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::encode::{event_size_max, events};
use protocol::event::Event;
use protocol::ids::{ClientMsgId, DeviceId, UserSeq};
use protocol::limits;
use protocol::time::Instant;
use protocol::trace::Stage;
use protocol::wire::{self, ServerBody};
use storage_api::{Entry, LoggedEvent, Request, UserEvent};

use super::User;
use crate::config::RouterConfig;
use crate::context::Context;
use crate::links::PageSlot;
use crate::mail::{Purpose, SessionRef};
use crate::session::UserSession;

impl User {
    pub(super) fn pump_all(&mut self, context: &mut Context) {
        let mut next = self.sessions.keys().next().copied();
        while let Some(session) = next {
            self.pump(context, session);
            next = self.sessions.next_key(&session).copied();
        }
    }

    /// Sends what is durable and not yet sent while the window and the link have room. Who pulls is told that there is
    /// more.
    pub(super) fn pump(&mut self, context: &mut Context, reference: SessionRef) {
        let now = context.now.monotonic;
        let Some(session) = self.sessions.get_mut(&reference) else { return };
        if let Some(snapshot) = session.snapshot.take_if(|snapshot| snapshot.0 <= self.durable_head) {
            let (user_seq, frame) = *snapshot;
            context.links.push(reference, user_seq, &frame);
        }
        if session.takes_news(self.durable_head) {
            return tell_pull_mode(context, reference, self.durable_head);
        }
        while session.pushed < self.durable_head && !session.is_reading && session.has_room(&context.config) {
            let user_seq = session.pushed.next();
            let recent = self
                .recent
                .front()
                .and_then(|first| self.recent.get(usize::try_from(user_seq.0.checked_sub(first.user_seq.0)?).ok()?));
            let Some(recent) = recent else {
                session.is_reading = true;
                let request = Request::ReadUserLog {
                    user: self.id,
                    after: session.pushed,
                    count_max: context.config.push_window_events,
                    bytes_max: limits::PAGE_SIZE_MAX,
                };
                return context.ask(request, Purpose::Push(reference));
            };
            let entry = recent.entry.as_deref().filter(|entry| !context.is_erased(entry));
            let is_own = entry
                .and_then(|entry| entry.identity())
                .is_some_and(|identity| identity.sender == self.id && identity.device == session.device);
            if let Some(push) = recent.push.as_ref().filter(|_| entry.is_some() && !is_own) {
                if !context.links.may_push(reference, push.frame.len()) {
                    return;
                }
                context.links.push_shared(reference, user_seq, push);
                session.sent(now, user_seq, &recent.event, push.frame.len(), self.id);
            } else {
                let event = render(self.id, session.device, &recent.event, entry);
                let size = event_size_max(&event);
                if !context.links.may_push(reference, size + 256) {
                    return;
                }
                let frame = context.builder.push(user_seq, &[event]);
                context.links.push(reference, user_seq, frame);
                session.sent(now, user_seq, &recent.event, size, self.id);
            }
            context.counters.push_seconds.observe(now.since(recent.since));
            if let Some(id) = trace_sent(context, reference, recent.entry.as_deref()) {
                session.trace_last(id);
            }
        }
    }

    /// A page of the log, read because it is no longer at hand.
    pub(super) fn page_read(&mut self, context: &mut Context, reference: SessionRef, page: &[LoggedEvent]) {
        let durable_head = self.durable_head;
        let Some(session) = self.sessions.get_mut(&reference) else { return };
        session.is_reading = false;
        let first = session.pushed.next();
        let (rendered, size) = fill_page(self.id, session.device, first, durable_head, page);
        // The device has acked it meanwhile, or asked for what came before.
        if page.first().is_some_and(|logged| logged.user_seq < first) {
            return self.pump(context, reference);
        }
        if rendered.is_empty() || !context.links.may_push(reference, size) {
            return;
        }
        for (logged, event) in in_order(page, first).zip(&rendered) {
            session.sent(context.now.monotonic, logged.user_seq, &logged.event, event_size_max(event), self.id);
            if let Some(id) = trace_sent(context, reference, logged.entry.as_deref()) {
                session.trace_last(id);
            }
        }
        let frame = context.builder.push(first, &rendered);
        context.links.push(reference, session.pushed, frame);
        self.pump(context, reference);
    }

    /// When the next session will have lagged for too long.
    pub(super) fn next_laggard(&self, config: &RouterConfig) -> Option<Instant> {
        let due = |session: &UserSession| session.lags_at(config, self.durable_head).or(session.pull_is_due_at(config));
        self.sessions.values().filter_map(due).min()
    }

    /// Lets those ask for their events that have left a full window unacked for too long. A client of an earlier version
    /// does not know how: it comes again and resumes.
    pub(super) fn switch_laggards(&mut self, context: &mut Context) {
        let (now, head) = (context.now.monotonic, self.durable_head);
        self.sessions.retain(|reference, session| {
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if is_due(session.lags_at(&context.config, head)) {
                session.begin_pull(now);
                context.counters.pulls_begun += 1;
                tell_pull_mode(context, *reference, head);
            } else if is_due(session.pull_is_due_at(&context.config)) && !session.may_still_pull(now) {
                context.links.refuse(*reference, Code::SlowReader);
                return false;
            }
            true
        });
    }

    /// The device asks for everything after `after` again.
    pub(super) fn sync(
        &mut self,
        context: &mut Context,
        reference: SessionRef,
        request_id: u32,
        after: UserSeq,
        bytes_max: usize,
        page: PageSlot,
    ) {
        let durable_head = self.durable_head;
        let Some(session) = self.sessions.get_mut(&reference) else { return };
        session.rewind(after.min(durable_head));
        session.is_reading = true;
        let request = Request::ReadUserLog {
            user: self.id,
            after: session.pushed,
            count_max: context.config.push_window_events,
            bytes_max,
        };
        context.ask(request, Purpose::SyncPage { session: reference, request_id, page });
    }

    pub(super) fn sync_page(
        &mut self,
        context: &mut Context,
        reference: SessionRef,
        request_id: u32,
        page: &[LoggedEvent],
    ) {
        let durable_head = self.durable_head;
        let Some(session) = self.sessions.get_mut(&reference) else { return };
        session.is_reading = false;
        // The question is answered as it was asked, whatever a push that was under way has sent, or an ack passed, since.
        let first = page.first().map_or(session.pushed.next(), |logged| logged.user_seq);
        let (rendered, _) = fill_page(self.id, session.device, first, durable_head, page);
        let last = UserSeq(first.0 + rendered.len() as u64 - 1);
        let was_pulling = session.is_pulling();
        session.paged(first, last, durable_head);
        for logged in page.iter().take(rendered.len()) {
            trace_sent(context, reference, logged.entry.as_deref());
        }
        context.counters.pulls_ended += u64::from(was_pulling && !session.is_pulling());
        let frame = context.builder.server(|fbb| {
            let events = events(fbb, &rendered);
            let args = wire::SyncPageArgs {
                request_id,
                first_user_seq: first.0,
                events: Some(events),
                has_more: last < durable_head,
                user_head: durable_head.0,
            };
            (ServerBody::SyncPage, wire::SyncPage::create(fbb, &args).as_union_value())
        });
        context.links.push(reference, session.pushed, frame);
        self.pump(context, reference);
    }
}

/// Costs a few bytes for each page that a device asks for, so it does not wait for credits of its own.
fn tell_pull_mode(context: &mut Context, session: SessionRef, user_head: UserSeq) {
    let frame = context.builder.server(|fbb| {
        let args = wire::PullModeArgs { user_head: user_head.0 };
        (ServerBody::PullMode, wire::PullMode::create(fbb, &args).as_union_value())
    });
    context.links.push(session, UserSeq(0), frame);
}

/// Its id when its way is traced.
fn trace_sent(context: &mut Context, session: SessionRef, entry: Option<&Entry>) -> Option<ClientMsgId> {
    let id = entry?.identity()?.client_id;
    context.trace(id, Stage::Sent, session.user, session.device);
    context.notes.takes(id).then_some(id)
}

/// The events of a page from `first` on: an answer that was asked for before a rewind has none.
fn in_order(page: &[LoggedEvent], first: UserSeq) -> impl Iterator<Item = &LoggedEvent> {
    let matches = page.first().is_some_and(|logged| logged.user_seq == first);
    page.iter().filter(move |_| matches)
}

/// As many whole events as fit a page, at least one, none that is not durable.
fn fill_page(
    user: protocol::ids::UserId,
    device: DeviceId,
    first: UserSeq,
    durable_head: UserSeq,
    page: &[LoggedEvent],
) -> (Vec<Event>, usize) {
    let mut rendered = Vec::new();
    let mut size = 0;
    for logged in in_order(page, first).take_while(|logged| logged.user_seq <= durable_head) {
        let event = render(user, device, &logged.event, logged.entry.as_deref());
        let event_size = event_size_max(&event);
        if size + event_size > limits::PAGE_SIZE_MAX && !rendered.is_empty() {
            break;
        }
        size += event_size;
        rendered.push(event);
    }
    (rendered, size)
}

/// As this device sees it. An entry that no longer exists is void.
fn render(user: protocol::ids::UserId, device: DeviceId, event: &UserEvent, entry: Option<&Entry>) -> Event {
    match *event {
        UserEvent::Entry { key, .. } => {
            entry.map_or(Event::Void(Some((key.conversation, key.seq))), |entry| entry.event_for(user, device))
        }
        UserEvent::Delivered(receipt) => Event::Delivered(receipt),
        UserEvent::Read(receipt) => Event::Read(receipt),
        UserEvent::SyncRead { conversation, up_to } => Event::SyncRead { conversation, up_to },
    }
}
