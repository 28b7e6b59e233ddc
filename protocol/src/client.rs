//! The client's end of a session: it connects, stays connected, sends what is to be sent until it is answered, and hands
//! on what happens, each event once and in order.
//!
//! It opens no socket, reads no clock, writes no file: a shell does as its [`Action`]s say. After every batch of
//! `handle_*` calls and commands, [`ClientSession::poll_action`] is called until it has nothing more, and
//! [`ClientSession::handle_timeout`] when [`ClientSession::poll_timeout`] says so.
//!
//! Invariants: nothing is sent under a new id before it is on disk under that id; the cursor on disk, and the one the
//! server is told, cover only what the application has called done; an entry leaves the outbox on disk only when the
//! application has called its answer done. So a client that dies at any moment and begins again with its state loses
//! nothing and sends nothing twice under two ids; what it told its application it may tell again.
//!
//! An entry of a conversation that the user's log holds twice is marked as a repeat. What an application has from a
//! history it may get from the stream too: it knows the two by conversation and seq.

mod action;
mod backoff;
mod channels;
mod connection;
mod marks;
mod outbox;
mod outgoing;
mod output;
mod questions;
mod random;
mod receive;
mod request;
mod server_clock;
mod state;
mod stream;

pub use action::{
    Acked, Action, Answer, ChangeNumber, ClientEvent, CommandError, ConnectionState, ConversationSummary, Device,
    EventNumber, HistoryPage, HistoryRange, Me, Member, MembersPage, Reason, RequestId, Snapshot, User,
};
pub use backoff::{BACKOFF_FIRST, BACKOFF_MAX, RETRY_WINDOW_MAX};
pub use connection::{HEARTBEAT_INTERVAL_MAX, HEARTBEAT_INTERVAL_MIN};
pub use outbox::{
    ANSWER_TIMEOUT, ANSWER_TIMEOUT_MAX, IN_FLIGHT_MAX, OUTBOX_BYTES_MAX, OUTBOX_ENTRIES_MAX, REFUSAL_WAIT_MAX,
    REFUSAL_WAIT_MIN,
};
pub use outgoing::{Draft, Outgoing};
pub use questions::QUESTIONS_MAX;
pub use request::MemberDraft;
pub use state::{Change, ClientState, MARKS_MAX, Mark, Position, ResumeTicket};
pub use stream::{CURSOR_DELAY, UNAPPLIED_EVENTS_MAX};

use alloc::string::String;
use core::time::Duration;

use crate::codes::Code;
use crate::encode::FrameBuilder;
use crate::frame::{self, FrameError};
use crate::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserId};
use crate::limits::{
    CHANNELS_FOLLOWED_MAX, DEVICE_NAME_SIZE_MAX, GROUP_MEMBERS_MAX, HANDLE_SIZE_MAX, HISTORY_LIMIT_MAX, TITLE_SIZE_MAX,
    USER_LOOKUP_MAX,
};
use crate::server::Hello;
use crate::time::{Instant, Now};
use channels::Channels;
use connection::{Connection, Phase};
use outbox::Outbox;
use output::Output;
use questions::Questions;
use random::Random;
use server_clock::ServerClock;
use stream::Stream;
use wire::ConversationKind;

/// How often it is looked whether something has become too old to be sent.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(3600);

/// See the file's head.
pub struct ClientSession {
    hello: Hello,
    /// Until the next Welcome: a device that was revoked asks for a new generation.
    links_anew: bool,
    resume_ticket: Option<ResumeTicket>,
    connection: Connection,
    /// The log of the connection, at its beginning.
    log: Position,
    server_clock: ServerClock,
    outbox: Outbox,
    /// `None` for a transient session.
    stream: Option<Stream>,
    questions: Questions,
    channels: Channels,
    expiry_check_at: Instant,
    is_closing: bool,
    random: Random,
    output: Output,
}

impl ClientSession {
    /// A session of the device whose state this is, with the messages that are still in its outbox. `device_name` is for
    /// people, at most 64 bytes. `seed` comes from a source of randomness that differs from session to session.
    pub fn new(mut state: ClientState, device_name: &str, seed: u64) -> ClientSession {
        assert!(device_name.len() <= DEVICE_NAME_SIZE_MAX, "a device name has at most {DEVICE_NAME_SIZE_MAX} bytes");
        let hello = Hello {
            is_transient: false,
            device: state.device,
            device_generation: state.device_generation,
            install_id: Some(state.install_id),
            device_name: device_name.into(),
            store_incarnation: state.position.store_incarnation,
            user_epoch: state.position.user_epoch,
            user_cursor: state.position.user_seq,
        };
        let (stream, outbox) = (Stream::load(&mut state), Outbox::load(&mut state));
        let resume_ticket = state.resume_ticket;
        ClientSession { resume_ticket, ..ClientSession::begin(hello, outbox, Some(stream), seed) }
    }

