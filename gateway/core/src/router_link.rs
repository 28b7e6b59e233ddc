//! The shard's end of the link to the router.
//!
//! One router; more come with the placement of users. Down: sessions stay, answers and events do not come, what clients
//! ask for is left with the driver, and new sessions wait for the link or for their deadline. Up: a hello each way, then
//! every session is opened (again), at most [`OPENS_IN_FLIGHT_MAX`] unanswered.
//!
//! Invariant: once the router was not heard of for [`protocol::link::LINK_SILENCE_MAX`] nothing of it is delivered on this link any more,
//! also not what waits in a queue: the link is down, whether a timer or the late batch itself finds it out.

use alloc::collections::VecDeque;

use protocol::codes::Code;
use protocol::ids::StoreIncarnation;
use protocol::limits::FRAME_SIZE_MAX;
use protocol::link::{
    Batch, ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LinkEnd, LinkError, Pulse, RouterHello,
    RouterMessage, SessionOpen,
};
use protocol::server::Phase;
use protocol::time::{Instant, Now};

use crate::audience::FOLLOWERS_PER_TURN_MAX;
use crate::config::ShardConfig;
use crate::connection::{Connection, ConnectionId, Registration};
use crate::connections::Connections;
use crate::counters::ShardGauges;

/// Sessions that the router is asked to open at a time: each may cost it a read of its store. What is not asked for yet
/// costs nothing here, so a gateway that reconnects a million sessions does not flood anybody.
pub const OPENS_IN_FLIGHT_MAX: u32 = 1024;

pub(crate) struct RouterLink {
    end: LinkEnd,
    state: State,
    /// Of the link that is up, or was up last.
    pulse: Pulse,
    /// New sessions to be opened, in order. Empty while the link is not ready.
    openings: VecDeque<ConnectionId>,
    /// The slot with which opening again goes on.
    reopen_next: u32,
    /// Connections whose frame found no credit, in order, each with the cost of that frame.
    waiting: VecDeque<(ConnectionId, u64)>,
    /// From which store the live sessions were welcomed.
    store_incarnation: Option<StoreIncarnation>,
}

#[derive(Clone, Copy)]
enum State {
    Down,
    /// Our hello is sent.
    Greeting,
    Ready(RouterHello),
}

impl RouterLink {
    pub(crate) fn new() -> RouterLink {
        RouterLink {
            end: LinkEnd::default(),
            state: State::Down,
            pulse: Pulse::new(Instant::default()),
            openings: VecDeque::new(),
            reopen_next: 0,
            waiting: VecDeque::new(),
            store_incarnation: None,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Fills in what concerns the link.
    pub(crate) fn gauge(&self, gauges: &mut ShardGauges) {
        gauges.requests_waiting = self.waiting.len() as u64;
        gauges.sessions_waiting = self.openings.len() as u64;
        gauges.link_credits_bytes = if self.is_up() { self.end.credits_bytes() } else { 0 };
    }

    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.state, State::Down)
    }

    pub(crate) fn up(&mut self, now: Now, config: &ShardConfig) {
        assert!(!self.is_up(), "a link comes up once, and goes down before it comes up again");
        self.state = State::Greeting;
        self.pulse = Pulse::new(now.monotonic);
        let hello = GatewayHello {
            version: LINK_VERSION,
            gateway_id: config.gateway_id,
            shard_index: config.shard_index,
            gateway_incarnation: config.gateway_incarnation,
        };
        send_free(&mut self.end, &GatewayMessage::Hello(hello));
    }

    pub(crate) fn down(&mut self, connections: &mut Connections) {
        if !self.is_up() {
            return;
        }
        self.state = State::Down;
        self.end.reset();
        self.openings.clear();
        self.waiting.clear();
        connections.forget_router();
        connections.counters.link_downs += 1;
    }

    /// After an error the link is down.
    pub(crate) fn handle_batch(
        &mut self,
        now: Now,
        batch: Batch,
        connections: &mut Connections,
    ) -> Result<(), LinkError> {
        if !self.is_up() {
            return Err(LinkError::HelloExpected);
        }
        if self.pulse.is_silent(now.monotonic) {
            self.fall_silent(connections);
            return Err(LinkError::Silent);
        }
        self.pulse.heard(now.monotonic);
        let mut state = self.state;
        let mut is_read = Ok(());
        let is_valid = self.end.handle_batch_of_router(&batch, |end, message| {
            if is_read.is_ok() {
                is_read = handle_message(now, end, &mut state, connections, &batch, message);
            }
        });
        // Also one that is broken further on has frames that are to be sent.
        connections.output.keep(batch);
        if let Err(error) = is_read.and(is_valid) {
            self.down(connections);
            return Err(error);
        }
        if let (State::Greeting, State::Ready(router)) = (self.state, state) {
            self.greeted(router, connections);
        }
        self.publish(now, connections);
        self.release_waiting(connections);
        Ok(())
    }

