//! What a message to a group costs the router, by the number of members: CPU of its thread, and bytes of its log.
//!
//! `group_cost FOLDER` runs routers on stores of their own in the folder, one after the other; in memory (`/dev/shm`) the
//! disk takes no part. The gateway's end of the link is here. Messages have 200 bytes; `online`: every member has a
//! session, and is pushed each of them.

#![allow(clippy::print_stdout, reason = "a terminal is the only reader")]

use std::fs;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use protocol::client::Draft;
use protocol::encode::FrameBuilder;
use protocol::frame;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Realm, StoreIncarnation, UserEpoch, UserId, UserSeq,
};
use protocol::link::{ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LinkEnd, RouterMessage, SessionOpen};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, ServerBody};
use protocol_shell::{LINK_BATCHES_MAX, LinkTransport};
use router_server::{RouterConfig, RouterServer, StoreConfig};
use storage_embedded::stat;

const MESSAGES: u64 = 100;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("group_cost FOLDER"));
    println!("members online  us/message  ns/member  log B/message  log B/member");
    for members in [2, 32, 256, 1024] {
        for is_online in [false, true] {
            let (cpu_ns, log_bytes) = cost(&folder.join(format!("{members}-{is_online}")), members, is_online);
            let each = |total: u64| total / MESSAGES / members;
            println!(
                "{members:>7} {is_online:>6} {:>11} {:>10} {:>14} {:>13}",
                cpu_ns / MESSAGES / 1000,
                each(cpu_ns),
                log_bytes / MESSAGES,
                each(log_bytes),
            );
        }
    }
}

