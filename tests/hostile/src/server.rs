//! A whole server in one thread: a gateway's shard, its driver, and the [`Backend`] behind its link.
//!
//! The driver does what the contract of the shard says and asserts what it promises. An access token is the handle of its
//! user.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_core::{
    Action, AuthRefusal, CloseCause, ConnectionId, Flow, Identity, LinkEvent, Peer, Refusal, Shard, ShardConfig,
};
use protocol::codes::Code;
use protocol::frame::FrameError;
use protocol::limits::{FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX};
use protocol::link::LINK_HEARTBEAT_INTERVAL;
use protocol::time::{Instant, Now, WallTime};
use router_core::{DropCause, LinkId};

use crate::backend::{self, Backend, HANDLES};
use crate::eye::Eye;
use crate::verify;

/// When every server begins: client ids in a corpus are of this time.
pub const START: Now = Now { monotonic: Instant(1_000_000_000_000), wall: WallTime(1_764_000_000_000) };
/// Connections at a time.
pub const CONNECTIONS_MAX: u32 = 6;
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
/// Less is lived through, beat by beat.
const SLEEP_MIN: Duration = Duration::from_secs(12);

/// One connection as its driver knows it.
struct Guest {
    flow: Flow,
    unread: VecDeque<Vec<u8>>,
    closed: Option<Code>,
    queue_bytes: u32,
    /// A socket that takes nothing.
    is_stuck: bool,
    eye: Eye,
}

/// See the file's head.
pub struct Server {
    /// By the clocks of the gateway and of the router.
    pub now: Now,
    shard: Shard,
    backend: Backend,
    link: Option<LinkId>,
    links_count: u64,
    guests: BTreeMap<ConnectionId, Guest>,
    is_draining: bool,
}

impl Server {
    /// With its link up.
    pub fn new() -> Server {
        let config = ShardConfig { connections_max: CONNECTIONS_MAX, ..ShardConfig::default() };
        let mut server = Server {
            now: START,
            shard: Shard::new(config),
            backend: Backend::new(START),
            link: None,
            links_count: 0,
            guests: BTreeMap::new(),
            is_draining: false,
        };
        server.make_link();
        server.settle();
        server
    }

