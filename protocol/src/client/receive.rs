//! What a server's frame means to a session.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use flatbuffers::{ForwardsUOffset, Vector};
use wire::{OpStatus, ServerBody};

use super::ClientSession;
use super::action::{
    Acked, Answer, ClientEvent, ConversationSummary, Device, HistoryPage, Me, Member, MembersPage, Reason, RequestId,
    Snapshot, User,
};
use super::connection::Phase;
use super::outbox::Refusal;
use super::state::{Change, Position, ResumeTicket};
use crate::codes::{Code, number_is_temporary};
use crate::event::{Event, nonzero};
use crate::frame::FrameError;
use crate::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, MessageId, Ordinal, Seq, StoreIncarnation, UserEpoch,
    UserId, UserSeq,
};
use crate::limits::{RESUME_TICKET_SIZE_MAX, VERSION_MAX, VERSION_MIN};
use crate::time::{Now, WallTime};

use FrameError::Invalid;

impl ClientSession {
    /// Before the Welcome: it, or a GoAway. Everything else comes too early and is skipped.
    pub(super) fn receive_greeting(
        &mut self,
        now: Now,
        frame: wire::ServerFrame<'_>,
        claimed: Position,
    ) -> Result<(), FrameError> {
        match frame.body_type() {
            ServerBody::Welcome => self.welcome(now, frame.body_as_welcome().ok_or(Invalid)?, claimed),
            ServerBody::GoAway => self.go_away(now, frame.body_as_go_away().ok_or(Invalid)?),
            _ => {}
        }
        Ok(())
    }

    /// Frames of a later version are skipped.
    pub(super) fn receive(&mut self, now: Now, frame: wire::ServerFrame<'_>) -> Result<(), FrameError> {
        match frame.body_type() {
            ServerBody::MessageAck => self.message_ack(frame.body_as_message_ack().ok_or(Invalid)?),
            ServerBody::OpAck => self.op_ack(now, frame.body_as_op_ack().ok_or(Invalid)?),
            ServerBody::Push => {
                let push = frame.body_as_push().ok_or(Invalid)?;
                let events = events(push.events())?;
                if let Some(stream) = &mut self.stream {
                    stream.events(now.monotonic, UserSeq(push.first_user_seq()), events, &mut self.output);
                }
            }
            ServerBody::SyncPage => {
                let page = frame.body_as_sync_page().ok_or(Invalid)?;
                let (request_id, first) = (RequestId(page.request_id()), UserSeq(page.first_user_seq()));
                let events = events(page.events())?;
                if let Some(stream) = &mut self.stream {
                    stream.sync_page(now.monotonic, request_id, first, events, page.has_more(), &mut self.output);
                }
            }
            ServerBody::PullMode => {
                if let Some(stream) = &mut self.stream {
                    stream.begin_pull(now.monotonic, &mut self.output);
                }
            }
            ServerBody::Snapshot => self.snapshot(frame.body_as_snapshot().ok_or(Invalid)?),
            ServerBody::Ephemeral => {
                if let Some(typing) = frame.body_as_ephemeral().ok_or(Invalid)?.body_as_typing() {
                    let (conversation, by) = (typing.conversation().into(), UserId(typing.user()));
                    self.output.event(ClientEvent::Typing { conversation, by, active: typing.active() });
                }
            }
            ServerBody::Pong => self.pong(now, frame.body_as_pong().ok_or(Invalid)?),
            ServerBody::Resend => self.resend(now),
            ServerBody::GoAway => self.go_away(now, frame.body_as_go_away().ok_or(Invalid)?),
            ServerBody::Error => self.error(now, frame.body_as_error().ok_or(Invalid)?),
            _ => return self.receive_page(now, frame),
        }
        Ok(())
    }

