//! The world round a shard: drivers, clients and a router of a few lines, and a clock that the test moves.

pub(crate) mod driver;
pub(crate) mod frames;
pub(crate) mod random;
pub(crate) mod router;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_core::{ConnectionId, Flow, Identity, LinkEvent, Peer, Refusal, Shard, ShardConfig};
use protocol::codes::Code;
use protocol::ids::{DeviceId, UserId};
use protocol::link::{LinkError, RouterMessage};
use protocol::time::{Instant, Now, WallTime};

use driver::Driver;
use frames::{Hello, ServerFrame};
use router::{Router, handle_of};

pub(crate) const ALICE: UserId = UserId(1);
pub(crate) const BOB: UserId = UserId(2);
pub(crate) const PHONE: DeviceId = DeviceId(11);
pub(crate) const LAPTOP: DeviceId = DeviceId(12);

/// See the file's head. Every step ends with the shard drained.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) shard: Shard,
    pub(crate) driver: Driver,
    pub(crate) router: Router,
    pub(crate) is_link_up: bool,
}

impl World {
    /// With the link up and greeted.
    pub(crate) fn new() -> World {
        let mut world = World::without_router(ShardConfig::default());
        world.link_up();
        world
    }

    pub(crate) fn without_router(config: ShardConfig) -> World {
        let now = Now { monotonic: Instant(0) + Duration::from_secs(1_000), wall: WallTime(1_764_000_000_000) };
        World {
            now,
            shard: Shard::new(config),
            driver: Driver::default(),
            router: Router::default(),
            is_link_up: false,
        }
    }

    /// Moves the clocks at once, and then reports what was due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = Now { monotonic: self.now.monotonic + time, wall: self.now.wall.plus(time) };
        if self.shard.poll_timeout().is_some_and(|due| due <= self.now.monotonic) {
            self.shard.handle_timeout(self.now);
        }
        if self.is_link_up && !self.shard.has_link() {
            // Both clocks went on while nobody could say anything; the shell makes a new link.
            self.link_down();
            self.link_up();
        }
        self.settle();
    }

    /// Moves the clocks from one deadline to the next.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        while let Some(due) = self.shard.poll_timeout().filter(|due| *due <= end) {
            let step = due.since(self.now.monotonic);
            self.pass(step);
            assert!(self.shard.poll_timeout() > Some(due) || self.shard.poll_timeout().is_none(), "time stands still");
        }
        self.pass(end.since(self.now.monotonic));
    }

    /// Drains the shard until neither driver nor router has anything left to do.
    pub(crate) fn settle(&mut self) {
        loop {
            let acted = self.driver.drain(self.now, &mut self.shard);
            let mut moved = false;
            while let Some(batch) = self.shard.poll_batch() {
                moved = true;
                assert!(self.is_link_up, "a batch without a link");
                self.router.take(&batch);
            }
            while let Some(batch) = self.router.end.poll_batch() {
                moved = true;
                assert_eq!(self.shard.handle_link_batch(self.now, batch), Ok(()));
            }
            if !acted && !moved {
                return;
            }
        }
    }

    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_from(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("the shard has room")
    }

    pub(crate) fn open_from(&mut self, address: IpAddr) -> Result<ConnectionId, Refusal> {
        let opened = self.shard.handle_open(self.now, Peer { address });
        if let Ok(connection) = opened {
            self.driver.admit(connection);
        }
        self.settle();
        opened
    }

    /// A client sends a frame; the driver brings it when it may.
    pub(crate) fn send(&mut self, connection: ConnectionId, frame: &[u8]) {
        self.driver.receive(self.now, &mut self.shard, connection, frame);
        self.settle();
    }

    /// Accepts the token that waits.
    pub(crate) fn accept(&mut self, connection: ConnectionId, user: UserId) {
        let expires_at = self.now.wall.plus(Duration::from_secs(24 * 3600));
        self.authenticate(connection, Identity { user, device: None, expires_at });
    }

    /// The token that waits is good, and says this.
    pub(crate) fn authenticate(&mut self, connection: ConnectionId, identity: Identity) {
        self.shard.handle_authenticated(self.now, connection, Ok(identity));
        self.settle();
    }

    /// A connection that has said this Hello and whose token was good.
    pub(crate) fn open_with(&mut self, user: UserId, hello: Hello) -> ConnectionId {
        let connection = self.open();
        self.send(connection, &hello.frame());
        assert_eq!(self.driver.tokens.pop().map(|token| token.0), Some(connection));
        self.accept(connection, user);
        connection
    }

    /// A live session, its Welcome read.
    pub(crate) fn live(&mut self, user: UserId, device: DeviceId) -> ConnectionId {
        let connection = self.open_with(user, Hello { device, ..Hello::default() });
        assert!(matches!(self.read(connection).as_slice(), [ServerFrame::Welcome(_)]));
        connection
    }

    /// What the client has received since the last time.
    pub(crate) fn read(&mut self, connection: ConnectionId) -> Vec<ServerFrame> {
        let guest = self.driver.guests.get_mut(&connection).expect("the test reads from connections that are open");
        guest.received.drain(..).map(|frame| frames::decode(&frame)).collect()
    }

    /// The code of the one GoAway that the client has received, and with which it was closed.
    pub(crate) fn goodbye(&mut self, connection: ConnectionId) -> Option<Code> {
        let code = self.driver.guests.get(&connection).and_then(|guest| guest.closed)?;
        let frames = self.read(connection);
        assert_eq!(frames.last().map(ServerFrame::kind), Some(ServerFrame::GoAway(code)), "{frames:?}");
        Some(code)
    }

    pub(crate) fn link_up(&mut self) {
        self.is_link_up = true;
        self.router.reconnect();
        self.shard.handle_link(self.now, LinkEvent::Up);
        self.settle();
    }

    pub(crate) fn link_down(&mut self) {
        self.is_link_up = false;
        self.router.disconnect();
        self.shard.handle_link(self.now, LinkEvent::Down);
        self.settle();
    }

    /// The router sends something out of its own will.
    pub(crate) fn push(&mut self, message: &RouterMessage<'_>) {
        self.router.end.send_to_gateway(message).expect("tests push little");
        self.settle();
    }

    /// A batch with this message as it would come from a router that is wrong.
    pub(crate) fn push_wrong(&mut self, message: &RouterMessage<'_>) -> Result<(), LinkError> {
        self.router.end.send_to_gateway(message).expect("tests push little");
        let batch = self.router.end.poll_batch().expect("it was just put in");
        self.shard.handle_link_batch(self.now, batch)
    }

    pub(crate) fn is_held(&self, connection: ConnectionId) -> bool {
        self.driver.guests.get(&connection).is_some_and(|guest| guest.flow != Flow::Continue)
    }

    pub(crate) fn name_of(user: UserId) -> String {
        handle_of(user)
    }
}
