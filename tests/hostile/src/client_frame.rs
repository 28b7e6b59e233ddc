//! Target `client_frame`: clients that send anything at any moment to a whole server.
//!
//! The input is a run of steps, each a number and what it needs: connections come, say Hello, send frames made of bytes
//! or made properly with wild fields, and go; links break, time passes, the process behind them dies. Nothing may panic,
//! every rule between driver, gateway, router and store is kept, and what clients are sent is what [`crate::eye`] allows.

use std::time::Duration;

use gateway_core::{CloseCause, ConnectionId};
use protocol::client::{Draft, HistoryRange, MemberDraft, RequestId};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq,
};
use protocol::limits::BODY_SIZE_MAX;
use protocol::server::Hello;
use protocol::wire::{ConversationKind, Encryption, MembershipAction, Role};

use crate::backend::{self, HANDLES};
use crate::input::Input;
use crate::seed::Seed;
use crate::server::{START, Server};

/// Longer inputs find nothing that shorter ones do not.
const STEPS_MAX: usize = 192;
/// Each reads the whole log.
const LIVES_MAX: u64 = 3;

const OPEN: u8 = 0;
const HELLO: u8 = 1;
const FRAME: u8 = 2;
const MESSAGE: u8 = 3;
const CREATE: u8 = 4;
const CHANGE: u8 = 5;
const CURSOR: u8 = 6;
const QUESTION: u8 = 7;
const LINK: u8 = 8;
const PASS: u8 = 9;
const END: u8 = 10;
const STUCK: u8 = 11;
const VIOLATE: u8 = 12;
const PRESSURE: u8 = 13;
const RESTART: u8 = 14;
const DRAIN: u8 = 15;
const STEP_KINDS: u8 = 16;

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let (mut server, mut input) = (Server::new(), Input::new(bytes));
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            return;
        }
        step(&mut server, &mut input);
    }
}

fn step(server: &mut Server, input: &mut Input<'_>) {
    let kind = input.u8() % STEP_KINDS;
    match kind {
        OPEN => {
            server.open(input.u8() % 3);
        }
        LINK => server.toggle_link(),
        PASS => server.pass(Duration::from_millis(u64::from(input.u16())) * u32::from(input.u8() % 8 + 1)),
        PRESSURE => server.pressure(input.flag()),
        RESTART if server.lives() < LIVES_MAX => server.restart_backend(input.flag()),
        DRAIN => server.drain(),
        RESTART => {}
        _ => {
            let connections = server.connections();
            if let Some(connection) = input.pick(&connections) {
                step_of(server, kind, connection, input);
            }
        }
    }
}

fn step_of(server: &mut Server, kind: u8, connection: ConnectionId, input: &mut Input<'_>) {
    let builder = &mut FrameBuilder::default();
    let frame = match kind {
        HELLO => return hello(server, connection, input),
        END => return server.end(connection, if input.flag() { CloseCause::ByPeer } else { CloseCause::Lost }),
        STUCK => return server.toggle_stuck(connection),
        VIOLATE => return server.violate(connection, if input.flag() { Code::FrameTimeout } else { Code::SlowReader }),
        FRAME => return server.send(connection, input.bytes()),
        MESSAGE => message(builder, input),
        CREATE => {
            let (id, title_size) = (client_id(input), usize::from(input.u16() % 300));
            let kind = if input.flag() { ConversationKind::Channel } else { ConversationKind::Group };
            builder.conversation_create(id, kind, &"t".repeat(title_size), &users(input))
        }
        CHANGE => {
            let id = client_id(input);
            let draft = MemberDraft {
                conversation: conversation(input),
                action: MembershipAction(input.u8() % 8),
                users: users(input),
                role: Role(input.u8() % 5),
            };
            builder.member_change(id, &draft)
        }
        CURSOR => match input.u8() % 4 {
            0 => builder.ack(UserSeq(number(input))),
            1 => builder.sync_get(RequestId(input.u32()), UserSeq(number(input))),
            2 => builder.message_read(conversation(input), Seq(number(input))),
            _ => builder.typing(conversation(input), input.flag()),
        },
        _ => question(builder, input),
    };
    server.send(connection, frame);
}

