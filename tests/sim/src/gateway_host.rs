//! A gateway process: one [`Shard`] with its sockets and its link, as the shell of the product drives it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_core::{
    Action, AuthRefusal, CloseCause, ConnectionId, Flow, Identity, LinkEvent, Peer, Shard, ShardConfig,
    TICKET_KEY_SIZE, TicketKeys,
};
use protocol::frame;
use protocol::ids::{DeviceGeneration, DeviceId, UserId};
use protocol::limits::FRAME_PREFIX_SIZE;
use protocol::link::{Batch, LinkError};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::ServerBody;

use crate::checker;
use crate::network::{End, Happening, WireId};
use crate::process::{Input, ProcessId, Surroundings};
use crate::promise::{Broken, Promise};

/// Batches under way to the router before the shell stops taking more from the shard.
const LINK_BATCHES_MAX: usize = 4;
/// Between two attempts to reach the router.
const DIAL_AGAIN_AFTER: Duration = Duration::from_millis(300);
/// A gateway delivers nothing of a router that it has not heard of for so long.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Clients are heard of so often, so that a half-open connection is found within a seed.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The same one for all gateways and all their lives: it is kept on disk.
const TICKET_KEY: [u8; TICKET_KEY_SIZE] = [7; TICKET_KEY_SIZE];

struct Socket {
    connection: ConnectionId,
    is_held: bool,
    /// Received and not taken by the shard.
    frames: VecDeque<Vec<u8>>,
    /// From its Welcome on.
    device: Option<(DeviceId, DeviceGeneration)>,
}

/// One life of a gateway.
pub struct GatewayHost {
    shard: Shard,
    sockets: BTreeMap<WireId, Socket>,
    wires_by_connection: BTreeMap<ConnectionId, WireId>,
    link: Option<WireId>,
    /// When the router was heard of last, by true time.
    heard_at: Instant,
    /// How long it was not heard of when this turn began. What this turn has collected may be as old as that.
    silence: Duration,
}

/// What a client shows to be somebody.
pub fn access_token(user: UserId) -> String {
    format!("user {user}")
}

fn check_token(token: &str) -> Result<Identity, AuthRefusal> {
    let user = token.strip_prefix("user ").and_then(|id| id.parse().ok()).ok_or(AuthRefusal::Invalid)?;
    Ok(Identity { user, device: None, expires_at: WallTime(u64::MAX) })
}

impl GatewayHost {
    /// `life` tells this run of the process from others.
    pub fn new(index: usize, life: u64) -> GatewayHost {
        let config = ShardConfig {
            gateway_id: index as u64,
            gateway_incarnation: life,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            reconnect_window: Duration::from_secs(2),
            ..ShardConfig::default()
        };
        let mut shard = Shard::new(config);
        shard.handle_ticket_keys(TicketKeys::new(&TICKET_KEY, None));
        GatewayHost {
            shard,
            sockets: BTreeMap::new(),
            wires_by_connection: BTreeMap::new(),
            link: None,
            heard_at: Instant::default(),
            silence: Duration::ZERO,
        }
    }

