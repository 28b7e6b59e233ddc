//! All rules together: a device that dies at any moment, a connection that breaks at any byte, a server that loses and
//! refuses, clocks that are wrong. Every message that was called queued is acked and is there once; every event is shown,
//! in order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::client::{ClientEvent, Draft, IN_FLIGHT_MAX};
use protocol::ids::{ClientMsgId, Seq, UserSeq};
use protocol::time::{Instant, WallTime};
use protocol::wire::ClientBody;

use crate::device::{Device, START, body_type, view};
use crate::frames::{BOB, conversation};
use crate::server::{Mood, Server};

const SEEDS: u64 = 300;
const STEPS: usize = 1_500;
const SENDS_MAX: u64 = 60;

struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let value = (value ^ (value >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        value ^ (value >> 32)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the people in front of the device have seen. It outlives the device.
#[derive(Default)]
struct Seen {
    ids: BTreeMap<u64, ClientMsgId>,
    acked: BTreeMap<u64, Seq>,
    user_seq: u64,
    is_anywhere: bool,
}

#[derive(Default, Debug)]
struct Tally {
    crashes: u64,
    cuts: u64,
    retries: u64,
    syncs: u64,
    renames: u64,
    shown_again: u64,
    refusals: u64,
    pulls: u64,
}

struct World {
    random: Random,
    device: Device,
    server: Server,
    seen: Seen,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    is_connected: bool,
    /// Whether the server may lose and refuse: then messages may overtake each other.
    is_server_moody: bool,
    texts: u64,
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            random: Random(seed),
            device: Device::new(),
            server: Server::default(),
            seen: Seen::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            is_connected: false,
            is_server_moody: seed % 2 == 1,
            texts: 0,
            tally: Tally::default(),
        };
        world.mind_the_device();
        world.device.now.wall = world.wrong_clock();
        world
    }

    fn mind_the_device(&mut self) {
        (self.device.writes_at_once, self.device.applies_at_once) = (false, false);
        self.device.settle();
    }

    fn wrong_clock(&mut self) -> WallTime {
        let days = |count| Duration::from_secs(count * 24 * 3600);
        match self.random.below(4) {
            0 => self.server_time().minus(days(self.random.below(500))),
            1 => self.server_time().plus(days(self.random.below(500))),
            _ => self.server_time(),
        }
    }

    fn server_time(&self) -> WallTime {
        START.wall.plus(self.device.now.monotonic.since(START.monotonic))
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..18 => self.carry_up(),
            18..36 => self.carry_down(),
            36..46 => self.push(),
            46..50 => self.server.hear_from_bob(),
            50..58 => self.send(),
            58..60 => self.read(),
            60..74 => self.write(),
            74..88 => self.show(),
            88..93 => self.wait(),
            93..94 => self.pull(),
            94..96 => self.cut(),
            96..97 => self.crash(),
            97..98 if self.is_connected && self.is_server_moody => {
                self.down.push_back(self.server.begin_again());
            }
            _ => self.dial(),
        }
        self.collect();
    }

    /// What the device did.
    fn collect(&mut self) {
        if self.device.disconnects > 0 {
            self.device.disconnects = 0;
            self.end_connection();
        }
        while let Some(frame) = self.device.transmitted.pop_front() {
            self.note(&frame);
            if self.is_connected {
                self.up.push_back(frame);
            }
        }
        self.device.events.clear();
    }

    fn note(&mut self, frame: &[u8]) {
        match body_type(frame) {
            ClientBody::MessageSend => {
                let attempt = view(frame).body_as_message_send().expect("a message").attempt();
                self.tally.retries += u64::from(attempt > 0);
            }
            ClientBody::SyncGet => self.tally.syncs += 1,
            ClientBody::Ack => {
                let acked = view(frame).body_as_ack().expect("an Ack").user_seq();
                assert!(acked <= self.seen.user_seq, "acked {acked}, shown {}", self.seen.user_seq);
                assert!(acked <= self.device.disk.position.user_seq.0, "acked {acked} and did not store it");
            }
            _ => {}
        }
    }

    fn dial(&mut self) {
        if std::mem::take(&mut self.device.is_dialing) {
            self.is_connected = self.random.chance(80);
            if self.is_connected {
                self.device.session.handle_connected(self.device.now, "token");
                self.device.settle();
            } else {
                self.device.lose_connection();
            }
        }
    }

    fn end_connection(&mut self) {
        self.is_connected = false;
        self.up.clear();
        self.down.clear();
        self.server.connection_lost();
    }

    /// Some of what is under way still arrives.
    fn cut(&mut self) {
        if self.is_connected {
            self.tally.cuts += 1;
            let arrive = self.random.below(self.up.len() as u64 + 1);
            (0..arrive).for_each(|_| self.carry_up());
            self.end_connection();
            self.device.lose_connection();
        }
    }

    fn crash(&mut self) {
        self.tally.crashes += 1;
        self.end_connection();
        for _ in 0..self.random.below(self.device.unwritten.len() as u64 + 1) {
            let (_, change) = self.device.unwritten.pop_front().expect("counted");
            self.device.disk.apply(&change);
        }
        if self.random.chance(50) && !self.device.unapplied.is_empty() {
            self.look();
        }
        let now = self.device.now;
        self.device = Device::with_seed(self.device.disk.clone(), self.random.draw());
        self.device.now.monotonic = now.monotonic;
        self.device.now.wall = self.wrong_clock();
        self.mind_the_device();
    }

    fn carry_up(&mut self) {
        let Some(frame) = self.up.pop_front() else { return };
        let mood = match self.random.below(8) {
            0 if self.is_server_moody => Mood::Loses,
            1 if self.is_server_moody => Mood::RefusesForNow,
            2 => Mood::TakesAndForgetsToSay,
            _ => Mood::Takes,
        };
        self.tally.refusals += u64::from(mood == Mood::RefusesForNow && body_type(&frame) == ClientBody::MessageSend);
        let answers = self.server.receive(self.server_time(), &frame, mood);
        self.down.extend(answers);
    }

    fn carry_down(&mut self) {
        if let Some(frame) = self.down.pop_front() {
            self.device.receive(&frame);
        }
    }

    fn push(&mut self) {
        let frame = self.server.push(1 + self.random.below(4));
        let is_lost = self.is_server_moody && self.random.chance(15);
        self.down.extend(frame.filter(|_| !is_lost));
    }

    fn pull(&mut self) {
        let frame = self.server.begin_pull();
        self.tally.pulls += u64::from(frame.is_some());
        self.down.extend(frame);
    }

    fn send(&mut self) {
        if self.texts < SENDS_MAX {
            self.texts += 1;
            let body = self.texts.to_le_bytes().to_vec();
            let draft = Draft { body, ..Draft::text(conversation(), Some(BOB), "") };
            self.device.session.send_message(self.device.now, &draft).expect("there is room");
            self.device.settle();
        }
    }

    fn read(&mut self) {
        let up_to = Seq(self.random.below(self.server.last_seq().0 + 1));
        self.device.read(up_to);
    }

    fn write(&mut self) {
        if !self.device.unwritten.is_empty() {
            self.device.write_next();
        }
    }

    fn show(&mut self) {
        if !self.device.unapplied.is_empty() {
            self.look();
            self.device.apply_next();
        }
    }

    /// The next event is on the screen, and the device does not know yet.
    fn look(&mut self) {
        let (_, event) = self.device.unapplied.front().expect("something to look at");
        match event {
            ClientEvent::Queued { client_msg_id, draft, replaces } => {
                let text = u64::from_le_bytes(draft.body.as_slice().try_into().expect("8 bytes"));
                let before = self.seen.ids.insert(text, *client_msg_id);
                self.tally.renames += u64::from(replaces.is_some());
                if before.is_some_and(|before| before != *client_msg_id) {
                    let before = before.expect("it is some");
                    assert!(self.server.place_of(before).is_none(), "renamed what is there under its first name");
                }
            }
            ClientEvent::Acked(acked) => {
                let text = self.seen.ids.iter().find(|(_, id)| **id == acked.client_msg_id).map(|(text, _)| *text);
                let before = self.seen.acked.insert(text.expect("queued is told before acked"), acked.seq);
                assert!(before.is_none_or(|before| before == acked.seq));
                assert_eq!(self.server.place_of(acked.client_msg_id), Some(acked.seq));
            }
            ClientEvent::Stream { user_seq, event, is_repeat } => {
                assert!(!is_repeat, "this server repeats nothing at another place");
                assert_eq!(event, self.server.event(*user_seq));
                assert!(user_seq.0 <= self.seen.user_seq + 1, "{user_seq} after {}", self.seen.user_seq);
                self.tally.shown_again += u64::from(user_seq.0 <= self.seen.user_seq);
                self.seen.user_seq = self.seen.user_seq.max(user_seq.0);
            }
            ClientEvent::Snapshot(snapshot) => {
                let UserSeq(at) = snapshot.position.user_seq;
                assert!(!self.seen.is_anywhere || at >= self.seen.user_seq);
                (self.seen.is_anywhere, self.seen.user_seq) = (true, at);
            }
            other => panic!("{other:?} is not to come"),
        }
    }

    fn wait(&mut self) {
        if let Some(at) = self.device.session.poll_timeout() {
            assert!(at <= self.device.now.monotonic + Duration::from_secs(3_600), "it waits for ever");
            self.device.wait_for_timeout();
        }
    }

    /// No more faults: everything must finish.
    fn finish(&mut self) {
        if std::mem::take(&mut self.is_server_moody) {
            // The last one of all is lost, so that no later one shows the gap.
            self.texts = SENDS_MAX;
            self.server.hear_from_bob();
            self.server.push(u64::MAX);
        }
        let deadline = self.device.now.monotonic + Duration::from_secs(1_800);
        while !self.is_done() {
            assert!(self.device.now.monotonic < deadline, "it does not finish");
            while !(self.up.is_empty() && self.down.is_empty()) {
                let answers =
                    self.up.pop_front().map(|frame| self.server.receive(self.server_time(), &frame, Mood::Takes));
                self.down.extend(answers.into_iter().flatten());
                self.carry_down();
                self.collect();
            }
            self.down.extend(self.server.push(100));
            while !(self.device.unwritten.is_empty() && self.device.unapplied.is_empty()) {
                self.write();
                self.show();
                self.collect();
            }
            self.dial();
            self.collect();
            if self.up.is_empty() && self.down.is_empty() && self.is_quiet() && !self.is_done() {
                self.wait();
                self.collect();
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.device.unwritten.is_empty() && self.device.unapplied.is_empty() && !self.device.is_dialing
    }

    fn is_done(&self) -> bool {
        self.device.session.is_online()
            && self.is_quiet()
            && self.device.session.outbox_len() == 0
            && self.server.acked == self.server.head()
            && self.seen.user_seq == self.server.head()
    }
}

fn run(seed: u64) -> (World, Instant) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    let was_moody = world.is_server_moody;
    world.finish();
    for (text, id) in &world.seen.ids {
        assert!(world.seen.acked.contains_key(text), "text {text}, queued as {id}, was never acked");
    }
    let mut texts = world.server.texts.clone();
    if !was_moody {
        assert!(texts.is_sorted(), "without refusals messages are there in the order in which they were sent");
    }
    texts.sort_unstable();
    assert!(texts.windows(2).all(|pair| pair[0] != pair[1]), "a message is there twice");
    assert!(world.device.disk.outbox.is_empty());
    assert_eq!(world.device.disk.position.user_seq.0, world.server.head());
    let now = world.device.now.monotonic;
    (world, now)
}

