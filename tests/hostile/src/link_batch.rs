//! Target `link_batch`: the other end of a link sends anything.
//!
//! To a router: batches made of bytes, and requests of sessions in batches that are made properly, from a gateway that
//! keeps no rule. To a gateway: batches of a router that keeps none. An end that is told of an error is dropped and a new
//! link is made. Nothing may panic, and what comes back from an honest end is a valid batch.

use std::net::{IpAddr, Ipv4Addr};

use gateway_core::{Action, CloseCause, ConnectionId, Flow, Identity, LinkEvent, Peer, Shard, ShardConfig};
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId, SessionId, StoreIncarnation, UserEpoch, UserSeq};
use protocol::link::{
    ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LinkEnd, LinkError, RouterHello, RouterMessage,
    SessionOpen, SessionOpened,
};
use protocol::server::Hello;
use protocol::wire::Durability;
use router_core::LinkId;

use crate::backend::{self, Backend};
use crate::golden;
use crate::input::Input;
use crate::seed::Seed;
use crate::server::START;

const STEPS_MAX: usize = 96;
/// Answers beyond are as good as these.
const CONNECTIONS_MAX: usize = 4;

const BYTES: u8 = 0;
const HELLO: u8 = 1;
const OPEN: u8 = 2;
const CLOSE: u8 = 3;
const REQUEST: u8 = 4;
const CREDITS: u8 = 5;
const FANOUT: u8 = 6;
const DROP: u8 = 7;
const STEP_KINDS: u8 = 8;

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 3 {
        0 => both_ends(input.rest()),
        1 => to_router(&mut input),
        _ => to_gateway(&mut input),
    }
}

/// What the ends themselves make of a batch.
fn both_ends(batch: &[u8]) {
    let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
    let _verdict = router.handle_batch_of_gateway(batch, |end, message| {
        if let GatewayMessage::ClientRequest { frame, .. } = message {
            end.release(LinkEnd::cost(frame.len()));
        }
    });
    let _verdict = gateway.handle_batch_of_router(batch, |end, message| match message {
        RouterMessage::Deliver { frame, .. } => end.release(LinkEnd::cost(frame.len())),
        RouterMessage::Fanout(fanout) => {
            let targets_count = fanout.targets.iter().count();
            assert!(fanout.frame.get(fanout.user_seq_offset..).is_some_and(|rest| rest.len() >= 8));
            end.release(LinkEnd::fanout_cost(targets_count, fanout.frame.len()));
        }
        _ => {}
    });
    for batch in [router.poll_batch(), gateway.poll_batch()].into_iter().flatten() {
        // A fresh end has spent nothing, so whatever it is paid back is too much.
        let read = LinkEnd::default().handle_batch_of_router(&batch, |_, _| panic!("only credits are owed"));
        assert_eq!(read, Err(LinkError::CreditsOverflow));
    }
}

/// A gateway without manners, and the backend that has to bear it.
fn to_router(input: &mut Input<'_>) {
    let mut backend = Backend::new(START);
    let mut link = LinkId(1);
    backend.link_up(START, link);
    // Keeps no books: what it may send is its own affair.
    let mut gateway = LinkEnd::default();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            return;
        }
        let kind = input.u8() % STEP_KINDS;
        let mut is_refused = kind == DROP;
        if is_refused {
            backend.link_down(START, link);
        } else if kind == BYTES {
            is_refused = backend.take_batch(START, link, input.bytes()).is_err();
        } else {
            speak_to_router(&mut gateway, kind, input);
            while let Some(batch) = gateway.poll_batch().filter(|_| !is_refused) {
                is_refused = backend.take_batch(START, link, &batch).is_err();
            }
        }
        for (_, batch) in backend.settle(START) {
            let read = LinkEnd::default().handle_batch_of_router(&batch, |_, _| {});
            assert!(!matches!(read, Err(LinkError::Invalid)), "a router sends valid batches");
        }
        if is_refused || !std::mem::take(&mut backend.dropped).is_empty() {
            link = LinkId(link.0 + 1);
            backend.link_up(START, link);
            gateway.reset();
        }
    }
}

