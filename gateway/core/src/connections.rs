//! All connections of a shard, and what follows when one of them changes.
//!
//! Knows sessions, devices and send queues; what the router is owed is only noted here and told by
//! [`crate::router_link`]. Invariants: a connection is closed at most once; nothing is wanted of the driver for a
//! connection after its close; a live session with a device is in `sessions`, and it is the newest of that device; a
//! session that the router knows gets a farewell when it goes.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, UserSeq};
use protocol::link::{ConnectionKey, Fanout, RouterHello, SessionOpened};
use protocol::peek;
use protocol::server::{Hello, Phase, ServerSession, Welcome};
use protocol::time::Now;
use protocol::trace::{Stage, TraceNotes, TraceStep};

use crate::ack_times::AckTimes;
use crate::audience::{Audience, Share};
use crate::config::ShardConfig;
use crate::connection::{Connection, ConnectionId, Registration};
use crate::counters::ShardCounters;
use crate::handshakes::Handshakes;
use crate::moved::MovedConnection;
use crate::output::{Action, FrameRef, Output};
use crate::session_index::SessionIndex;
use crate::shard::{AuthRefusal, CloseCause, Identity, Peer, Refusal};
use crate::slab::Slab;
use crate::ticket::{self, TicketKeys};

pub(crate) struct Connections {
    pub(crate) config: ShardConfig,
    pub(crate) slab: Slab<Connection>,
    pub(crate) handshakes: Handshakes,
    sessions: SessionIndex,
    /// Sessions that the router is to forget.
    pub(crate) farewells: Vec<ConnectionKey>,
    /// Sessions that the router has been asked to open and has not answered.
    pub(crate) opens_in_flight: u32,
    pub(crate) output: Output,
    pub(crate) counters: ShardCounters,
    pub(crate) ack_times: AckTimes,
    pub(crate) audience: Audience,
    pub(crate) notes: TraceNotes,
    /// Of all connections together.
    pub(crate) send_queue_bytes: u64,
    pub(crate) ticket_keys: Option<TicketKeys>,
    is_draining: bool,
}

impl Connections {
    pub(crate) fn new(config: ShardConfig) -> Connections {
        config.assert_in_range();
        let notes = TraceNotes::new(&config.trace);
        let handshakes = Handshakes::new(config.handshakes_max as usize, config.handshakes_per_address_max as usize);
        Connections {
            config,
            slab: Slab::default(),
            handshakes,
            sessions: SessionIndex::default(),
            farewells: Vec::new(),
            opens_in_flight: 0,
            output: Output::default(),
            counters: ShardCounters::default(),
            ack_times: AckTimes::default(),
            audience: Audience::default(),
            notes,
            send_queue_bytes: 0,
            ticket_keys: None,
            is_draining: false,
        }
    }

    /// Nobody goes for it: who is there already counts, and newcomers meet the new limits.
    pub(crate) fn set_limits(&mut self, config: ShardConfig) {
        self.config = self.config.with_limits_of(config);
        self.config.assert_in_range();
        let (max, per_address_max) = (self.config.handshakes_max, self.config.handshakes_per_address_max);
        self.handshakes.set_limits(max as usize, per_address_max as usize);
    }

    pub(crate) fn open(&mut self, now: Now, peer: Peer) -> Result<ConnectionId, Refusal> {
        let refusal = if self.is_draining {
            Some(Refusal::Draining)
        } else {
            (self.slab.count() >= self.config.connections_max).then_some(Refusal::Full)
        };
        if let Some(refusal) = refusal {
            self.counters.connections_refused += 1;
            return Err(refusal);
        }
        let id = self.slab.insert(Connection::new(now.monotonic));
        let deadline = now.monotonic + self.config.handshake_timeout;
        if let Some(evicted) = self.handshakes.admit(id, peer.address, deadline) {
            self.close(evicted, Code::Overloaded);
        }
        self.counters.connections_opened += 1;
        Ok(id)
    }

    /// The driver's name for a connection is good until it has reported the end of it.
    pub(crate) fn of_driver(&mut self, id: ConnectionId) -> &mut Connection {
        self.slab.get_mut(id).expect("the driver names connections whose end it has not reported")
    }

