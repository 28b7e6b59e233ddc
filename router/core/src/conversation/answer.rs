//! What is read from a conversation: history, members, typing.

use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::encode::{event_size_max, events};
use protocol::event::Event;
use protocol::ids::{ClientMsgId, ConversationId, Seq};
use protocol::limits;
use protocol::time::WallTime;
use protocol::wire::{self, Role, ServerBody};
use storage_api::{Entry, Request};

use super::Conversation;
use crate::context::Context;
use crate::links::PageSlot;
use crate::mail::{Purpose, SessionRef, ToUser};
use crate::request::ConversationRequest;

impl Conversation {
    /// Whether the store reads a page for it now.
    pub(super) fn read_request(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        request: ConversationRequest,
    ) -> bool {
        let may_read = self.head_for(session.user) > Seq(0);
        let is_member = self.members.role(session.user) != Role::None;
        let refusal = if !self.exists() {
            Some(Code::ConversationUnknown)
        } else {
            match request {
                ConversationRequest::History { .. } => (!may_read).then_some(Code::NotPermitted),
                ConversationRequest::Follow { .. } => (!self.may_follow(session.user)).then_some(Code::NotPermitted),
                _ => (!is_member).then_some(Code::NotPermitted),
            }
        };
        if let Some(code) = refusal {
            context.refuse(session, &request, code);
            return false;
        }
        match request {
            ConversationRequest::History { request_id, before, after, limit, page } => {
                return self.history(context, session, request_id, (before, after), limit, page);
            }
            ConversationRequest::Follow { request_id } => self.follow(context, session, request_id),
            ConversationRequest::Members { request_id } => self.members_page(context, session, request_id),
            ConversationRequest::Typing { active } => {
                for row in self.members.present().filter(|row| row.user != session.user) {
                    let mail = ToUser::Typing { conversation: self.id, by: session.user, active };
                    context.tell_user(row.user, mail);
                }
            }
            _ => unreachable!("what becomes an entry goes another way"),
        }
        false
    }

    fn history(
        &self,
        context: &mut Context,
        session: SessionRef,
        request_id: u32,
        (before, after): (Option<Seq>, Seq),
        limit: usize,
        page: PageSlot,
    ) -> bool {
        let last = self.head_for(session.user);
        // Behind the largest number there is nothing, and the page is empty.
        let from = Seq(after.0.saturating_add(1));
        let to = before.map_or(last, |before| last.min(Seq(before.0.saturating_sub(1))));
        if from > to {
            self.history_page(context, session, request_id, &[]);
            return false;
        }
        let request = Request::ReadEntries {
            conversation: self.id,
            from,
            to,
            newest_first: before.is_some(),
            count_max: limit,
            bytes_max: limits::PAGE_SIZE_MAX - 64 * limit,
        };
        context.ask(request, Purpose::History { conversation: self.id, session, request_id, page });
        true
    }

    /// What the reader may not see is void: its place is known from the others, its content is not.
    pub(super) fn history_page(
        &self,
        context: &mut Context,
        session: SessionRef,
        request_id: u32,
        entries: &[Arc<Entry>],
    ) {
        let mut page: Vec<Event> = Vec::new();
        let mut size = 0;
        for entry in entries {
            let event = if self.may_read(session.user, entry) {
                entry.event()
            } else {
                Event::Void(Some((self.id, entry.key.seq)))
            };
            size += event_size_max(&event);
            if size > limits::PAGE_SIZE_MAX && !page.is_empty() {
                break;
            }
            page.push(event);
        }
        let head = self.head_for(session.user);
        let last_sent = entries.get(page.len().saturating_sub(1)).map_or(head, |entry| entry.key.seq);
        let first_sent = entries.first().map_or(Seq(1), |entry| entry.key.seq);
        let has_more = last_sent < head || first_sent > Seq(1);
        let frame = context.builder.server(|fbb| {
            let entries = events(fbb, &page);
            let conversation = self.id.into();
            let args = wire::HistoryPageArgs {
                request_id,
                conversation: Some(&conversation),
                kind: self.kind,
                entries: Some(entries),
                head_seq: head.0,
                has_more,
            };
            (ServerBody::HistoryPage, wire::HistoryPage::create(fbb, &args).as_union_value())
        });
        context.links.answer(session, frame);
    }

    fn members_page(&self, context: &mut Context, session: SessionRef, request_id: u32) {
        let frame = context.builder.server(|fbb| {
            let title = fbb.create_string(&self.title);
            let members: Vec<_> = self
                .members
                .present()
                .map(|row| {
                    let join_seq = row.spans.last().map_or(0, |span| span.join.0);
                    let args = wire::MemberArgs { user: row.user.0, role: row.role, join_seq };
                    wire::Member::create(fbb, &args)
                })
                .collect();
            let members = fbb.create_vector(&members);
            let conversation = self.id.into();
            let args = wire::MembersPageArgs {
                request_id,
                conversation: Some(&conversation),
                kind: self.kind,
                title: Some(title),
                head_seq: self.durable_head.0,
                members: Some(members),
            };
            (ServerBody::MembersPage, wire::MembersPage::create(fbb, &args).as_union_value())
        });
        context.links.answer(session, frame);
    }
}

/// The message is durable and has its place: the same answer for every attempt.
pub(super) fn message_ack(
    context: &mut Context,
    session: SessionRef,
    client_msg_id: ClientMsgId,
    conversation: ConversationId,
    seq: Seq,
    server_time: WallTime,
) {
    let durability = context.traits.durability;
    let frame = context.builder.server(|fbb| {
        let (client_msg_id, conversation) = (client_msg_id.into(), conversation.into());
        let args = wire::MessageAckArgs {
            client_msg_id: Some(&client_msg_id),
            conversation: Some(&conversation),
            seq: seq.0,
            server_time_ms: server_time.0,
            durability,
        };
        (ServerBody::MessageAck, wire::MessageAck::create(fbb, &args).as_union_value())
    });
    context.links.answer(session, frame);
}