    /// Those that were not ended, in the order of their slots.
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.guests.keys().copied().collect()
    }

    /// A socket is accepted. `None`: there is no room.
    pub fn open(&mut self, address: u8) -> Option<ConnectionId> {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, address));
        match self.shard.handle_open(self.now, Peer { address }) {
            Ok(connection) => {
                let guest = Guest {
                    flow: Flow::Continue,
                    unread: VecDeque::new(),
                    closed: None,
                    queue_bytes: 0,
                    is_stuck: false,
                    eye: Eye::default(),
                };
                assert!(self.guests.insert(connection, guest).is_none(), "an id is given to one connection");
                self.settle();
                Some(connection)
            }
            Err(Refusal::Full) => {
                assert_eq!(self.guests.len(), CONNECTIONS_MAX as usize);
                None
            }
            Err(Refusal::Draining) => {
                assert!(self.is_draining);
                None
            }
        }
    }

    /// What the client of a connection has seen.
    pub fn eye(&mut self, connection: ConnectionId) -> Option<&mut Eye> {
        self.guests.get_mut(&connection).map(|guest| &mut guest.eye)
    }

    /// A client sends a frame. What the framer would refuse is reported as it does.
    pub fn send(&mut self, connection: ConnectionId, frame: &[u8]) {
        let _is_timed = verify::client_frame(frame);
        let Some(guest) = self.guests.get_mut(&connection) else { return };
        let size_max = if guest.eye.device.is_some() { FRAME_SIZE_MAX } else { FRAME_SIZE_UNAUTHENTICATED_MAX };
        let refused = match frame.len() {
            0 => Some(FrameError::Invalid),
            size => (size > size_max).then_some(FrameError::TooLarge),
        };
        match refused {
            Some(error) => self.shard.handle_violation(self.now, connection, error.into()),
            None => {
                guest.unread.push_back(frame.to_vec());
                self.bring(connection);
            }
        }
        self.settle();
    }

    /// The driver has found a broken rule of its own.
    pub fn violate(&mut self, connection: ConnectionId, code: Code) {
        self.shard.handle_violation(self.now, connection, code);
        self.settle();
    }

    /// From now on the socket takes nothing, or all that has gathered.
    pub fn toggle_stuck(&mut self, connection: ConnectionId) {
        if let Some(guest) = self.guests.get_mut(&connection) {
            guest.is_stuck = !guest.is_stuck;
        }
        self.settle();
    }

    /// The socket is gone.
    pub fn end(&mut self, connection: ConnectionId, cause: CloseCause) {
        if self.guests.remove(&connection).is_some() {
            self.shard.handle_closed(self.now, connection, cause);
        }
        self.settle();
    }

    /// The link breaks, or comes up again.
    pub fn toggle_link(&mut self) {
        if self.link.is_some() {
            self.break_link();
        } else {
            self.make_link();
        }
        self.settle();
    }

    fn break_link(&mut self) {
        if let Some(link) = self.link.take() {
            self.shard.handle_link(self.now, LinkEvent::Down);
            self.backend.link_down(self.now, link);
        }
    }

    fn make_link(&mut self) {
        self.links_count += 1;
        let link = LinkId(self.links_count);
        self.link = Some(link);
        self.backend.link_up(self.now, link);
        self.shard.handle_link(self.now, LinkEvent::Up);
    }

    /// Processes of the router that there were, this one included.
    pub fn lives(&self) -> u64 {
        self.backend.lives
    }

    /// The process of the router dies; another one takes its place, and the link comes up.
    pub fn restart_backend(&mut self, cuts_power: bool) {
        self.break_link();
        self.backend.restart(self.now, cuts_power);
        self.make_link();
        self.settle();
    }

    /// The store is almost full, or no longer.
    pub fn pressure(&mut self, disk_low: bool) {
        self.backend.pressure(self.now, disk_low);
        self.settle();
    }

    /// The gateway sends everybody away.
    pub fn drain(&mut self) {
        self.is_draining = true;
        self.shard.handle_drain(self.now, Duration::from_secs(5));
        self.settle();
    }

    /// Time passes. Of a long one all that is seen is its end: the machine has slept.
    pub fn pass(&mut self, mut time: Duration) {
        while (Duration::from_nanos(1)..SLEEP_MIN).contains(&time) {
            let step = time.min(LINK_HEARTBEAT_INTERVAL);
            self.move_clocks(step);
            time -= step;
        }
        self.move_clocks(time);
    }

    fn move_clocks(&mut self, time: Duration) {
        self.now = Now { monotonic: self.now.monotonic + time, wall: self.now.wall.plus(time) };
        if self.shard.poll_timeout().is_some_and(|at| at <= self.now.monotonic) {
            self.shard.handle_timeout(self.now);
        }
        self.backend.handle_time(self.now);
        self.settle();
    }

    /// Everybody does what there is to do.
    fn settle(&mut self) {
        loop {
            let mut acted = self.drain_actions();
            while let Some((link, batch)) = self.link.and_then(|link| Some((link, self.shard.poll_batch()?))) {
                acted = true;
                self.backend.take_batch(self.now, link, &batch).expect("a gateway keeps the rules of its link");
            }
            for (link, batch) in self.backend.settle(self.now) {
                acted = true;
                if self.link == Some(link) && self.shard.has_link() {
                    self.shard.handle_link_batch(self.now, batch).expect("a router keeps the rules of its links");
                }
            }
            acted |= self.mend_link();
            if !acted {
                return;
            }
        }
    }

    /// A link that an end has given up is made anew. True where there was one.
    fn mend_link(&mut self) -> bool {
        let dropped = std::mem::take(&mut self.backend.dropped);
        assert!(dropped.iter().all(|(_, cause)| *cause == DropCause::Silence), "the gateway takes what it is sent");
        let is_given_up = self.link.is_some() && !self.shard.has_link();
        if !is_given_up && !dropped.iter().any(|(link, _)| self.link == Some(*link)) {
            return false;
        }
        self.break_link();
        self.make_link();
        true
    }

    fn drain_actions(&mut self) -> bool {
        let mut acted = false;
        while let Some(action) = self.shard.poll_action() {
            acted = true;
            self.act(action);
        }
        for (connection, guest) in self.guests.iter_mut().filter(|(_, guest)| !guest.is_stuck && guest.queue_bytes > 0)
        {
            self.shard.handle_sent(self.now, *connection, std::mem::take(&mut guest.queue_bytes));
        }
        acted
    }

    fn act(&mut self, action: Action) {
        let connection = action.connection();
        let guest = self.guests.get_mut(&connection).expect("an action is for a connection that is open");
        assert_eq!(guest.closed, None, "after its close nothing is wanted of a connection: {action:?}");
        match action {
            Action::Authenticate { access_token, .. } => {
                let index = HANDLES.iter().position(|handle| *handle == access_token);
                let expires_at = self.now.wall.plus(TOKEN_LIFETIME);
                let identity = index.map(|index| Identity { user: backend::user(index), device: None, expires_at });
                self.shard.handle_authenticated(self.now, connection, identity.ok_or(AuthRefusal::Invalid));
            }
            Action::Send { frame, .. } => {
                let bytes = self.shard.frame(&frame).concat();
                assert!((1..=FRAME_SIZE_MAX).contains(&bytes.len()), "a frame of {} bytes", bytes.len());
                guest.queue_bytes += frame.queue_bytes();
                guest.eye.see(&bytes);
            }
            Action::Release { .. } => {
                assert_ne!(guest.flow, Flow::Continue, "only who is held is released");
                guest.flow = Flow::Continue;
                self.bring(connection);
            }
            Action::MoveTo { .. } => unreachable!("with one shard everybody is at home"),
            Action::Close { code, .. } => guest.closed = Some(code),
        }
    }

    /// Brings what is unread, as far as the shard takes it.
    fn bring(&mut self, connection: ConnectionId) {
        let Some(guest) = self.guests.get_mut(&connection) else { return };
        while guest.flow == Flow::Continue && guest.closed.is_none() {
            let Some(frame) = guest.unread.front() else { return };
            guest.flow = self.shard.handle_frame(self.now, connection, frame);
            if guest.flow != Flow::Retry {
                guest.unread.pop_front();
            }
        }
    }
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}