    /// Whom a resume ticket speaks for. `None`: it is of no use for this Hello, and the access token has to do.
    pub(crate) fn open_ticket(&self, now: Now, resume_ticket: &[u8], hello: &Hello) -> Option<Identity> {
        self.ticket_keys.as_ref()?.open(resume_ticket)?.check(hello, now.wall).ok()
    }

    /// Its Hello has come; nothing more is read before the Welcome.
    pub(crate) fn keep_hello(&mut self, id: ConnectionId, hello: Hello) {
        self.of_driver(id).is_held = true;
        let handshake = self.handshakes.get_mut(id).expect("its Hello has just come");
        handshake.hello = Some(Box::new(hello));
    }

    pub(crate) fn authenticate(&mut self, id: ConnectionId, access_token: &str) {
        self.output.push(Action::Authenticate { connection: id, access_token: String::from(access_token) });
    }

    /// Who it is, where that is known now. Otherwise it is closed.
    pub(crate) fn authenticated(
        &mut self,
        now: Now,
        id: ConnectionId,
        result: Result<Identity, AuthRefusal>,
    ) -> Option<Identity> {
        // It may have been closed, or be gone, since the token was handed out.
        self.slab.get(id).filter(|it| it.session.phase() == Phase::Authenticating)?;
        let handshake = self.handshakes.get(id).expect("it has no Welcome yet");
        let hello = handshake.hello.as_ref().expect("its Hello has come");
        let accepted = result.map_err(AuthRefusal::code).and_then(|identity| identity.check(hello, now.wall));
        accepted.inspect_err(|code| self.close(id, *code)).ok()
    }

    /// It is who it says. The router is to be asked next.
    pub(crate) fn accept(&mut self, id: ConnectionId, identity: Identity) {
        let connection = self.of_driver(id);
        connection.user = identity.user;
        connection.token_expires_at = identity.expires_at;
        connection.session.handle_authenticated();
        self.handshakes.is_no_stranger(id);
    }

    /// It is who it says, and at home in that shard.
    pub(crate) fn send_home(&mut self, id: ConnectionId, identity: Identity, shard: u16) {
        let connection = self.of_driver(id);
        connection.user = identity.user;
        connection.token_expires_at = identity.expires_at;
        self.handshakes.is_no_stranger(id);
        self.output.push(Action::MoveTo { connection: id, shard });
    }

    /// It goes, and is no more than a slot until the driver has reported the end. `None`: it was closed meanwhile.
    pub(crate) fn leave(&mut self, now: Now, id: ConnectionId) -> Option<MovedConnection> {
        let connection = self.slab.get_mut(id).filter(|it| !it.is_closed())?;
        let mut closed = ServerSession::new(now.monotonic);
        closed.close();
        let session = mem::replace(&mut connection.session, closed);
        let (user, token_expires_at) = (connection.user, connection.token_expires_at);
        let handshake = self.handshakes.remove(id).expect("it has no Welcome yet");
        let hello = handshake.hello.expect("its Hello has come");
        Some(MovedConnection { session, hello, user, token_expires_at })
    }

    /// It comes from another shard. Where there is no room for it, it is closed with the code that says so.
    pub(crate) fn arrive(&mut self, now: Now, moved: MovedConnection) -> ConnectionId {
        let MovedConnection { mut session, hello, user, token_expires_at } = moved;
        session.handle_authenticated();
        let is_full = self.slab.count() >= self.config.connections_max;
        let is_held = true;
        let newcomer = Connection::new(now.monotonic);
        let id = self.slab.insert(Connection { session, user, token_expires_at, is_held, ..newcomer });
        // The same time as everybody's here: those that came first are due first.
        self.handshakes.admit_known(id, hello, now.monotonic + self.config.handshake_timeout);
        self.counters.connections_moved_in += 1;
        if self.is_draining {
            self.close(id, Code::GoingAway);
        } else if is_full {
            self.close(id, Code::Overloaded);
        }
        id
    }