    /// Sends the next followers of channels what there is for them.
    fn publish(&mut self, now: Now, connections: &mut Connections) {
        let mut left = FOLLOWERS_PER_TURN_MAX;
        while left > 0
            && let Some(share) = connections.audience.next_share(now.monotonic, left)
        {
            let count = share.followers.len();
            connections.publish(&share);
            connections.audience.sent(now.monotonic, share, count == left);
            left -= count;
        }
        let spent_bytes = connections.audience.take_spent_bytes();
        if spent_bytes > 0 {
            self.end.release(spent_bytes);
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub(crate) fn poll_timeout(&self, connections: &Connections) -> Option<Instant> {
        let beat_at = self.is_up().then(|| self.pulse.next_at())?;
        Some(connections.audience.next_at().map_or(beat_at, |publish_at| publish_at.min(beat_at)))
    }

    pub(crate) fn handle_timeout(&mut self, now: Now, connections: &mut Connections) {
        if !self.is_up() {
            return;
        }
        if self.pulse.is_silent(now.monotonic) {
            self.fall_silent(connections);
            return;
        }
        if self.pulse.is_due(now.monotonic) {
            self.end.beat();
        }
        self.publish(now, connections);
    }

    fn fall_silent(&mut self, connections: &mut Connections) {
        connections.counters.links_silent += 1;
        self.down(connections);
    }

    /// Whether a frame of this size can be forwarded now.
    pub(crate) fn can_take(&self, connection: &Connection, frame_size: usize) -> bool {
        connection.registration == Registration::Opened && self.end.credits_bytes() >= LinkEnd::cost(frame_size)
    }

    /// Only after [`Self::can_take`].
    pub(crate) fn forward(&mut self, connection: ConnectionId, frame: &[u8]) {
        let request = GatewayMessage::ClientRequest { connection: connection.into(), frame };
        self.end.send_to_router(&request).expect("its credit was looked at");
    }

    /// A frame of this size is left with the driver. Who waits for its session to be opened is released with that.
    pub(crate) fn wait(&mut self, id: ConnectionId, connection: &Connection, frame_size: usize) {
        if connection.registration == Registration::Opened {
            self.waiting.push_back((id, LinkEnd::cost(frame_size)));
        }
    }

    /// A session has authenticated.
    pub(crate) fn open(&mut self, connection: ConnectionId) {
        if self.is_ready() {
            self.openings.push_back(connection);
        }
    }

    /// What the router is owed is written when somebody takes it: a transport that is stuck makes nothing grow here but
    /// requests, and those pay with credits.
    pub(crate) fn poll_batch(&mut self, connections: &mut Connections) -> Option<Batch> {
        if self.is_ready() {
            for key in connections.farewells.drain(..) {
                send_free(&mut self.end, &GatewayMessage::SessionClose(key));
            }
            while let Some((conversation, count)) = connections.audience.next_stopped() {
                send_free(&mut self.end, &GatewayMessage::ChannelLeft { conversation, count });
            }
            while connections.opens_in_flight < OPENS_IN_FLIGHT_MAX {
                let Some(id) = self.next_to_open(connections) else { break };
                self.send_open(id, connections);
            }
        }
        self.end.poll_batch()
    }

    pub(crate) fn take_back(&mut self, batch: Batch) {
        self.end.take_back(batch);
    }

    fn greeted(&mut self, router: RouterHello, connections: &mut Connections) {
        self.state = State::Ready(router);
        if self.store_incarnation.replace(router.store_incarnation).is_some_and(|old| old != router.store_incarnation) {
            // Their cursors are of a store that is no more, and only a Welcome can tell them.
            connections.close_live(Code::RouterUnavailable);
        }
        self.openings.extend(connections.handshakes.known());
        self.reopen_next = 0;
    }

    /// New sessions first: they have a deadline.
    fn next_to_open(&mut self, connections: &Connections) -> Option<ConnectionId> {
        let is_new = |connection: &Connection| connection.session.phase() == Phase::Opening;
        while let Some(id) = self.openings.pop_front() {
            if connections.slab.get(id).is_some_and(is_new) {
                return Some(id);
            }
        }
        let is_unknown =
            |connection: &Connection| connection.is_live() && connection.registration == Registration::None;
        while self.reopen_next < connections.slab.slots_count() {
            let slot = connections.slab.at(self.reopen_next);
            self.reopen_next += 1;
            if let Some((id, _)) = slot.filter(|(_, connection)| is_unknown(connection)) {
                return Some(id);
            }
        }
        None
    }

    fn send_open(&mut self, id: ConnectionId, connections: &mut Connections) {
        let connection = connections.slab.get_mut(id).expect("it was chosen a line ago");
        assert_eq!(connection.registration, Registration::None);
        connection.registration = Registration::Sent;
        connections.opens_in_flight += 1;
        let open = if connection.is_live() {
            open_again(id.into(), connection, self.store_incarnation.unwrap_or_default())
        } else {
            let handshake = connections.handshakes.get(id).expect("it has no Welcome yet");
            let hello = handshake.hello.as_ref().expect("its Hello has come");
            SessionOpen {
                connection: id.into(),
                user: connection.user,
                device: hello.device,
                device_generation: hello.device_generation,
                install_id: hello.install_id,
                device_name: &hello.device_name,
                transient: hello.is_transient,
                store_incarnation: hello.store_incarnation,
                user_epoch: hello.user_epoch,
                user_cursor: hello.user_cursor,
                session: None,
            }
        };
        send_free(&mut self.end, &GatewayMessage::SessionOpen(open));
    }

    /// Those for whom there is credit, in order. Credits come back in large steps, so the first one always fits.
    fn release_waiting(&mut self, connections: &mut Connections) {
        let mut credits_bytes = self.end.credits_bytes();
        while let Some((id, cost_bytes)) = self.waiting.front().copied() {
            let Some(rest) = credits_bytes.checked_sub(cost_bytes) else { return };
            self.waiting.pop_front();
            if connections.slab.get(id).is_some_and(Connection::is_live) {
                credits_bytes = rest;
                connections.release(id);
            }
        }
    }
}

fn open_again(
    key: ConnectionKey,
    connection: &Connection,
    store_incarnation: StoreIncarnation,
) -> SessionOpen<'static> {
    SessionOpen {
        connection: key,
        user: connection.user,
        device: connection.device,
        device_generation: connection.device_generation,
        install_id: None,
        device_name: "",
        transient: connection.session.is_transient(),
        store_incarnation,
        user_epoch: connection.user_epoch,
        user_cursor: connection.user_seq_written,
        session: Some(connection.session_id),
    }
}

fn handle_message(
    now: Now,
    end: &mut LinkEnd,
    state: &mut State,
    connections: &mut Connections,
    batch: &[u8],
    message: RouterMessage<'_>,
) -> Result<(), LinkError> {
    let router = match (&*state, &message) {
        (State::Greeting, RouterMessage::Hello(hello)) if hello.version == LINK_VERSION => {
            *state = State::Ready(*hello);
            return Ok(());
        }
        (State::Ready(router), _) => *router,
        (State::Greeting | State::Down, _) => return Err(LinkError::HelloExpected),
    };
    match message {
        RouterMessage::Hello(_) => return Err(LinkError::HelloExpected),
        RouterMessage::SessionOpened(opened) => connections.opened(now, &router, &opened),
        RouterMessage::SessionRefused { connection, code } => {
            let code = if code.is_close() { code } else { Code::InternalError };
            connections.refused(connection.into(), code);
        }
        RouterMessage::Deliver { connection, user_seq_last, frame } => {
            check_size(frame)?;
            end.release(LinkEnd::cost(frame.len()));
            connections.deliver(now, connection.into(), user_seq_last, batch, frame);
        }
        RouterMessage::ChannelJoined { connection, request_id, conversation, head } => {
            connections.audience.join(connection.into(), request_id, conversation, head);
        }
        RouterMessage::Publish { conversation, head, frame } => {
            check_size(frame)?;
            connections.counters.channel_entries += 1;
            connections.audience.publish(conversation, head, frame, LinkEnd::cost(frame.len()));
        }
        RouterMessage::Fanout(fanout) => {
            check_size(fanout.frame)?;
            end.release(LinkEnd::fanout_cost(fanout.targets.iter().count(), fanout.frame.len()));
            connections.fan_out(now, batch, &fanout);
        }
    }
    Ok(())
}

/// A frame that could not be sent to any client.
fn check_size(frame: &[u8]) -> Result<(), LinkError> {
    if (1..=FRAME_SIZE_MAX).contains(&frame.len()) { Ok(()) } else { Err(LinkError::Invalid) }
}

fn send_free(end: &mut LinkEnd, message: &GatewayMessage<'_>) {
    end.send_to_router(message).expect("only requests need credit");
}