fn speak_to_router(gateway: &mut LinkEnd, kind: u8, input: &mut Input<'_>) {
    let connection = ConnectionKey(u64::from(input.u8() % 4));
    let message = match kind {
        HELLO => GatewayMessage::Hello(GatewayHello {
            version: LINK_VERSION + u16::from(input.u8() == 255),
            gateway_id: 0,
            shard_index: 0,
            gateway_incarnation: u64::from(input.u8()),
        }),
        OPEN => GatewayMessage::SessionOpen(SessionOpen {
            connection,
            user: backend::user(usize::from(input.u8() % 4)),
            device: DeviceId(number(input)),
            device_generation: DeviceGeneration(input.u8().into()),
            install_id: input.flag().then(|| ClientMsgId::new(START.wall, u128::from(input.u8()))),
            device_name: "forged",
            transient: input.flag(),
            store_incarnation: StoreIncarnation(u64::from(input.u8())),
            user_epoch: UserEpoch(u64::from(input.u8())),
            user_cursor: UserSeq(number(input)),
            session: input.flag().then(|| SessionId(number(input))),
        }),
        CLOSE => GatewayMessage::SessionClose(connection),
        CREDITS => return gateway.release(input.u64() >> 24),
        _ => GatewayMessage::ClientRequest { connection, frame: input.bytes() },
    };
    // Out of credit it begins anew, as if it had been paid.
    if gateway.send_to_router(&message).is_err() {
        gateway.reset();
    }
}

/// A router without manners, and the shard that has to bear it.
fn to_gateway(input: &mut Input<'_>) {
    let mut shard = Shard::new(ShardConfig::default());
    let connections: Vec<ConnectionId> = (0..CONNECTIONS_MAX).filter_map(|index| connect(&mut shard, index)).collect();
    shard.handle_link(START, LinkEvent::Up);
    let mut router = LinkEnd::default();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let kind = input.u8() % STEP_KINDS;
        let mut is_refused = kind == DROP;
        if is_refused {
            shard.handle_link(START, LinkEvent::Down);
        } else if kind == BYTES {
            is_refused = shard.handle_link_batch(START, input.bytes().to_vec().into()).is_err();
        } else {
            speak_to_gateway(&mut router, kind, &connections, input);
            while let Some(batch) = router.poll_batch().filter(|_| !is_refused) {
                is_refused = shard.handle_link_batch(START, batch).is_err();
            }
        }
        drain(&mut shard);
        while let Some(batch) = shard.poll_batch() {
            let read = LinkEnd::default().handle_batch_of_gateway(&batch, |_, _| {});
            assert!(!matches!(read, Err(LinkError::Invalid)), "a gateway sends valid batches");
        }
        if is_refused {
            shard.handle_link(START, LinkEvent::Up);
            router.reset();
        }
    }
    connections.into_iter().for_each(|connection| shard.handle_closed(START, connection, CloseCause::Lost));
}

/// A client that has authenticated and waits for its session.
fn connect(shard: &mut Shard, index: usize) -> Option<ConnectionId> {
    let connection = shard.handle_open(START, Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST) }).ok()?;
    let hello = Hello {
        is_transient: index == 3,
        device: DeviceId(if index == 3 { 0 } else { index as u64 / 2 + 1 }),
        device_generation: DeviceGeneration(1),
        install_id: None,
        device_name: "honest".into(),
        store_incarnation: StoreIncarnation(1),
        user_epoch: UserEpoch(1),
        user_cursor: UserSeq(3),
    };
    let flow = shard.handle_frame(START, connection, FrameBuilder::default().hello(&hello, "token", None));
    assert_eq!(flow, Flow::Hold, "a Hello is taken");
    let expires_at = START.wall.plus(std::time::Duration::from_secs(60));
    let identity = Identity { user: backend::user(0), device: None, expires_at };
    shard.handle_authenticated(START, connection, Ok(identity));
    Some(connection)
}

/// The bytes of every frame are there.
fn drain(shard: &mut Shard) {
    while let Some(action) = shard.poll_action() {
        if let Action::Send { connection, frame } = action {
            assert_eq!(shard.frame(&frame).concat().len() + 4, frame.queue_bytes() as usize);
            shard.handle_sent(START, connection, frame.queue_bytes());
        }
    }
}