    /// The router serves a session: for the first time, or again after a link break.
    pub(crate) fn opened(&mut self, now: Now, router: &RouterHello, opened: &SessionOpened<'_>) {
        let id = opened.connection.into();
        let Some(connection) = self.slab.get_mut(id).filter(|it| it.registration == Registration::Sent) else {
            self.counters.deliveries_late += 1;
            return;
        };
        connection.registration = Registration::Opened;
        connection.user_epoch = opened.user_epoch;
        connection.user_head = opened.user_head;
        let is_live = connection.is_live();
        if is_live && !opened.resumed {
            connection.user_seq_written = UserSeq(0);
        }
        self.opens_in_flight -= 1;
        if is_live {
            self.counters.sessions_reopened += 1;
            self.send(id, |builder| builder.resend());
        } else {
            self.welcome(now, id, router, opened);
        }
        self.release(id);
    }

    fn welcome(&mut self, now: Now, id: ConnectionId, router: &RouterHello, opened: &SessionOpened<'_>) {
        let connection = self.slab.get_mut(id).expect("it has just been opened");
        let handshake = self.handshakes.remove(id).expect("it has no Welcome yet");
        let hello = handshake.hello.expect("its Hello has come");
        connection.device = opened.device;
        connection.session_id = opened.session;
        connection.device_generation = opened.device_generation;
        connection.user_seq_written = if opened.resumed { hello.user_cursor } else { UserSeq(0) };
        connection.session.handle_opened();
        let is_device = opened.device != DeviceId(0);
        let expires_at = ticket::expiry(now.wall, self.config.ticket_lifetime, connection.token_expires_at);
        let device = (opened.device, opened.device_generation);
        let keys = self.ticket_keys.as_ref().filter(|_| is_device);
        let resume_ticket = keys.map(|keys| keys.seal(connection.user, device, expires_at));
        let welcome = Welcome {
            version: connection.session.version(),
            session: opened.session,
            user: connection.user,
            user_handle: opened.handle,
            device: opened.device,
            device_generation: opened.device_generation,
            heartbeat_interval_ms: self.config.heartbeat_interval.as_millis().try_into().unwrap_or(u32::MAX),
            resumed: opened.resumed,
            store_incarnation: router.store_incarnation,
            user_epoch: opened.user_epoch,
            user_head: opened.user_head,
            resume_ticket: resume_ticket.as_ref().map(|ticket| &ticket[..]),
            server_time: now.wall,
            durability: router.durability,
        };
        let replaced = is_device.then(|| self.sessions.insert(id, &self.slab)).flatten();
        self.counters.sessions_opened += 1;
        self.send(id, |builder| builder.welcome(&welcome));
        if let Some(replaced) = replaced {
            self.close(replaced, Code::Replaced);
        }
    }

    /// The router does not serve a session, or no longer.
    pub(crate) fn refused(&mut self, id: ConnectionId, code: Code) {
        let Some(connection) = self.slab.get_mut(id).filter(|it| it.registration != Registration::None) else {
            self.counters.deliveries_late += 1;
            return;
        };
        if connection.registration == Registration::Sent {
            self.opens_in_flight -= 1;
        }
        connection.registration = Registration::None;
        self.close(id, code);
    }

    /// A frame of the router for one connection. It is read where it is in its batch, which is kept.
    pub(crate) fn deliver(&mut self, now: Now, id: ConnectionId, user_seq_last: UserSeq, batch: &[u8], frame: &[u8]) {
        if self.note_user_seq(id, user_seq_last) {
            if let Some((client_id, code)) = peek::answered(frame) {
                self.note_answer(now, id, client_id, code);
            }
            peek::told(frame).for_each(|client_id| self.trace(now, id, client_id, Stage::Pushed, 0));
            let frame = self.output.refer(batch, frame);
            self.queue(id, frame);
        }
    }

    /// One frame of the router for several connections, likewise.
    pub(crate) fn fan_out(&mut self, now: Now, batch: &[u8], fanout: &Fanout<'_>) {
        self.counters.fanouts += 1;
        let client_id = peek::told(fanout.frame).next();
        let frame = self.output.refer(batch, fanout.frame);
        for (key, user_seq) in fanout.targets.iter() {
            if self.note_user_seq(key.into(), user_seq) {
                client_id.iter().for_each(|id| self.trace(now, key.into(), *id, Stage::Pushed, 0));
                self.queue(key.into(), frame.with_user_seq(fanout.user_seq_offset, user_seq));
            }
        }
    }