/// Registers, says that it is a device of before, or has none.
fn hello(server: &mut Server, connection: ConnectionId, input: &mut Input<'_>) {
    let (who, how) = (usize::from(input.u8() % 4), input.u8() % 4);
    let cursor = UserSeq(number(input));
    let known = server.connections().into_iter().filter_map(|other| server.eye(other)?.device).next_back();
    let (device, device_generation) = match how {
        0 => (DeviceId(0), DeviceGeneration(0)),
        1 => known.unwrap_or((DeviceId(1), DeviceGeneration(1))),
        _ => (DeviceId(u64::from(input.u8())), DeviceGeneration(u32::from(input.u8()))),
    };
    let hello = Hello {
        is_transient: how == 3,
        device,
        device_generation,
        install_id: (how == 0).then(|| client_id(input)),
        device_name: "fuzzer".into(),
        store_incarnation: StoreIncarnation(1),
        user_epoch: UserEpoch(1),
        user_cursor: cursor,
    };
    if let Some(eye) = server.eye(connection) {
        eye.claim(cursor);
    }
    let token = HANDLES.get(who).copied().unwrap_or("nobody");
    server.send(connection, FrameBuilder::default().hello(&hello, token, None));
}

fn message<'a>(builder: &'a mut FrameBuilder, input: &mut Input<'_>) -> &'a [u8] {
    let (id, attempt) = (client_id(input), u16::from(input.u8() % 3));
    let (conversation, peer) = (conversation(input), input.u8());
    let body_size = match input.u8() {
        0 => BODY_SIZE_MAX + 1,
        1 => BODY_SIZE_MAX,
        size => usize::from(size),
    };
    let draft = Draft {
        conversation,
        direct_peer: (peer % 4 > 0).then(|| backend::user(usize::from(peer % 4) - 1)),
        client_msg_id: None,
        content_type: "c".repeat(usize::from(input.u8())),
        encryption: Encryption(input.u8() % 3),
        body: vec![b'b'; body_size],
        reply_to: Some(Seq(number(input))),
        mentions: users(input),
        expires_in_s: input.u32(),
    };
    builder.message_send(id, attempt, &draft)
}

fn question<'a>(builder: &'a mut FrameBuilder, input: &mut Input<'_>) -> &'a [u8] {
    let request_id = RequestId(input.u32());
    match input.u8() % 5 {
        4 => {
            let channels: Vec<_> = (0..input.u8() % 4).map(|_| conversation(input)).collect();
            builder.channel_follow(request_id, &channels)
        }
        0 => {
            let range = match input.u8() % 3 {
                0 => HistoryRange::Newest,
                1 => HistoryRange::Before(Seq(number(input))),
                _ => HistoryRange::After(Seq(number(input))),
            };
            builder.history_get(request_id, conversation(input), range, input.u16() % 256)
        }
        1 => builder.members_get(request_id, conversation(input)),
        2 => {
            let handles: Vec<String> = (0..input.u8() % 70).map(|_| "h".repeat(usize::from(input.u8() % 70))).collect();
            builder.user_lookup(request_id, &handles, &users(input))
        }
        _ => builder.ping(),
    }
}

/// Small, or near an end of its range.
fn number(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        0 => u64::MAX - u64::from(input.u8()),
        1 => input.u64(),
        small => u64::from(small) - 2,
    }
}

fn users(input: &mut Input<'_>) -> Vec<UserId> {
    let count = input.u8() % 72;
    (0..count).map(|_| backend::user(usize::from(input.u8() % 5))).collect()
}

/// One of the few that each client uses, of now or of some other time.
fn client_id(input: &mut Input<'_>) -> ClientMsgId {
    let number = input.u8();
    let age = match number >> 4 {
        15 => Duration::from_secs(7 * 24 * 3600),
        _ => Duration::ZERO,
    };
    ClientMsgId::new(START.wall.minus(age), u128::from(number))
}

