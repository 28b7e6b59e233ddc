//! Thousands of random lives of a shard against a model that knows only what a client and a router can see.
//!
//! Clients: a Welcome comes first, events come without gap or repetition over every break, the newest of a device wins.
//! Router (and the assertions of its support): requests come once, in order, from open sessions only. In the end
//! everything that was held has left, router and driver agree on who is there, and the counters add up.

mod fired;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gateway_core::{AuthRefusal, CloseCause, ConnectionId, Identity, LinkEvent, Peer, ShardConfig, ShardCounters};
use protocol::codes::Code;
use protocol::ids::{DeviceId, UserId, UserSeq};
use protocol::limits::BODY_SIZE_MAX;
use protocol::link::{Batch, ConnectionKey, LINK_HEARTBEAT_INTERVAL, LinkEnd, LinkError, RouterMessage};

use crate::support::World;
use crate::support::frames::{self, Hello, ServerFrame};
use crate::support::random::Random;
use fired::Fired;

const SEEDS: u64 = 2_000;
const STEPS: u64 = 250;

#[test]
fn whatever_happens_a_shard_keeps_its_promises() {
    let mut fired = Fired::default();
    for seed in 0..SEEDS {
        let end = catch_unwind(AssertUnwindSafe(|| Life::new(seed).run()));
        let Ok((trace, counters)) = end else { panic!("seed {seed} breaks a promise: see above") };
        if seed.is_multiple_of(10) {
            assert_eq!(
                (trace, counters.clone()),
                Life::new(seed).run(),
                "seed {seed}: the same life goes the same way"
            );
        }
        fired.add(&counters);
    }
    fired.check();
}

/// What a client knows of itself.
#[derive(Default)]
struct Client {
    hello: Option<Hello>,
    user: Option<UserId>,
    is_welcome: bool,
    cursor: UserSeq,
    messages_sent: u64,
}

struct Life {
    random: Random,
    world: World,
    clients: BTreeMap<ConnectionId, Client>,
    /// Which connection was welcomed last, and when.
    newest: BTreeMap<(UserId, DeviceId), (Option<u64>, ConnectionId)>,
    /// The last user_seq that the router has sent to a session on this link.
    pushed: BTreeMap<ConnectionKey, UserSeq>,
    requests_seen: usize,
    messages_seen: BTreeMap<ConnectionKey, u64>,
    to_router: VecDeque<Batch>,
    to_gateway: VecDeque<Batch>,
    /// Several things happen between two drains.
    is_hasty: bool,
    floods: bool,
}

impl Life {
    fn new(seed: u64) -> Life {
        let config = ShardConfig {
            connections_max: 12,
            handshakes_max: 5,
            handshakes_per_address_max: 3,
            send_queue_bytes_max: 70_000,
            ..ShardConfig::default()
        };
        let mut world = World::without_router(config);
        world.router.is_lazy = true;
        world.shard.handle_link(world.now, LinkEvent::Up);
        world.is_link_up = true;
        Life {
            random: Random(seed),
            world,
            clients: BTreeMap::new(),
            newest: BTreeMap::new(),
            pushed: BTreeMap::new(),
            requests_seen: 0,
            messages_seen: BTreeMap::new(),
            to_router: VecDeque::new(),
            to_gateway: VecDeque::new(),
            is_hasty: seed % 4 == 3,
            floods: seed.is_multiple_of(200),
        }
    }