/// CPU of the router's thread and bytes of the log for all messages.
fn cost(folder: &Path, members: u64, is_online: bool) -> (u64, u64) {
    let store = StoreConfig { disk_low_bytes: 0, ..StoreConfig::new(folder.to_owned()) };
    let server = RouterServer::start(RouterConfig::default(), &store, |_| {}).expect("the folder is ours");
    let ensure = |index| server.ensure_user(Realm(1), &format!("user-{index}")).expect("a healthy store").id;
    let users: Vec<UserId> = (0..members).map(ensure).collect();
    let (near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
    server.gate().let_in(far).expect("the router takes links");
    let mut gateway =
        Gateway { end: LinkEnd::default(), link: near, opened: 0, device: DeviceId(0), answers: 0, pushed: 0 };
    let group = gateway.gather(&users, is_online);

    let (cpu_before, bytes_before, pushed_before) = (router_cpu_ns(), log_bytes(folder), gateway.pushed);
    let draft = Draft::text(group, None, &"x".repeat(200));
    for number in 0..MESSAGES {
        gateway.request(FrameBuilder::default().message_send(id(2 + u128::from(number)), 0, &draft));
    }
    let pushes = MESSAGES * if is_online { members } else { 1 };
    gateway.run_until(|gateway| gateway.answers == 1 + MESSAGES && gateway.pushed == pushed_before + pushes);
    let cost = (router_cpu_ns() - cpu_before, log_bytes(folder) - bytes_before);
    drop(gateway);
    server.stop();
    fs::remove_dir_all(folder).expect("it is ours");
    cost
}

/// As much of a gateway as it takes.
struct Gateway {
    end: LinkEnd,
    link: LinkTransport,
    opened: usize,
    /// Of the first session.
    device: DeviceId,
    /// Acks of messages and operations.
    answers: u64,
    /// Events that sessions were given.
    pushed: u64,
}

impl Gateway {
    /// The first user makes a group of all.
    fn gather(&mut self, users: &[UserId], is_online: bool) -> ConversationId {
        let hello = GatewayHello { version: LINK_VERSION, gateway_id: 0, shard_index: 0, gateway_incarnation: 1 };
        self.send(&GatewayMessage::Hello(hello));
        let there = if is_online { users } else { users.get(..1).expect("somebody") };
        for (user, connection) in there.iter().zip(1..) {
            self.send(&GatewayMessage::SessionOpen(session_open(*user, connection)));
        }
        self.run_until(|gateway| gateway.opened == there.len());
        let (others, op) = (users.get(1..).expect("others"), id(1));
        self.request(FrameBuilder::default().conversation_create(op, ConversationKind::Group, "group", others));
        self.run_until(|gateway| gateway.answers == 1 && gateway.pushed == there.len() as u64);
        ConversationId::created_by(*users.first().expect("somebody"), self.device, op)
    }

    /// Of the first session.
    fn request(&mut self, frame: &[u8]) {
        self.send(&GatewayMessage::ClientRequest { connection: ConnectionKey(1), frame });
    }

    fn send(&mut self, message: &GatewayMessage<'_>) {
        self.end.send_to_router(message).expect("the window is open");
    }

    /// What there is room for.
    fn send_batches(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while self.link.sender.poll_room(&mut context).is_ready() {
            let Some(batch) = self.end.poll_batch() else { return };
            self.link.sender.send(batch).expect("the router lives");
        }
    }

    fn run_until(&mut self, is_done: impl Fn(&Gateway) -> bool) {
        let mut context = Context::from_waker(Waker::noop());
        self.send_batches();
        while !is_done(self) {
            let Poll::Ready(batch) = self.link.receiver.poll_receive(&mut context) else {
                std::thread::yield_now();
                continue;
            };
            let mut end = std::mem::take(&mut self.end);
            let handled = end.handle_batch_of_router(&batch.expect("the router lives"), |end, message| {
                self.take(end, message);
            });
            handled.expect("a valid batch");
            self.end = end;
            // It sends one a second at least, so it hears of us as often.
            self.end.beat();
            self.send_batches();
        }
    }

    fn take(&mut self, end: &mut LinkEnd, message: RouterMessage<'_>) {
        match message {
            RouterMessage::SessionOpened(opened) => {
                self.opened += 1;
                if opened.connection == ConnectionKey(1) {
                    self.device = opened.device;
                }
            }
            RouterMessage::Deliver { frame, .. } => {
                end.release(LinkEnd::cost(frame.len()));
                match frame::server_frame(frame).expect("a router sends valid frames").body_type() {
                    ServerBody::MessageAck | ServerBody::OpAck => self.answers += 1,
                    ServerBody::Push => self.pushed += 1,
                    ServerBody::Snapshot => {}
                    other => panic!("{other:?} has come"),
                }
            }
            RouterMessage::ChannelJoined { .. } | RouterMessage::Publish { .. } => {}
            RouterMessage::Fanout(fanout) => {
                let count = fanout.targets.iter().count();
                end.release(LinkEnd::fanout_cost(count, fanout.frame.len()));
                self.pushed += count as u64;
            }
            RouterMessage::Hello(_) => {}
            RouterMessage::SessionRefused { code, .. } => panic!("refused with {code:?}"),
        }
    }
}

fn session_open(user: UserId, connection: u64) -> SessionOpen<'static> {
    SessionOpen {
        connection: ConnectionKey(connection),
        user,
        device: DeviceId(0),
        device_generation: DeviceGeneration(0),
        install_id: Some(id(user.0.into())),
        device_name: "one of many",
        transient: false,
        store_incarnation: StoreIncarnation(0),
        user_epoch: UserEpoch(0),
        user_cursor: UserSeq(0),
        session: None,
    }
}

fn id(number: u128) -> ClientMsgId {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    ClientMsgId::new(WallTime(now.as_millis() as u64), number)
}

/// Of the thread, as the kernel counts it.
fn router_cpu_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("it runs on Linux");
    let mut tasks = tasks.map(|task| task.expect("a folder that can be read").path());
    let is_router = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "router");
    let task = tasks.find(is_router).expect("the router's thread");
    let schedstat = fs::read_to_string(task.join("schedstat")).expect("a thread that lives");
    schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}

/// Of all records.
fn log_bytes(folder: &Path) -> u64 {
    stat(folder).expect("a whole store").classes.iter().map(|class| class.bytes).sum()
}