    /// Entries of a channel, for some that follow it. Past half of its send queue one misses the rest.
    pub(crate) fn publish(&mut self, share: &Share) {
        let frames: Vec<FrameRef> = share.entries.iter().map(|frame| self.output.copy(frame)).collect();
        for id in &share.followers {
            frames.iter().for_each(|frame| self.publish_to(*id, share.conversation, *frame));
        }
    }

    fn publish_to(&mut self, id: ConnectionId, conversation: ConversationId, frame: FrameRef) {
        let is_served = |it: &&Connection| it.is_live() && it.registration == Registration::Opened;
        let Some(connection) = self.slab.get(id).filter(is_served) else { return };
        if connection.send_queue_bytes + frame.queue_bytes() <= self.config.send_queue_bytes_max / 2 {
            self.counters.channel_deliveries += 1;
            self.give(id, frame);
        } else {
            self.counters.channel_misses += 1;
            self.audience.note_missed(id, conversation);
        }
    }

    /// Its socket has taken everything: it is told of what it has missed.
    pub(crate) fn tell_missed(&mut self, id: ConnectionId) {
        for (conversation, head) in self.audience.take_missed(id) {
            self.send(id, |builder| builder.channel_push(conversation, head, None));
        }
    }

    /// An answer to a request of this connection leaves.
    pub(crate) fn note_answer(&mut self, now: Now, id: ConnectionId, client_id: ClientMsgId, code: u16) {
        if let Some(since) = self.ack_times.answered(client_id) {
            self.counters.ack_seconds.observe(now.monotonic.since(since));
        }
        self.trace(now, id, client_id, if code == 0 { Stage::Acked } else { Stage::Refused }, code);
    }

    /// A step of a message to or from this connection.
    pub(crate) fn trace(&mut self, now: Now, id: ConnectionId, client_id: ClientMsgId, stage: Stage, code: u16) {
        if let Some(Connection { user, device, .. }) = self.slab.get(id) {
            let (user, device) = (*user, *device);
            self.notes.note(TraceStep { id: client_id, at: now.monotonic, user, device, code, stage });
        }
    }

    /// False when the connection is not there for it any more.
    fn note_user_seq(&mut self, id: ConnectionId, user_seq_last: UserSeq) -> bool {
        let is_served = |it: &&mut Connection| it.is_live() && it.registration == Registration::Opened;
        let Some(connection) = self.slab.get_mut(id).filter(is_served) else {
            self.counters.deliveries_late += 1;
            return false;
        };
        connection.user_seq_written = connection.user_seq_written.max(user_seq_last);
        connection.user_head = connection.user_head.max(user_seq_last);
        true
    }

    /// Sends a frame of the shard's own.
    pub(crate) fn send(&mut self, id: ConnectionId, build: impl FnOnce(&mut FrameBuilder) -> &[u8]) {
        let frame = self.output.build(build);
        self.queue(id, frame);
    }

    fn queue(&mut self, id: ConnectionId, frame: FrameRef) {
        let connection = self.slab.get_mut(id).expect("who sends has just looked");
        let queue_bytes = connection.send_queue_bytes + frame.queue_bytes();
        if queue_bytes > self.config.send_queue_bytes_max {
            self.close(id, Code::SlowReader);
            return;
        }
        self.give(id, frame);
    }

    fn give(&mut self, id: ConnectionId, frame: FrameRef) {
        let connection = self.slab.get_mut(id).expect("who sends has just looked");
        connection.send_queue_bytes += frame.queue_bytes();
        self.counters.frames_sent.increment(frame.number);
        self.counters.sent_bytes += u64::from(frame.queue_bytes());
        self.send_queue_bytes += u64::from(frame.queue_bytes());
        self.output.push(Action::Send { connection: id, frame });
    }

    /// A frame that was left with the driver comes at once, so the silence of a connection that was held ends with this.
    pub(crate) fn release(&mut self, id: ConnectionId) {
        let Some(connection) = self.slab.get_mut(id).filter(|it| it.is_held && !it.is_closed()) else { return };
        connection.is_held = false;
        self.output.push(Action::Release { connection: id });
    }

