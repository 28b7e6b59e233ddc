//! The contract of a shard with its driver and its shell.
//!
//! `handle_*` says what happened, `poll_*` says what to do next. After every batch of `handle_*` calls the driver drains
//! [`Shard::poll_action`], takes [`Shard::poll_batch`] as long as its transport to the router has room, and sets its timer
//! to [`Shard::poll_timeout`].
//!
//! Not here: the handshake of TLS and the cutting of frames (the driver does both and reports broken rules with
//! [`Shard::handle_violation`]), access tokens (the shell checks them; resume tickets are checked here), and how a
//! connection gets to the home shard of its user: this one says when it has to go, between its Hello and its Welcome, and
//! that one goes on with it. A driver stops reading because of a [`Flow`], never because of an action.

use core::net::IpAddr;
use core::time::Duration;

use protocol::codes::Code;
use protocol::ids::{DeviceGeneration, DeviceId, UserId};
use protocol::link::{Batch, LinkError};
use protocol::peek;
use protocol::server::{Hello, Step};
use protocol::time::{Instant, Now, WallTime};
use protocol::trace::{Stage, TraceNotes};

use crate::config::ShardConfig;
use crate::connection::{Connection, ConnectionId};
use crate::connections::Connections;
use crate::counters::{ShardCounters, ShardGauges};
use crate::moved::MovedConnection;
use crate::output::{Action, FrameRef};
use crate::placement::home_shard;
use crate::router_link::RouterLink;
use crate::sweep::Sweep;
use crate::ticket::TicketKeys;

/// The other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from.
    pub address: IpAddr,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// [`ShardConfig::connections_max`] are open.
    Full,
    /// The shard is being drained.
    Draining,
}

/// Whether the driver goes on with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The frame was taken. The next one, please.
    Continue,
    /// The frame was taken. Keep what follows and stop reading until [`Action::Release`].
    Hold,
    /// The frame was not taken. Keep it and what follows and stop reading until [`Action::Release`], then bring it again.
    Retry,
}

/// Whom an access token, or a resume ticket, speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Realm included.
    pub user: UserId,
    /// Where the token is bound to one device: only that one, and only this generation of it.
    pub device: Option<(DeviceId, DeviceGeneration)>,
    /// From then on it is worth nothing, and the session is closed, at most [`crate::SWEEP_ROUND`] later.
    pub expires_at: WallTime,
}

impl Identity {
    pub(crate) fn check(self, hello: &Hello, now: WallTime) -> Result<Identity, Code> {
        if self.expires_at <= now {
            return Err(Code::TokenExpired);
        }
        // Nor may what was issued to one device make another one of it, or link it anew after a revoke.
        let is_bound_to_another = self
            .device
            .is_some_and(|bound| bound != (hello.device, hello.device_generation) || hello.install_id.is_some());
        if is_bound_to_another { Err(Code::TokenInvalid) } else { Ok(self) }
    }
}

/// Why an access token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthRefusal {
    /// Not ours, not for this place, or not yet.
    Invalid,
    /// Its time is over.
    Expired,
    /// There are too many to check.
    Busy,
}

impl AuthRefusal {
    /// With which the connection is closed.
    pub fn code(self) -> Code {
        match self {
            AuthRefusal::Invalid => Code::TokenInvalid,
            AuthRefusal::Expired => Code::TokenExpired,
            AuthRefusal::Busy => Code::Overloaded,
        }
    }
}

/// How a connection ended, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// After [`Action::Close`].
    ByShard,
    /// The peer said goodbye.
    ByPeer,
    /// The peer is gone without a goodbye, or the network failed.
    Lost,
    /// The transport (TLS, WebSocket) could not go on.
    Transport,
    /// It went to another shard: after [`Shard::handle_leaving`], and only then.
    Moved,
}

/// What became of the link to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A new one, with nothing sent on it yet.
    Up,
    /// It is gone, with everything that was under way.
    Down,
}

/// One core's share of a gateway. See the file's head.
pub struct Shard {
    connections: Connections,
    link: RouterLink,
    sweep: Sweep,
}

impl Shard {
    /// Without connections, and with its link down.
    pub fn new(config: ShardConfig) -> Shard {
        Shard { connections: Connections::new(config), link: RouterLink::new(), sweep: Sweep::default() }
    }

    /// Other limits from now on: how many connections and handshakes, the send queue, the reconnect window. All else of a
    /// configuration is for good, and not looked at.
    pub fn handle_limits(&mut self, config: ShardConfig) {
        self.connections.set_limits(config);
    }

    /// From now on devices get resume tickets, and may show those of these keys. Without keys there are none.
    pub fn handle_ticket_keys(&mut self, keys: TicketKeys) {
        self.connections.ticket_keys = Some(keys);
    }

    /// A socket was accepted; its TLS handshake may still be to come. The connection is the shard's until
    /// [`Self::handle_closed`]. May close another one that has not authenticated.
    pub fn handle_open(&mut self, now: Now, peer: Peer) -> Result<ConnectionId, Refusal> {
        self.connections.open(now, peer)
    }