    fn run(mut self) -> (u64, ShardCounters) {
        for _ in 0..STEPS {
            self.step();
            if !self.is_hasty || self.random.one_in(3) {
                self.drain();
            }
        }
        self.finish();
        (self.world.driver.trace, self.world.shard.counters().clone())
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..8 => self.open(),
            8..20 => self.say_hello(),
            20..32 => self.judge(),
            32..52 => self.chat(),
            52..62 => self.answer(),
            62..74 => self.push(),
            74..84 => self.move_batches(),
            84..89 => self.pass(),
            89..93 => self.end(),
            93 => self.toggle_link(),
            94..96 => self.toggle_stuck(),
            96 => self.violate(),
            97 => self.world.router.pay_back(),
            98 if self.floods => self.flood(),
            _ => self.refuse(),
        }
    }

    fn pick_client(&mut self, is_meant: impl Fn(&Client) -> bool) -> Option<ConnectionId> {
        let meant: Vec<_> = self.clients.iter().filter(|(_, it)| is_meant(it)).map(|(id, _)| *id).collect();
        self.random.pick(&meant)
    }

    fn open(&mut self) {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.random.below(3) as u8));
        match self.world.shard.handle_open(self.world.now, Peer { address }) {
            Ok(connection) => {
                self.world.driver.admit(connection);
                self.clients.insert(connection, Client::default());
            }
            Err(_) => assert_eq!(self.clients.len(), 12, "a newcomer is refused only by a full shard"),
        }
    }

    fn say_hello(&mut self) {
        let Some(connection) = self.pick_client(|client| client.hello.is_none()) else { return };
        if self.random.one_in(10) {
            return self.receive(connection, &[0xff; 20]);
        }
        let hello = match self.random.below(5) {
            0 => Hello::transient(),
            device => Hello { device: DeviceId(10 + device % 2), ..Hello::default() },
        };
        self.send_hello(connection, &hello);
    }

    /// The first one of a connection counts.
    fn send_hello(&mut self, connection: ConnectionId, hello: &Hello) {
        let client = self.clients.get_mut(&connection).expect("it was picked");
        client.hello.get_or_insert_with(|| hello.clone());
        self.receive(connection, &hello.frame());
    }

    /// A verdict on any token there ever was, the latest most likely: some come twice, some too late.
    fn judge(&mut self) {
        let tokens: Vec<_> = self.world.driver.tokens.iter().map(|token| token.0).rev().take(4).collect();
        let Some(connection) = self.random.pick(&tokens) else { return };
        let user = UserId(1 + self.random.below(2));
        let expires_at = self.world.now.wall.plus(Duration::from_secs(3 + self.random.below(300)));
        let result = match self.random.below(8) {
            0 => Err(AuthRefusal::Invalid),
            _ => Ok(Identity { user, device: None, expires_at }),
        };
        if let Some(client) = self.clients.get_mut(&connection).filter(|client| client.user.is_none()) {
            client.user = result.ok().map(|_| user);
        }
        self.world.shard.handle_authenticated(self.world.now, connection, result);
    }

    /// Any client sends anything, also before it may.
    fn chat(&mut self) {
        let is_eager = self.random.one_in(8);
        let Some(connection) = self.pick_client(|client| client.is_welcome || is_eager) else { return };
        let size = self.random.below(300) as usize;
        match self.random.below(40) {
            0 => self.receive(connection, &[0xff; 20]),
            1 => self.send_hello(connection, &Hello::default()),
            2..4 => self.receive(connection, &frames::unknown(None)),
            4..7 => self.receive(connection, &frames::lookup()),
            7..14 => self.receive(connection, &frames::ping()),
            _ => self.say(connection, size),
        }
    }

    fn say(&mut self, connection: ConnectionId, size: usize) {
        let client = self.clients.get_mut(&connection).expect("it was picked");
        client.messages_sent += 1;
        let frame = frames::message(self.world.now.wall, client.messages_sent, size);
        self.receive(connection, &frame);
    }

    /// Uses up the window of the link.
    fn flood(&mut self) {
        let Some(connection) = self.pick_client(|client| client.is_welcome) else { return };
        for _ in 0..180 {
            if self.world.is_held(connection) {
                return;
            }
            self.say(connection, BODY_SIZE_MAX);
        }
    }

    fn receive(&mut self, connection: ConnectionId, frame: &[u8]) {
        self.world.driver.receive(self.world.now, &mut self.world.shard, connection, frame);
    }

    fn answer(&mut self) {
        while self.world.router.answer_next() && !self.random.one_in(3) {}
        for (key, open) in &self.world.router.sessions {
            self.pushed.entry(*key).or_insert(open.user_cursor);
        }
    }

    fn refuse(&mut self) {
        let asked = self.world.router.asked.iter().map(|open| open.connection);
        let keys: Vec<_> = asked.chain(self.world.router.sessions.keys().copied()).collect();
        let Some(key) = self.random.pick(&keys) else { return };
        self.world.router.refuse(key, Code::DeviceRevoked);
        self.pushed.remove(&key);
    }

    /// A page for one session, or one event for one session or for several at a time.
    fn push(&mut self) {
        let keys: Vec<_> = self.world.router.sessions.keys().copied().collect();
        let Some(key) = self.random.pick(&keys) else { return };
        if self.random.one_in(8) {
            let page = frames::page(self.random.below(60_000) as usize);
            let message = RouterMessage::Deliver { connection: key, user_seq_last: UserSeq(0), frame: &page };
            return self.world.router.end.send_to_gateway(&message).expect("the gateway pays back at once");
        }
        let mut next = |key| {
            let last = self.pushed.get_mut(&key).expect("every session has its cursor");
            *last = last.next();
            *last
        };
        let end = &mut self.world.router.end;
        if self.random.one_in(3) {
            let targets: Vec<_> = keys.iter().map(|key| (*key, next(*key))).collect();
            let (at, frame) = frames::push_template();
            end.send_fanout(&targets, at, &frame).expect("the gateway pays back at once");
        } else {
            let user_seq_last = next(key);
            let message =
                RouterMessage::Deliver { connection: key, user_seq_last, frame: &frames::push(user_seq_last) };
            end.send_to_gateway(&message).expect("the gateway pays back at once");
        }
    }

    /// Some of what is under way on the link arrives.
    fn move_batches(&mut self) {
        if !self.world.is_link_up {
            return;
        }
        self.to_router.extend(std::iter::from_fn(|| self.world.shard.poll_batch()));
        self.to_gateway.extend(std::iter::from_fn(|| self.world.router.end.poll_batch()));
        for _ in 0..self.random.below(4) {
            if let Some(batch) = self.to_router.pop_front() {
                self.world.router.take(&batch);
            }
        }
        for _ in 0..self.random.below(4) {
            if let Some(batch) = self.to_gateway.pop_front() {
                match self.world.shard.handle_link_batch(self.world.now, batch) {
                    Ok(()) => {}
                    Err(LinkError::Silent) => return self.renew_link(),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// The shell drops a link that is down for the shard, and makes a new one.
    fn renew_link(&mut self) {
        self.toggle_link();
        self.toggle_link();
    }

    fn toggle_link(&mut self) {
        if self.world.is_link_up {
            self.to_router.clear();
            self.to_gateway.clear();
            self.pushed.clear();
            self.world.router.disconnect();
        }
        self.world.is_link_up = !self.world.is_link_up;
        let event = if self.world.is_link_up { LinkEvent::Up } else { LinkEvent::Down };
        self.world.shard.handle_link(self.world.now, event);
    }

    fn pass(&mut self) {
        let time = Duration::from_millis(match self.random.below(12) {
            0 => 40_000,
            1..4 => self.random.below(6_000),
            _ => self.random.below(500),
        });
        // Either everybody is awake and the router beats, or this process sleeps.
        let step = if self.random.one_in(4) { time } else { LINK_HEARTBEAT_INTERVAL };
        let mut rest = time;
        while !rest.is_zero() {
            let passed = rest.min(step);
            rest -= passed;
            let now = &mut self.world.now;
            (now.monotonic, now.wall) = (now.monotonic + passed, now.wall.plus(passed));
            self.world.shard.handle_timeout(*now);
            self.hear_beat();
        }
    }

    fn hear_beat(&mut self) {
        if !self.world.is_link_up {
            return;
        }
        let mut router = LinkEnd::default();
        router.beat();
        let beat = router.poll_batch().expect("a beat is due");
        if self.world.shard.handle_link_batch(self.world.now, beat).is_err() {
            assert!(!self.world.shard.has_link());
            self.renew_link();
        }
    }

    fn violate(&mut self) {
        let Some(connection) = self.pick_client(|_| true) else { return };
        self.world.shard.handle_violation(self.world.now, connection, Code::FrameTimeout);
    }

    fn toggle_stuck(&mut self) {
        let Some(connection) = self.pick_client(|client| client.is_welcome) else { return };
        let guest = self.world.driver.guests.get_mut(&connection).expect("clients and guests are the same");
        guest.is_stuck = !guest.is_stuck;
    }

    /// A socket ends: mostly one that was to be closed.
    fn end(&mut self) {
        let closed: Vec<_> =
            self.world.driver.guests.iter().filter(|it| it.1.closed.is_some()).map(|it| *it.0).collect();
        let connection = self.random.pick(&closed).or_else(|| self.pick_client(|_| true));
        if let Some(connection) = connection {
            self.end_of(connection);
        }
    }

    fn end_of(&mut self, connection: ConnectionId) {
        self.check_received(connection);
        self.clients.remove(&connection);
        self.newest.retain(|_, newest| newest.1 != connection);
        self.world.driver.end(self.world.now, &mut self.world.shard, connection, CloseCause::Lost);
    }

    fn drain(&mut self) {
        while self.world.driver.drain(self.world.now, &mut self.world.shard) {}
        let connections: Vec<_> = self.clients.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.check_received(connection));
        self.check_newest();
        self.check_requests();
        self.check_counters();
    }

    fn check_received(&mut self, connection: ConnectionId) {
        let frames = self.world.read(connection);
        let first_send = self.world.driver.guests.get(&connection).and_then(|guest| guest.first_send);
        let client = self.clients.get_mut(&connection).expect("clients and guests are the same");
        for frame in frames {
            match frame {
                ServerFrame::GoAwayWithin(code, ..) => {
                    let guest = self.world.driver.guests.get(&connection).expect("it has just received");
                    assert!(guest.closed == Some(code) || self.is_hasty);
                }
                ServerFrame::Welcome(welcome) => {
                    assert!(!client.is_welcome, "one Welcome");
                    client.is_welcome = true;
                    client.cursor = Hello::default().user_cursor;
                    assert_eq!(Some(welcome.user), client.user);
                    assert_eq!(Some(welcome.device), client.hello.as_ref().map(|hello| hello.device));
                    if welcome.device != DeviceId(0) {
                        let newest = self.newest.entry((welcome.user, welcome.device)).or_insert((None, connection));
                        *newest = (*newest).max((first_send, connection));
                    }
                }
                frame => {
                    assert!(client.is_welcome, "nothing before the Welcome: {frame:?}");
                    match frame {
                        ServerFrame::Push(user_seq) => {
                            assert_eq!(user_seq, client.cursor.next(), "no gap, no repetition");
                            client.cursor = user_seq;
                        }
                        ServerFrame::Pong(user_head, _) => assert!(user_head >= client.cursor),
                        _ => {}
                    }
                }
            }
        }
    }

    /// No device has two connections that are served.
    fn check_newest(&self) {
        let mut served = BTreeMap::new();
        for (connection, _) in self.world.driver.open() {
            let client = self.clients.get(&connection).expect("clients and guests are the same");
            let (Some(user), Some(hello), true) = (client.user, &client.hello, client.is_welcome) else { continue };
            if hello.device != DeviceId(0) {
                let other = served.insert((user, hello.device), connection);
                assert_eq!(other, None, "one connection of a device");
            }
        }
        if !self.is_hasty {
            assert!(
                served.iter().all(|(device, connection)| self.newest.get(device).map(|it| it.1) == Some(*connection))
            );
        }
    }

    /// Messages come to the router once and in the order in which their client has sent them.
    fn check_requests(&mut self) {
        for (key, frame) in &self.world.router.requests[self.requests_seen..] {
            let Some(number) = frames::message_number(frame) else { continue };
            let last = self.messages_seen.insert(*key, number);
            assert!(last < Some(number), "{number} after {last:?}");
        }
        self.requests_seen = self.world.router.requests.len();
    }

    fn check_counters(&self) {
        let (counters, driver) = (self.world.shard.counters(), &self.world.driver);
        let open = counters.connections_opened - counters.connections_ended;
        assert_eq!(open, driver.guests.len() as u64);
        assert_eq!(self.world.shard.connections_count(), driver.guests.len() as u32);
        let shard = [counters.closes.total(), counters.frames_sent.total(), counters.sent_bytes];
        let seen = [driver.closes, driver.sends, driver.send_bytes];
        if self.is_hasty {
            assert!(shard.iter().zip(seen).all(|(shard, seen)| *shard >= seen), "{shard:?} {seen:?}");
        } else {
            assert_eq!(shard, seen);
        }
    }

    /// The faults end: everything has to come to rest, and then to its end.
    fn finish(&mut self) {
        self.drain();
        if !self.world.is_link_up {
            self.toggle_link();
        }
        self.world.driver.guests.values_mut().for_each(|guest| guest.is_stuck = false);
        while !self.to_router.is_empty() || !self.to_gateway.is_empty() || !self.is_at_rest() {
            self.move_batches();
            self.drain();
            self.answer();
            self.world.router.pay_back();
        }
        self.drain();
        let live = self.world.driver.open().filter(|(id, _)| self.clients.get(id).is_some_and(|it| it.is_welcome));
        let live: Vec<_> = live.map(|(id, guest)| (ConnectionKey::from(id), guest.unread.len())).collect();
        assert!(live.iter().all(|(_, unread)| *unread == 0), "what was held has left");
        assert!(
            live.iter().map(|it| it.0).eq(self.sessions_in_order_of_connection()),
            "both ends agree on who is there"
        );

        for _ in 0..200 {
            self.world.now.monotonic = self.world.now.monotonic + Duration::from_secs(1);
            self.world.shard.handle_timeout(self.world.now);
        }
        self.drain();
        assert_eq!(self.world.driver.open().count(), 0, "nobody is kept who is not heard of");
        let rest: Vec<_> = self.clients.keys().copied().collect();
        rest.into_iter().for_each(|connection| self.end_of(connection));
        self.drain();
        assert_eq!(self.world.shard.poll_timeout(), None);
    }

    fn sessions_in_order_of_connection(&self) -> impl Iterator<Item = ConnectionKey> {
        let mut ids: Vec<_> = self.world.router.sessions.keys().map(|key| ConnectionId::from(*key)).collect();
        ids.sort_unstable();
        ids.into_iter().map(ConnectionKey::from)
    }

    /// Whether the link has nothing more to carry; takes what it has.
    fn is_at_rest(&mut self) -> bool {
        self.to_router.extend(std::iter::from_fn(|| self.world.shard.poll_batch()));
        self.to_gateway.extend(std::iter::from_fn(|| self.world.router.end.poll_batch()));
        self.to_router.is_empty() && self.to_gateway.is_empty() && self.world.router.asked.is_empty()
    }
}