#[test]
fn every_message_is_acked_and_there_once_and_every_event_is_shown() {
    let mut total = Tally::default();
    for seed in 0..SEEDS {
        let tally = run(seed).0.tally;
        total.crashes += tally.crashes;
        total.cuts += tally.cuts;
        total.retries += tally.retries;
        total.syncs += tally.syncs;
        total.renames += tally.renames;
        total.shown_again += tally.shown_again;
        total.refusals += tally.refusals;
        total.pulls += tally.pulls;
    }
    let Tally { crashes, cuts, retries, syncs, renames, shown_again, refusals, pulls } = total;
    let counts = [crashes, cuts, retries, syncs, renames, shown_again, refusals, pulls];
    assert!(counts.iter().all(|count| *count > SEEDS / 10), "nothing was tried: {total:?}");
}

#[test]
fn a_seed_runs_the_same_twice() {
    let (one, one_end) = run(7);
    let (other, other_end) = run(7);
    assert_eq!((one_end, one.server.texts, one.seen.acked), (other_end, other.server.texts, other.seen.acked));
}

#[test]
fn a_full_outbox_drains_in_order_through_a_bad_connection() {
    let mut world = World::new(0);
    for text in 0..IN_FLIGHT_MAX as u64 * 5 {
        let draft = Draft { body: text.to_le_bytes().to_vec(), ..Draft::text(conversation(), Some(BOB), "") };
        world.device.session.send_message(world.device.now, &draft).expect("there is room");
    }
    world.device.settle();
    world.texts = SENDS_MAX;
    (0..STEPS * 3).for_each(|_| world.step());
    world.finish();
    assert!(world.server.texts.is_sorted() && world.tally.cuts > 0);
}