    /// Says why and closes. Does nothing for a connection that is closed.
    pub(crate) fn close(&mut self, id: ConnectionId, code: Code) {
        let reconnect_window = if code.is_temporary() { self.config.reconnect_window } else { Duration::ZERO };
        self.close_within(id, code, reconnect_window);
    }

    fn close_within(&mut self, id: ConnectionId, code: Code, reconnect_window: Duration) {
        assert!(code.is_close(), "{code:?} refuses a frame, it does not end a connection");
        if self.slab.get(id).is_none_or(Connection::is_closed) {
            return;
        }
        self.depart(id);
        let reconnect_window_ms = reconnect_window.as_millis().try_into().unwrap_or(u32::MAX);
        // Past the bound of the send queue on purpose: it is the last one, and it says why.
        let frame = self.output.build(|builder| builder.go_away(code, 0, reconnect_window_ms));
        self.give(id, frame);
        self.output.push(Action::Close { connection: id, code });
        self.counters.closes.increment(code);
    }

    /// Nobody is served any more. Clients come back somewhere else, spread over the window.
    pub(crate) fn drain(&mut self, reconnect_window: Duration) {
        self.is_draining = true;
        self.close_where(|_| true, Code::GoingAway, reconnect_window);
    }

    /// Closes every live session.
    pub(crate) fn close_live(&mut self, code: Code) {
        self.close_where(Connection::is_live, code, self.config.reconnect_window);
    }

    fn close_where(&mut self, is_meant: impl Fn(&Connection) -> bool, code: Code, reconnect_window: Duration) {
        for index in 0..self.slab.slots_count() {
            if let Some((id, _)) = self.slab.at(index).filter(|(_, connection)| is_meant(connection)) {
                self.close_within(id, code, reconnect_window);
            }
        }
    }

    /// The driver has reported the end.
    pub(crate) fn remove(&mut self, id: ConnectionId, cause: CloseCause) {
        if !self.of_driver(id).is_closed() {
            self.depart(id);
        }
        let connection = self.slab.remove(id).expect("it was there a line ago");
        self.send_queue_bytes -= u64::from(connection.send_queue_bytes);
        let counters = &mut self.counters;
        counters.connections_ended += u64::from(cause != CloseCause::Moved);
        match cause {
            CloseCause::ByShard => {}
            CloseCause::ByPeer => counters.ended_by_peer += 1,
            CloseCause::Lost => counters.ended_lost += 1,
            CloseCause::Transport => counters.ended_by_transport += 1,
            CloseCause::Moved => counters.connections_moved_out += 1,
        }
    }

    /// Takes a connection out of everything but its slot.
    fn depart(&mut self, id: ConnectionId) {
        self.audience.leave(id);
        let connection = self.slab.get_mut(id).expect("who departs is there");
        let is_live = connection.is_live();
        connection.session.close();
        match connection.registration {
            Registration::None => {}
            Registration::Sent => {
                self.opens_in_flight -= 1;
                self.farewells.push(id.into());
            }
            Registration::Opened => self.farewells.push(id.into()),
        }
        connection.registration = Registration::None;
        if !is_live {
            self.handshakes.remove(id);
        } else {
            self.sessions.remove(id, &self.slab);
        }
    }

    /// The link is gone, and the router knows nobody.
    pub(crate) fn forget_router(&mut self) {
        self.slab.values_mut().for_each(|connection| connection.registration = Registration::None);
        self.farewells.clear();
        self.audience.clear();
        self.opens_in_flight = 0;
    }

    /// Closes the handshakes whose time is over.
    pub(crate) fn expire_handshakes(&mut self, now: Now) {
        while let Some(first) = self.handshakes.first().filter(|first| first.deadline <= now.monotonic) {
            let id = first.connection;
            let code = match self.of_driver(id).session.phase() {
                Phase::AwaitHello => Code::HelloTimeout,
                Phase::Authenticating => Code::Overloaded,
                Phase::Opening => Code::RouterUnavailable,
                phase => panic!("a session that is {phase:?} has left the handshakes"),
            };
            self.close(id, code);
        }
    }
}