    /// A whole frame without its length prefix, not verified yet. Not while the connection is held. For a connection
    /// whose [`Action::Close`] has not been drained yet it does nothing.
    pub fn handle_frame(&mut self, now: Now, connection: ConnectionId, frame: &[u8]) -> Flow {
        let entry = self.connections.of_driver(connection);
        if entry.is_closed() {
            return Flow::Hold;
        }
        assert!(!entry.is_held, "the driver brings no frame of a connection that is held");
        let router_can_take = self.link.can_take(entry, frame.len());
        let step = entry.session.handle_frame(now, frame, router_can_take);
        if matches!(step, Step::Wait) {
            entry.is_held = true;
            self.link.wait(connection, entry, frame.len());
            self.connections.counters.frames_held += 1;
            return Flow::Retry;
        }
        self.connections.counters.frames_received.increment(peek::client_frame_number(frame));
        self.connections.counters.received_bytes += frame.len() as u64;
        self.take(now, connection, frame, step);
        let is_open = |entry: &Connection| !entry.is_held && !entry.is_closed();
        if self.connections.slab.get(connection).is_some_and(is_open) { Flow::Continue } else { Flow::Hold }
    }

    fn take(&mut self, now: Now, connection: ConnectionId, frame: &[u8], step: Step<'_>) {
        let counters = &mut self.connections.counters;
        match step {
            Step::Wait => unreachable!("nothing is taken of a frame that waits"),
            Step::Authenticate { access_token, resume_ticket, hello } => {
                let identity = self.connections.open_ticket(now, resume_ticket, &hello);
                self.connections.keep_hello(connection, hello);
                match identity {
                    Some(identity) => {
                        self.connections.counters.tickets_accepted += 1;
                        self.serve(connection, identity);
                    }
                    None => self.connections.authenticate(connection, access_token),
                }
            }
            Step::Follow(request_id) => {
                counters.frames_forwarded += 1;
                self.connections.audience.begin(connection, request_id);
                self.link.forward(connection, frame);
            }
            Step::Forward => {
                counters.frames_forwarded += 1;
                if let Some(id) = peek::requested(frame) {
                    self.connections.ack_times.requested(id, now.monotonic);
                    self.connections.trace(now, connection, id, Stage::Received, 0);
                }
                self.link.forward(connection, frame);
            }
            Step::Pong => {
                let user_head = self.connections.of_driver(connection).user_head;
                self.connections.send(connection, |builder| builder.pong(user_head, now.wall));
            }
            Step::Skip => counters.frames_skipped += 1,
            Step::Refuse(refusal) => {
                counters.refusals.increment(refusal.code);
                let code = refusal.code.number();
                refusal.client_msg_id.iter().for_each(|id| self.connections.note_answer(now, connection, *id, code));
                self.connections.send(connection, |builder| builder.error(refusal));
            }
            Step::RefuseOp { client_op_id, code } => {
                counters.refusals.increment(code);
                self.connections.note_answer(now, connection, client_op_id, code.number());
                self.connections.send(connection, |builder| builder.op_refused(client_op_id, code));
            }
            Step::Close(code) => self.connections.close(connection, code),
        }
    }

    /// The peer broke a rule that the driver keeps (a frame that cannot be cut, one that does not arrive whole in time):
    /// the connection is closed with this code, which must be one that closes.
    pub fn handle_violation(&mut self, _now: Now, connection: ConnectionId, code: Code) {
        self.connections.close(connection, code);
    }

    /// The verdict on the token of an [`Action::Authenticate`]. It may come too late for its connection.
    pub fn handle_authenticated(&mut self, now: Now, connection: ConnectionId, result: Result<Identity, AuthRefusal>) {
        if let Some(identity) = self.connections.authenticated(now, connection, result) {
            self.connections.counters.tokens_accepted += 1;
            self.serve(connection, identity);
        }
    }

    /// Here, or where its user is at home.
    fn serve(&mut self, connection: ConnectionId, identity: Identity) {
        let ShardConfig { shard_index, shards_count, .. } = self.connections.config;
        let home = home_shard(identity.user, shards_count);
        if home == shard_index {
            self.connections.accept(connection, identity);
            self.link.open(connection);
        } else {
            self.connections.send_home(connection, identity, home);
        }
    }

    /// It leaves for the shard of its [`Action::MoveTo`]: what that one is to be told. Nothing is wanted for it here any more,
    /// but its end is reported. `None`: it was closed meanwhile.
    pub fn handle_leaving(&mut self, now: Now, connection: ConnectionId) -> Option<MovedConnection> {
        self.connections.leave(now, connection)
    }

    /// A connection has come from another shard; it is held as it was there. From now on it is one of this shard, beyond
    /// [`ShardConfig::connections_max`] too: who cannot be served is closed with a code that says to come again.
    pub fn handle_moved_in(&mut self, now: Now, moved: MovedConnection) -> ConnectionId {
        let connection = self.connections.arrive(now, moved);
        self.link.open(connection);
        connection
    }