    /// What was asked for, and what is published.
    fn receive_page(&mut self, now: Now, frame: wire::ServerFrame<'_>) -> Result<(), FrameError> {
        match frame.body_type() {
            ServerBody::HistoryPage => {
                let page = frame.body_as_history_page().ok_or(Invalid)?;
                let request_id = RequestId(page.request_id());
                let page = HistoryPage {
                    conversation: page.conversation().into(),
                    kind: page.kind(),
                    entries: events(page.entries())?,
                    head: Seq(page.head_seq()),
                    has_more: page.has_more(),
                };
                let Self { channels, questions, output, .. } = self;
                if !channels.page(now.monotonic, request_id, &page, questions, output) {
                    questions.answered(request_id, Answer::History(page), output);
                }
            }
            ServerBody::ChannelPush => {
                let push = frame.body_as_channel_push().ok_or(Invalid)?;
                let (conversation, head) = (push.conversation().into(), Seq(push.head_seq()));
                let Self { channels, questions, output, .. } = self;
                channels.published(now.monotonic, conversation, head, events(push.events())?, questions, output);
            }
            ServerBody::MembersPage => {
                let page = frame.body_as_members_page().ok_or(Invalid)?;
                let answer = Answer::Members(members(page));
                self.questions.answered(RequestId(page.request_id()), answer, &mut self.output);
            }
            ServerBody::UserPage => {
                let page = frame.body_as_user_page().ok_or(Invalid)?;
                let users = page.users().into_iter().flatten();
                let users = users.map(|user| User { id: UserId(user.id()), handle: text(user.handle()) }).collect();
                self.questions.answered(RequestId(page.request_id()), Answer::Users(users), &mut self.output);
            }
            ServerBody::DevicesPage => {
                let page = frame.body_as_devices_page().ok_or(Invalid)?;
                let devices = page.devices().into_iter().flatten().map(device).collect();
                self.questions.answered(RequestId(page.request_id()), Answer::Devices(devices), &mut self.output);
            }
            _ => {}
        }
        Ok(())
    }

    fn welcome(&mut self, now: Now, welcome: wire::Welcome<'_>, claimed: Position) {
        if !(VERSION_MIN..=VERSION_MAX).contains(&welcome.version()) {
            return self.connection.close(Some(Code::VersionUnsupported.into()), &mut self.output);
        }
        let me = Me {
            user: UserId(welcome.user_id()),
            handle: text(welcome.user_handle()),
            device: DeviceId(welcome.device_id()),
            device_generation: DeviceGeneration(welcome.device_generation()),
        };
        let registered = (me.device, me.device_generation);
        if !self.hello.is_transient && (self.hello.device, self.hello.device_generation) != registered {
            (self.hello.device, self.hello.device_generation) = registered;
            self.output.persist(Change::Registered(me.device, me.device_generation));
        }
        self.links_anew = false;
        let ticket = welcome.resume_ticket().map(|ticket| ticket.bytes());
        if let Some(ticket) = ticket.filter(|ticket| ticket.len() <= RESUME_TICKET_SIZE_MAX && !self.hello.is_transient)
        {
            let ticket = ResumeTicket(ticket.into());
            self.output.persist(Change::Ticket(ticket.clone()));
            self.resume_ticket = Some(ticket);
        }
        self.log = Position {
            store_incarnation: StoreIncarnation(welcome.store_incarnation()),
            user_epoch: UserEpoch(welcome.user_epoch()),
            user_seq: UserSeq(0),
        };
        self.server_clock.hear(now, WallTime(welcome.server_time_ms()));
        self.connection.go_live(now.monotonic, welcome.heartbeat_interval_ms(), me, &mut self.output);
        if let Some(stream) = &mut self.stream {
            stream.go_live(claimed, welcome.resumed(), self.log, &mut self.output);
        }
        self.fail_expired(now);
        self.outbox.go_live(now, &self.server_clock, &mut self.random, &mut self.output);
        self.channels.ask_again(&mut self.questions, &mut self.output);
        self.questions.resend(now.monotonic, &mut self.output);
    }

    fn message_ack(&mut self, ack: wire::MessageAck<'_>) {
        let acked = Acked {
            client_msg_id: ack.client_msg_id().into(),
            conversation: ack.conversation().into(),
            seq: Seq(ack.seq()),
            server_time: WallTime(ack.server_time_ms()),
            durability: ack.durability(),
        };
        self.outbox.answered(acked.client_msg_id, ClientEvent::Acked(acked), &mut self.output);
    }

    fn op_ack(&mut self, now: Now, ack: wire::OpAck<'_>) {
        let client_op_id = ClientMsgId::from(ack.client_op_id());
        if ack.status() == OpStatus::Done {
            let conversation = ack.conversation().map(ConversationId::from);
            let place = conversation.map(|conversation| MessageId { conversation, seq: Seq(ack.seq()) });
            let done = ClientEvent::OpDone { client_op_id, place };
            return self.outbox.answered(client_op_id, done, &mut self.output);
        }
        let code = if ack.status() == OpStatus::Unsupported { Code::Unsupported.number() } else { ack.code() };
        let refusal = refusal(code, number_is_temporary(code), 0, ack.text());
        self.outbox.refused(now.monotonic, client_op_id, refusal, &mut self.random, &mut self.output);
    }