    /// A session without a device: it sends and asks, and is told of no events. It keeps nothing on disk.
    pub fn transient(seed: u64) -> ClientSession {
        let hello = Hello {
            is_transient: true,
            device: DeviceId(0),
            device_generation: DeviceGeneration(0),
            install_id: None,
            device_name: "".into(),
            store_incarnation: Default::default(),
            user_epoch: Default::default(),
            user_cursor: Default::default(),
        };
        ClientSession::begin(hello, Outbox::load(&mut ClientState::new(ClientMsgId([0; 16]))), None, seed)
    }

    /// Links the device anew where it was revoked. Before the first connection, and only when the user has asked for it:
    /// a device that did it by itself could not be revoked.
    pub fn link_anew(&mut self) {
        self.links_anew = true;
    }

    fn begin(hello: Hello, mut outbox: Outbox, stream: Option<Stream>, seed: u64) -> ClientSession {
        let mut output = Output::new(hello.is_transient);
        outbox.announce(&mut output);
        ClientSession {
            hello,
            links_anew: false,
            resume_ticket: None,
            connection: Connection::new(),
            log: Position::default(),
            server_clock: ServerClock::default(),
            outbox,
            stream,
            questions: Questions::default(),
            channels: Channels::default(),
            expiry_check_at: Instant::default(),
            is_closing: false,
            random: Random::new(seed),
            output,
        }
    }

    // ---- what happened ----

    /// The connection that [`Action::Connect`] asked for is there, TLS and all. `access_token` may be another one each
    /// time.
    pub fn handle_connected(&mut self, now: Now, access_token: &str) {
        let claimed = self.stream.as_ref().map(Stream::stored).unwrap_or_default();
        if !self.connection.greet(claimed) {
            return;
        }
        let hello = Hello {
            install_id: self.hello.install_id.filter(|_| self.links_anew || self.hello.device == DeviceId(0)),
            store_incarnation: claimed.store_incarnation,
            user_epoch: claimed.user_epoch,
            user_cursor: claimed.user_seq,
            ..self.hello.clone()
        };
        // It was given to the device as it was, and cannot make another one of it.
        let ticket = self.resume_ticket.as_ref().filter(|_| hello.install_id.is_none());
        let ticket = ticket.map(|ticket| &*ticket.0);
        self.output.transmit(|builder| builder.hello(&hello, access_token, ticket));
        self.finish(now);
    }

    /// A whole frame of the connection, without its length prefix. An error: it is no frame of a server; the connection
    /// has been given up for it.
    pub fn handle_frame(&mut self, now: Now, bytes: &[u8]) -> Result<(), FrameError> {
        let result = frame::server_frame(bytes).and_then(|frame| match self.connection.phase() {
            Phase::Greeting { claimed, .. } => self.receive_greeting(now, frame, claimed),
            Phase::Live(_) => {
                self.connection.heard(now.monotonic);
                self.receive(now, frame)
            }
            Phase::Waiting { .. } | Phase::Connecting { .. } | Phase::Closed => Ok(()),
        });
        if result.is_err() && self.connection.is_there() {
            self.give_up(now, Code::FrameInvalid);
        }
        self.finish(now);
        result
    }

    /// The connection is lost, or was never made. Not after [`Action::Disconnect`].
    pub fn handle_disconnected(&mut self, now: Now) {
        if self.connection.is_there() {
            self.forget_connection();
            self.connection.lost(now.monotonic, &mut self.random, &mut self.output);
        }
        self.finish(now);
    }

    /// All changes up to this one are on disk.
    pub fn handle_persisted(&mut self, now: Now, up_to: ChangeNumber) {
        self.output.handle_persisted(up_to);
        self.outbox.announce(&mut self.output);
        if let Some(stream) = &mut self.stream {
            stream.handle_persisted(&mut self.output);
        }
        self.finish(now);
    }

    /// The application is done with this event: it is shown, or stored, and need not be told again. In any order; those
    /// of the stream count once all before them are done. Events that nothing depends on need not be called done.
    pub fn handle_applied(&mut self, now: Now, number: EventNumber) {
        let is_of_stream =
            self.stream.as_mut().is_some_and(|stream| stream.applied(now.monotonic, number, &mut self.output));
        let asks_at = self.connection.is_live().then_some(now.monotonic);
        let Self { channels, questions, outbox, output, .. } = self;
        if !is_of_stream && !channels.applied(asks_at, number, questions, output) {
            outbox.applied(number, output);
        }
        self.finish(now);
    }