fn speak_to_gateway(router: &mut LinkEnd, kind: u8, connections: &[ConnectionId], input: &mut Input<'_>) {
    let key = |input: &mut Input<'_>| match input.u8() {
        255 => ConnectionKey(input.u64()),
        choice => connections.get(usize::from(choice) % connections.len()).map_or(ConnectionKey(0), |id| (*id).into()),
    };
    let connection = key(input);
    let message = match kind {
        HELLO => RouterMessage::Hello(RouterHello {
            version: LINK_VERSION + u16::from(input.u8() == 255),
            router_incarnation: 1,
            store_incarnation: StoreIncarnation(u64::from(input.u8() % 2)),
            durability: Durability(input.u8()),
        }),
        OPEN => RouterMessage::SessionOpened(SessionOpened {
            connection,
            session: SessionId(number(input)),
            user: backend::user(usize::from(input.u8() % 2)),
            handle: "forged",
            device: DeviceId(number(input)),
            device_generation: DeviceGeneration(input.u8().into()),
            resumed: input.flag(),
            user_epoch: UserEpoch(u64::from(input.u8())),
            user_head: UserSeq(number(input)),
        }),
        CLOSE => {
            let codes = protocol::codes::Code::ALL;
            let code = input.pick(codes).unwrap_or(protocol::codes::Code::GoingAway);
            RouterMessage::SessionRefused { connection, code }
        }
        CREDITS => return router.release(input.u64() >> 24),
        FANOUT => {
            let targets: Vec<_> = (0..input.u8() % 8).map(|_| (key(input), UserSeq(number(input)))).collect();
            let (offset, frame) = (usize::from(input.u16()), input.bytes());
            return if router.send_fanout(&targets, offset, frame).is_err() {
                router.reset()
            };
        }
        _ => {
            let user_seq_last = UserSeq(number(input));
            RouterMessage::Deliver { connection, user_seq_last, frame: input.bytes() }
        }
    };
    if router.send_to_gateway(&message).is_err() {
        router.reset();
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

/// Golden batches, and the beginnings of honest links.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let with_size = |bytes: &[u8]| {
        let size = u16::try_from(bytes.len()).expect("a golden frame is small").to_le_bytes();
        [&size[..], bytes].concat()
    };
    let open = [OPEN, 1, 0, 2, 0, 1, 7, 0, 1, 1, 2, 0];
    let to_router = [&[1, HELLO, 0, 0, 1][..], &open].concat();
    let opened = |connection: u8| [OPEN, connection, 9, 0, connection / 2 + 3, 1, 1, 1, 5];
    let to_gateway = [&[2, HELLO, 0, 0, 1, 2][..], &opened(0), &opened(2), &opened(3)].concat();
    for (name, batch) in golden::frames("LinkBody") {
        seeds.push(Seed::new(&format!("ends-{name}"), &[&[0][..], &batch].concat()));
        let step = [&[BYTES][..], &with_size(&batch)].concat();
        seeds.push(Seed::new(&format!("router-{name}"), &[&to_router[..], &step].concat()));
        seeds.push(Seed::new(&format!("gateway-{name}"), &[&to_gateway[..], &step].concat()));
    }
    for (name, frame) in golden::frames("ClientBody") {
        let request = [&[REQUEST, 1][..], &with_size(&frame)].concat();
        seeds.push(Seed::new(&format!("request-{name}"), &[&to_router[..], &request, &[CLOSE, 1]].concat()));
    }
    let outside = [&[FANOUT, 0, 1, 0, 9][..], &u16::MAX.to_le_bytes(), &with_size(b"a push")].concat();
    seeds.push(Seed::new("fanout-outside", &[&to_gateway[..], &outside].concat()));
    for (name, frame) in golden::frames("EventBody") {
        let deliver = [&[REQUEST, 0, 9][..], &with_size(&frame)].concat();
        let fanout = [&[FANOUT, 0, 2, 0, 9, 2, 9, 24, 0][..], &with_size(&frame)].concat();
        seeds.push(Seed::new(
            &format!("push-{name}"),
            &[&to_gateway[..], &deliver, &fanout, &[CLOSE, 0, 3, DROP]].concat(),
        ));
    }
    seeds
}