    fn snapshot(&mut self, snapshot: wire::Snapshot<'_>) {
        let position = Position {
            user_epoch: UserEpoch(snapshot.user_epoch()),
            user_seq: UserSeq(snapshot.user_seq()),
            ..self.log
        };
        let conversations = snapshot.conversations().into_iter().flatten().map(summary).collect();
        let snapshot = Snapshot { position, conversations, has_more: snapshot.has_more() };
        if let Some(stream) = &mut self.stream {
            stream.snapshot(snapshot, &mut self.output);
        }
    }

    fn pong(&mut self, now: Now, pong: wire::Pong<'_>) {
        self.server_clock.hear(now, WallTime(pong.server_time_ms()));
        if let (Phase::Live(heartbeat), Some(stream)) = (self.connection.phase(), &mut self.stream)
            && let Some(settled_at) = heartbeat.settled_at
        {
            stream.cure_lost_tail(now.monotonic, settled_at, UserSeq(pong.user_head()), &mut self.output);
        }
    }

    fn resend(&mut self, now: Now) {
        if let Some(stream) = &mut self.stream {
            stream.resend(now.monotonic, &mut self.output);
        }
        self.outbox.forget_flights();
        self.channels.ask_again(&mut self.questions, &mut self.output);
        self.questions.resend(now.monotonic, &mut self.output);
    }

    fn go_away(&mut self, now: Now, go_away: wire::GoAway<'_>) {
        let reason = Reason { code: go_away.code(), text: text(go_away.text()) };
        let window_ms = (go_away.retry_after_min_ms(), go_away.retry_after_max_ms());
        self.forget_connection();
        self.connection.told_to_go(now.monotonic, reason, window_ms, &mut self.random, &mut self.output);
    }

    fn error(&mut self, now: Now, error: wire::Error<'_>) {
        let request_id = RequestId(error.request_id());
        if self.stream.as_mut().is_some_and(|stream| stream.sync_refused(request_id)) {
            return;
        }
        let refusal = refusal(error.code(), error.temporary(), error.retry_after_ms(), error.text());
        let Self { outbox, questions, channels, random, output, .. } = self;
        if !refusal.is_temporary && channels.refused(request_id, questions) {
            return;
        }
        match error.client_msg_id() {
            Some(id) => outbox.refused(now.monotonic, id.into(), refusal, random, output),
            None => questions.refused(now.monotonic, request_id, refusal, random, output),
        }
    }
}

fn events<'a>(events: Option<Vector<'a, ForwardsUOffset<wire::Event<'a>>>>) -> Result<Vec<Event>, FrameError> {
    events.into_iter().flatten().map(Event::decode).collect()
}

fn refusal(code: u16, is_temporary: bool, retry_after_ms: u32, its_text: Option<&str>) -> Refusal {
    Refusal { reason: Reason { code, text: text(its_text) }, is_temporary, retry_after_ms }
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_string()
}

fn summary(summary: wire::ConversationSummary<'_>) -> ConversationSummary {
    ConversationSummary {
        conversation: summary.conversation().into(),
        kind: summary.kind(),
        direct_peer: nonzero(summary.direct_peer()).map(UserId),
        title: text(summary.title()),
        head: Seq(summary.head_seq()),
        head_ordinal: Ordinal(summary.head_ordinal()),
        read: Seq(summary.read_seq()),
        read_ordinal: Ordinal(summary.read_ordinal()),
    }
}

fn device(device: wire::Device<'_>) -> Device {
    Device {
        id: DeviceId(device.id()),
        generation: DeviceGeneration(device.generation()),
        is_revoked: device.revoked(),
        name: text(device.name()),
        registered_at: nonzero(device.registered_at_ms()).map(WallTime),
        last_seen: nonzero(device.last_seen_ms()).map(WallTime),
        is_online: device.online(),
    }
}

fn members(page: wire::MembersPage<'_>) -> MembersPage {
    let member = |member: wire::Member<'_>| Member {
        user: UserId(member.user()),
        role: member.role(),
        join: Seq(member.join_seq()),
    };
    MembersPage {
        conversation: page.conversation().into(),
        kind: page.kind(),
        title: text(page.title()),
        head: Seq(page.head_seq()),
        members: page.members().into_iter().flatten().map(member).collect(),
    }
}