    /// It is as late as [`ClientSession::poll_timeout`] said, or later. Report first what has arrived.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.connection.phase() {
            Phase::Waiting { until } if until <= now.monotonic && !self.is_closing => {
                self.connection.connect(now.monotonic, &mut self.output);
            }
            Phase::Connecting { deadline } | Phase::Greeting { deadline, .. } if deadline <= now.monotonic => {
                self.give_up(now, Code::HelloTimeout);
            }
            Phase::Live(heartbeat) if heartbeat.dead_at() <= now.monotonic => {
                self.give_up(now, Code::HeartbeatMissed);
            }
            _ => {}
        }
        let settled_at = self.stream.as_ref().and_then(Stream::is_settled_at);
        self.connection.ping_if_due(now.monotonic, settled_at, &mut self.output);
        if let Some(stream) = &mut self.stream {
            stream.handle_timeout(now.monotonic, &mut self.output);
        }
        if self.expiry_check_at <= now.monotonic {
            self.fail_expired(now);
        }
        self.questions.pump(now.monotonic, &mut self.output);
        self.finish(now);
    }

    // ---- what is wanted ----

    /// Puts a message in the outbox and says under which id. It is sent when it is on disk and there is a connection,
    /// and then until it is answered. While it was never sent the id may change: see [`ClientEvent::Queued`].
    pub fn send_message(&mut self, now: Now, draft: &Draft) -> Result<ClientMsgId, CommandError> {
        draft.check()?;
        self.put(now, draft.client_msg_id, |id, builder| builder.message_send(id, 0, draft))
    }

    /// Creates a group or a channel of these users and oneself. Answered by [`ClientEvent::OpDone`] or `Failed` under this id.
    pub fn conversation_create(
        &mut self,
        now: Now,
        kind: ConversationKind,
        title: &str,
        members: &[UserId],
    ) -> Result<ClientMsgId, CommandError> {
        fits(title.len() <= TITLE_SIZE_MAX && members.len() <= GROUP_MEMBERS_MAX)?;
        self.put(now, None, |id, builder| builder.conversation_create(id, kind, title, members))
    }

    /// Adds, removes, leaves, gives roles. Answered as [`ClientSession::conversation_create`] is.
    pub fn member_change(&mut self, now: Now, draft: &MemberDraft) -> Result<ClientMsgId, CommandError> {
        fits(draft.users.len() <= GROUP_MEMBERS_MAX)?;
        self.put(now, None, |id, builder| builder.member_change(id, draft))
    }

    /// A device of one's own, this one too, is not to be served any more, under this generation or an earlier one.
    /// Answered as [`ClientSession::conversation_create`] is.
    pub fn device_revoke(
        &mut self,
        now: Now,
        device: DeviceId,
        generation: DeviceGeneration,
    ) -> Result<ClientMsgId, CommandError> {
        self.put(now, None, |id, builder| builder.device_revoke(id, device, generation))
    }

    /// The conversation has been opened up to here. Told to the server until it confirms it, also after a restart.
    pub fn mark_read(&mut self, now: Now, conversation: ConversationId, up_to: Seq) -> Result<(), CommandError> {
        self.check_open()?;
        let stream = self.stream.as_mut().ok_or(CommandError::NotForTransient)?;
        stream.read(now.monotonic, conversation, up_to);
        Ok(())
    }

    /// Somebody has begun, or stopped, to type here. Goes out now or never.
    pub fn typing(&mut self, conversation: ConversationId, active: bool) {
        if self.connection.is_live() {
            self.output.transmit(|builder| builder.typing(conversation, active));
        }
    }

    /// Asks for entries of a conversation, at most `limit` of them, from 1 to 200. Like every question it is asked again
    /// until it is answered, and forgotten when the session ends.
    pub fn history(
        &mut self,
        now: Now,
        conversation: ConversationId,
        range: HistoryRange,
        limit: u16,
    ) -> Result<RequestId, CommandError> {
        fits((1..=HISTORY_LIMIT_MAX).contains(&limit))?;
        self.ask(now, |request_id, builder| builder.history_get(request_id, conversation, range, limit))
    }

    /// Follows these channels, at most 200, in place of those before, each from behind the entry that is named: what comes
    /// is a [`ClientEvent::Channel`]. Goes on over breaks of the connection. Where one of them is not there, or is none,
    /// this question is refused, and the others are followed all the same.
    pub fn follow(&mut self, now: Now, channels: &[(ConversationId, Seq)]) -> Result<RequestId, CommandError> {
        fits(channels.len() <= CHANNELS_FOLLOWED_MAX)?;
        self.check_open()?;
        self.questions.check_room()?;
        let now = self.connection.is_live().then_some(now.monotonic);
        Ok(self.channels.follow(now, channels, &mut self.questions, &mut self.output))
    }

    /// Asks who is in a conversation.
    pub fn members(&mut self, now: Now, conversation: ConversationId) -> Result<RequestId, CommandError> {
        self.ask(now, |request_id, builder| builder.members_get(request_id, conversation))
    }

    /// Asks for the ids of these names and the names of these ids, at most 64 together.
    pub fn user_lookup(&mut self, now: Now, handles: &[String], ids: &[UserId]) -> Result<RequestId, CommandError> {
        fits(handles.len() + ids.len() <= USER_LOOKUP_MAX)?;
        fits(handles.iter().all(|handle| handle.len() <= HANDLE_SIZE_MAX))?;
        self.ask(now, |request_id, builder| builder.user_lookup(request_id, handles, ids))
    }

    /// Asks which devices one has.
    pub fn devices(&mut self, now: Now) -> Result<RequestId, CommandError> {
        self.ask(now, |request_id, builder| builder.devices_get(request_id))
    }

    /// Ends the session once what was called done is on disk and the server is told. What is in the outbox stays there.
    pub fn close(&mut self, now: Now) {
        if self.is_closing || self.connection.phase() == Phase::Closed {
            return;
        }
        self.is_closing = true;
        self.finish(now);
    }

    // ---- what to do next ----

    /// The next thing to do; `None` until something happens again.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.output.pop()
    }

    /// When [`ClientSession::handle_timeout`] is due. `None` once closed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connection = self.connection.next_timeout()?;
        let is_live = self.connection.is_live();
        [
            Some(connection).filter(|_| !self.is_closing || self.connection.is_there()),
            self.stream.as_ref().and_then(Stream::next_timeout),
            self.outbox.next_timeout(&self.output).filter(|_| is_live),
            self.questions.next_timeout().filter(|_| is_live),
            Some(self.expiry_check_at).filter(|_| self.server_clock.is_known() && self.outbox.has_unanswered()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    // ---- how things are ----

    /// Whether the server serves it now.
    pub fn is_online(&self) -> bool {
        self.connection.is_live()
    }

    /// Whether it does nothing any more.
    pub fn is_closed(&self) -> bool {
        self.connection.phase() == Phase::Closed
    }

    /// Messages and operations that are not answered, or whose answer is still with the application.
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    fn put(
        &mut self,
        now: Now,
        given_id: Option<ClientMsgId>,
        build: impl FnOnce(ClientMsgId, &mut FrameBuilder) -> &[u8],
    ) -> Result<ClientMsgId, CommandError> {
        self.check_open()?;
        let id = given_id.unwrap_or_else(|| self.server_clock.mint(now, self.outbox.floor(), &mut self.random));
        let mut outgoing = Outgoing::new(id, build(id, &mut self.output.builder));
        outgoing.is_given = given_id.is_some();
        self.outbox.check_room(given_id, outgoing.frame().len())?;
        self.outbox.put(outgoing, self.connection.is_live(), &mut self.output);
        self.finish(now);
        Ok(id)
    }

    fn ask(
        &mut self,
        now: Now,
        build: impl FnOnce(RequestId, &mut FrameBuilder) -> &[u8],
    ) -> Result<RequestId, CommandError> {
        self.check_open()?;
        self.questions.check_room()?;
        let request_id = self.output.request_id();
        let frame = build(request_id, &mut self.output.builder).to_vec();
        let now = self.connection.is_live().then_some(now.monotonic);
        self.questions.put(request_id, frame, now, &mut self.output);
        Ok(request_id)
    }

    fn check_open(&self) -> Result<(), CommandError> {
        if self.is_closing || self.is_closed() { Err(CommandError::Closed) } else { Ok(()) }
    }

    fn fail_expired(&mut self, now: Now) {
        self.expiry_check_at = now.monotonic + EXPIRY_CHECK_INTERVAL;
        if let Some(server_time) = self.server_clock.known(now) {
            self.outbox.fail_expired(server_time, &mut self.output);
        }
    }

    fn give_up(&mut self, now: Now, reason: Code) {
        self.forget_connection();
        self.connection.give_up(now.monotonic, reason, &mut self.random, &mut self.output);
    }

    fn forget_connection(&mut self) {
        self.outbox.forget_flights();
        self.questions.disconnected();
        if let Some(stream) = &mut self.stream {
            stream.disconnected();
        }
    }

    /// What everything ends with: sends what may go, and closes when that is all there was to wait for.
    fn finish(&mut self, now: Now) {
        if self.connection.is_live() {
            self.outbox.pump(now.monotonic, &mut self.output);
        }
        if !self.is_closing || self.is_closed() {
            return;
        }
        if let Some(stream) = &mut self.stream {
            stream.flush(&mut self.output);
        }
        let is_flushing = self.stream.as_ref().is_some_and(Stream::is_flushing);
        if !is_flushing && self.output.is_all_persisted() {
            self.connection.close(None, &mut self.output);
        }
    }
}

fn fits(does: bool) -> Result<(), CommandError> {
    if does { Ok(()) } else { Err(CommandError::TooLarge) }
}