    /// When its timer is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.shard.poll_timeout()
    }

    /// One turn.
    pub fn turn(&mut self, now: Now, inputs: Vec<Input>, around: &mut Surroundings<'_>) {
        self.silence = around.at.since(self.heard_at);
        for input in inputs {
            self.take(now, input, around);
        }
        if self.shard.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.shard.handle_timeout(now);
        }
        while self.drain(now, around) {}
        if self.link.is_some() && !self.shard.has_link() {
            self.drop_link(around);
        }
        self.send_batches(around);
    }

    fn take(&mut self, now: Now, input: Input, around: &mut Surroundings<'_>) {
        match input {
            Input::Start | Input::Dial => drop(around.dial(ProcessId::Router)),
            Input::Authenticated(connection, result) => self.shard.handle_authenticated(now, connection, result),
            Input::Wire(wire, Happening::Opened(End::Dialer)) => {
                self.link = Some(wire);
                (self.heard_at, self.silence) = (around.at, Duration::ZERO);
                self.shard.handle_link(now, LinkEvent::Up);
            }
            Input::Wire(_, Happening::DialFailed) => around.later.push((DIAL_AGAIN_AFTER, Input::Dial)),
            Input::Wire(wire, happening) if self.link == Some(wire) => self.take_of_link(now, wire, happening, around),
            Input::Wire(wire, happening) => self.take_of_client(now, wire, happening, around),
            other => unreachable!("nobody sends a gateway {other:?}"),
        }
    }

    fn take_of_link(&mut self, now: Now, wire: WireId, happening: Happening, around: &mut Surroundings<'_>) {
        match happening {
            Happening::Received(batch) => self.take_batch(now, batch.into(), around),
            Happening::Closed | Happening::Lost => {
                self.link = None;
                self.shard.handle_link(now, LinkEvent::Down);
                around.later.push((DIAL_AGAIN_AFTER, Input::Dial));
            }
            Happening::Sent(_) => {}
            Happening::Opened(_) | Happening::DialFailed => unreachable!("{wire:?} was opened already"),
        }
    }

    fn take_batch(&mut self, now: Now, batch: Batch, around: &mut Surroundings<'_>) {
        let sent_before = self.shard.counters().frames_sent.total();
        match self.shard.handle_link_batch(now, batch) {
            Ok(()) => self.heard_at = around.at,
            Err(LinkError::Silent) => self.drop_link(around),
            Err(error) => panic!("the router broke a rule of the link: {error}"),
        }
        if self.silence >= SILENCE_MAX && self.shard.counters().frames_sent.total() > sent_before {
            let silence = self.silence;
            let what = format!("a gateway delivered something of a router that it had not heard of for {silence:?}");
            around.judge(Err(Broken::new(Promise::P7, what)));
        }
    }

    /// The shard has given it up.
    fn drop_link(&mut self, around: &mut Surroundings<'_>) {
        if let Some(link) = self.link.take() {
            around.network.close(around.at, link, End::Dialer);
            around.later.push((DIAL_AGAIN_AFTER, Input::Dial));
        }
    }

    fn take_of_client(&mut self, now: Now, wire: WireId, happening: Happening, around: &mut Surroundings<'_>) {
        if let Happening::Opened(_) = happening {
            let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
            match self.shard.handle_open(now, peer) {
                Ok(connection) => {
                    let socket = Socket { connection, is_held: false, frames: VecDeque::new(), device: None };
                    self.sockets.insert(wire, socket);
                    self.wires_by_connection.insert(connection, wire);
                }
                Err(_) => around.network.close(around.at, wire, End::Listener),
            }
            return;
        }
        // What was under way when the shard closed it is thrown away.
        let Some(socket) = self.sockets.get_mut(&wire) else { return };
        match happening {
            Happening::Received(frame) => {
                socket.frames.push_back(frame);
                self.offer_frames(now, wire);
            }
            Happening::Sent(bytes) => {
                let bytes = u32::try_from(bytes + FRAME_PREFIX_SIZE).expect("a frame is short");
                self.shard.handle_sent(now, socket.connection, bytes);
            }
            Happening::Closed => self.forget(now, wire, CloseCause::ByPeer),
            Happening::Lost => self.forget(now, wire, CloseCause::Lost),
            Happening::Opened(_) | Happening::DialFailed => unreachable!("a gateway dials routers only"),
        }
    }

    fn forget(&mut self, now: Now, wire: WireId, cause: CloseCause) {
        let socket = self.sockets.remove(&wire).expect("its end is reported once");
        self.wires_by_connection.remove(&socket.connection);
        self.shard.handle_closed(now, socket.connection, cause);
    }

    fn offer_frames(&mut self, now: Now, wire: WireId) {
        let Some(socket) = self.sockets.get_mut(&wire) else { return };
        while !socket.is_held
            && let Some(frame) = socket.frames.pop_front()
        {
            match self.shard.handle_frame(now, socket.connection, &frame) {
                Flow::Continue => {}
                Flow::Hold => socket.is_held = true,
                Flow::Retry => {
                    socket.is_held = true;
                    socket.frames.push_front(frame);
                }
            }
        }
    }

    /// Whether the shard wanted anything.
    fn drain(&mut self, now: Now, around: &mut Surroundings<'_>) -> bool {
        let (mut released, mut closed, mut wanted_any) = (Vec::new(), Vec::new(), false);
        while let Some(action) = self.shard.poll_action() {
            wanted_any = true;
            let wire = *self.wires_by_connection.get(&action.connection()).expect("the shard names sockets it has");
            match action {
                Action::Authenticate { connection, access_token } => {
                    let verdict = Input::Authenticated(connection, check_token(&access_token));
                    around.later.push((around.prng.between(Duration::ZERO, Duration::from_millis(1)), verdict));
                }
                Action::Send { frame, .. } => {
                    let bytes = self.shard.frame(&frame).concat();
                    self.watch(wire, &bytes, around);
                    around.network.send(around.at, wire, End::Listener, bytes);
                }
                Action::Release { .. } => released.push(wire),
                Action::MoveTo { .. } => unreachable!("with one shard everybody is at home"),
                Action::Close { .. } => closed.push(wire),
            }
        }
        for wire in closed {
            around.network.close(around.at, wire, End::Listener);
            self.forget(now, wire, CloseCause::ByShard);
        }
        for wire in released {
            if let Some(socket) = self.sockets.get_mut(&wire) {
                socket.is_held = false;
            }
            self.offer_frames(now, wire);
        }
        wanted_any
    }

    /// What goes out to a device, but for what says that it is over and what says nothing.
    fn watch(&mut self, wire: WireId, bytes: &[u8], around: &mut Surroundings<'_>) {
        let socket = self.sockets.get_mut(&wire).expect("the shard sends to sockets it has");
        let frame = frame::server_frame(bytes).expect("a shard sends valid frames");
        if let Some(welcome) = frame.body_as_welcome() {
            let device = (DeviceId(welcome.device_id()), DeviceGeneration(welcome.device_generation()));
            socket.device = Some(device).filter(|(id, _)| *id != DeviceId(0));
        }
        let says_something = !matches!(frame.body_type(), ServerBody::GoAway | ServerBody::Pong | ServerBody::Error);
        if let Some(device) = socket.device.filter(|_| says_something) {
            let verdict = checker::check_delivery(around.ledger, device, around.at);
            around.judge(verdict);
        }
    }

    fn send_batches(&mut self, around: &mut Surroundings<'_>) {
        let Some(link) = self.link else { return };
        while around.network.under_way_to(link, End::Listener) < LINK_BATCHES_MAX {
            let Some(batch) = self.shard.poll_batch() else { return };
            around.network.send(around.at, link, End::Dialer, batch.to_vec());
        }
    }
}