/// A direct one of two users, or a group that a client of this input may have created.
fn conversation(input: &mut Input<'_>) -> ConversationId {
    let choice = input.u8();
    let (one, other) = (usize::from(choice >> 2 & 3), usize::from(choice & 3));
    match choice >> 4 {
        0 => ConversationId::direct(backend::user(one), backend::user(other)),
        device => {
            let id = ClientMsgId::new(START.wall, u128::from(input.u8()));
            ConversationId::created_by(backend::user(one), DeviceId(u64::from(device % 4)), id)
        }
    }
}

/// Whatever has a number, with the largest there is.
fn ends_of_ranges() -> Vec<u8> {
    let largest = [0, 0];
    let cursors = (0..3).map(|kind| match kind {
        0 => [&[CURSOR, 1, 0][..], &largest].concat(),
        1 => [&[CURSOR, 1, 1, 1, 0, 0, 0][..], &largest].concat(),
        _ => [&[CURSOR, 1, 2, 1][..], &largest].concat(),
    });
    let histories = [1, 2].map(|range| [&[QUESTION, 1, 1, 0, 0, 0, 0, range][..], &largest, &[1, 20, 0]].concat());
    cursors.chain(histories).flatten().collect()
}

/// Every frame that a client has, to a server on which two people talk.
pub fn seeds() -> Vec<Seed> {
    let two_people = [[OPEN, 0], [OPEN, 0]].concat();
    let hello = |connection: u8, who: u8| [HELLO, connection, who, 0, 2, connection];
    let introduction = [&two_people[..], &hello(0, 0), &hello(1, 1)].concat();
    // From alice to bob: id, attempt, conversation, peer, body, content type, encryption, reply, mentions, expiry.
    let message = |id: u8, size: u8| [MESSAGE, 0, id, 0, 1, 2, size, 10, 0, 2, 1, 1, 0, 0, 0, 0];
    let talk = [&introduction[..], &message(1, 5), &message(2, 1), &message(1, 5)].concat();
    let mut seeds = vec![
        Seed::new("talk", &talk),
        Seed::new("ends-of-ranges", &[&talk[..], &ends_of_ranges()].concat()),
        Seed::new("restart", &[&talk[..], &[RESTART, 1, PASS, 0, 4, 3], &message(2, 1)].concat()),
        Seed::new("resume", &[&talk[..], &[RESTART, 1, OPEN, 0, HELLO, 2, 1, 1, 2]].concat()),
        Seed::new("link", &[&talk[..], &[LINK, MESSAGE, 0, 3, 0, 1, 2, 9, 0, 0, 2, 0, 0, 0, 0, 0, LINK]].concat()),
        Seed::new(
            "cursors",
            &[&talk[..], &[CURSOR, 1, 0, 3, CURSOR, 1, 1, 1, 0, 0, 0, 2, CURSOR, 1, 2, 1, 3]].concat(),
        ),
        Seed::new("history", &[&talk[..], &[QUESTION, 1, 1, 0, 0, 0, 0, 0, 1, 20, 0]].concat()),
        Seed::new(
            "group",
            &[&introduction[..], &[CREATE, 0, 1, 9, 0, 2, 1, 2], &[CHANGE, 0, 2, 0x11, 1, 3, 1, 2, 1]].concat(),
        ),
        Seed::new("stuck", &[&introduction[..], &[STUCK, 1], &message(1, 1), &[PASS, 255, 255, 7, END, 0, 1]].concat()),
        Seed::new("drain", &[&talk[..], &[PRESSURE, 1], &message(4, 9), &[VIOLATE, 0, 1, DRAIN]].concat()),
    ];
    for (name, frame) in crate::golden::frames("ClientBody") {
        let size = u16::try_from(frame.len()).expect("a golden frame is small").to_le_bytes();
        let step = [&[FRAME, 0][..], &size, &frame].concat();
        seeds.push(Seed::new(&format!("frame-{name}"), &[&introduction[..], &step, &[PASS, 0, 4, 1]].concat()));
        seeds.push(Seed::new(&format!("first-{name}"), &[&[OPEN, 0][..], &step].concat()));
    }
    seeds
}