    /// Frames of which [`FrameRef::queue_bytes`] is this in sum are in the socket's buffer.
    pub fn handle_sent(&mut self, _now: Now, connection: ConnectionId, bytes_sent: u32) {
        let entry = self.connections.of_driver(connection);
        let rest = entry.send_queue_bytes.checked_sub(bytes_sent);
        entry.send_queue_bytes = rest.expect("the driver sends no more than it was given");
        entry.stalled_since_s = 0;
        let has_room = entry.send_queue_bytes == 0;
        self.connections.send_queue_bytes -= u64::from(bytes_sent);
        if has_room {
            self.connections.tell_missed(connection);
        }
    }

    /// The connection is gone, for whatever reason: once for every one that was opened, and its id means nothing after.
    pub fn handle_closed(&mut self, _now: Now, connection: ConnectionId, cause: CloseCause) {
        self.connections.remove(connection, cause);
    }

    /// The link to the router came up or went down. Down may be said twice.
    pub fn handle_link(&mut self, now: Now, event: LinkEvent) {
        match event {
            LinkEvent::Up => {
                self.connections.counters.link_ups += 1;
                self.link.up(now, &self.connections.config);
            }
            LinkEvent::Down => self.link.down(&mut self.connections),
        }
    }

    /// A batch from the router, which is kept until its frames have been drained. After an error the link is down for the
    /// shard, as [`Self::has_link`] says too.
    pub fn handle_link_batch(&mut self, now: Now, batch: Batch) -> Result<(), LinkError> {
        self.link.handle_batch(now, batch, &mut self.connections)
    }

    /// Takes no more connections, and sends the ones there are away, to come back spread over this window.
    pub fn handle_drain(&mut self, _now: Now, reconnect_window: Duration) {
        self.connections.drain(reconnect_window);
    }

    /// The time of [`Self::poll_timeout`] has come. Too early does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        self.link.handle_timeout(now, &mut self.connections);
        self.connections.expire_handshakes(now);
        self.sweep.run(now, &mut self.connections);
    }

    /// What to do next. Never about a connection that has been reported as closed.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            let action = self.connections.output.next()?;
            if self.connections.slab.get(action.connection()).is_some() {
                return Some(action);
            }
        }
    }

    /// The bytes of a frame to send, without length prefix, in up to three parts that follow each other.
    ///
    /// Panics for one of an earlier drain.
    pub fn frame<'a>(&'a self, frame: &'a FrameRef) -> [&'a [u8]; 3] {
        self.connections.output.frame(frame)
    }

    /// The next batch for the router. Only when there is room for it: what stays here leaves in fewer, larger batches.
    pub fn poll_batch(&mut self) -> Option<Batch> {
        self.link.poll_batch(&mut self.connections)
    }

    /// A batch of [`Self::poll_batch`] has been read: its memory serves the next one.
    pub fn take_back(&mut self, batch: Batch) {
        self.link.take_back(batch);
    }

    /// A batch of the router that has been read, after a drain: give it back, so that its memory serves the next one.
    pub fn take_spent(&mut self) -> Option<Batch> {
        self.connections.output.take_spent()
    }

    /// When to call [`Self::handle_timeout`]. `None` without link and connections.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = self.connections.handshakes.first().map(|first| first.deadline);
        let sweep = (self.connections.slab.count() > 0).then(|| self.sweep.next_at());
        [handshake, sweep, self.link.poll_timeout(&self.connections)].into_iter().flatten().min()
    }

    /// Whether the link is up. When it is down without [`LinkEvent::Down`], because the router was not heard of or broke
    /// the rules, the shell drops it and makes a new one.
    pub fn has_link(&self) -> bool {
        self.link.is_up()
    }

    /// Whether new sessions are served: the link is up and both ends have said hello.
    pub fn is_ready(&self) -> bool {
        self.link.is_ready()
    }

    /// Connections that [`Self::handle_closed`] is still to come for.
    pub fn connections_count(&self) -> u32 {
        self.connections.slab.count()
    }

    /// What has been counted.
    pub fn counters(&self) -> &ShardCounters {
        &self.connections.counters
    }

    /// Steps of messages since they were last taken.
    pub fn notes(&mut self) -> &mut TraceNotes {
        &mut self.connections.notes
    }

    /// How full it is.
    pub fn gauges(&self) -> ShardGauges {
        let mut gauges = ShardGauges {
            connections: self.connections.slab.count().into(),
            handshakes: self.connections.handshakes.count() as u64,
            send_queue_bytes: self.connections.send_queue_bytes,
            sessions_asked: self.connections.opens_in_flight.into(),
            followers: self.connections.audience.count() as u64,
            ..ShardGauges::default()
        };
        self.link.gauge(&mut gauges);
        gauges
    }
}
