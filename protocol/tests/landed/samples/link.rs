//! What a gateway and a router tell each other, each as a batch of its own.

use protocol::codes::Code;
use protocol::ids::{DeviceGeneration, DeviceId, Seq, SessionId, StoreIncarnation, UserEpoch, UserSeq};
use protocol::link::{
    ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LINK_WINDOW_BYTES, LinkEnd, RouterHello, RouterMessage,
    SessionOpen, SessionOpened,
};
use protocol::wire::Durability;

use super::{Sample, client_id, direct, user};

pub(super) fn all() -> Vec<Sample> {
    let mut all: Vec<Sample> = of_gateway()
        .map(|(member, message)| {
            sample(member, |end| {
                end.send_to_router(&message).expect("the window is open");
            })
        })
        .into();
    all.extend(of_router().map(|(member, message)| {
        sample(member, |end| {
            end.send_to_gateway(&message).expect("the window is open");
        })
    }));
    all.push(sample("Fanout", |end| {
        let targets = [(ConnectionKey(330), UserSeq(331)), (ConnectionKey(332), UserSeq(333))];
        end.send_fanout(&targets, 4, b"a push: user_seq").expect("the window is open");
    }));
    all.push(sample("Credits", |end| end.release(LINK_WINDOW_BYTES / 4)));
    all
}

fn sample(member: &'static str, send: impl FnOnce(&mut LinkEnd)) -> Sample {
    let mut end = LinkEnd::default();
    send(&mut end);
    Sample { union: "LinkBody", member, bytes: end.poll_batch().expect("something was put in").to_vec() }
}

fn of_gateway() -> [(&'static str, GatewayMessage<'static>); 5] {
    let hello = GatewayHello { version: LINK_VERSION, gateway_id: 300, shard_index: 301, gateway_incarnation: 302 };
    let open = SessionOpen {
        connection: ConnectionKey(303),
        user: user(1),
        device: DeviceId(304),
        device_generation: DeviceGeneration(305),
        install_id: Some(client_id(36)),
        device_name: "pocket",
        transient: true,
        store_incarnation: StoreIncarnation(307),
        user_epoch: UserEpoch(308),
        user_cursor: UserSeq(309),
        session: Some(SessionId(310)),
    };
    [
        ("GatewayHello", GatewayMessage::Hello(hello)),
        ("SessionOpen", GatewayMessage::SessionOpen(open)),
        ("SessionClose", GatewayMessage::SessionClose(ConnectionKey(311))),
        ("ChannelLeft", GatewayMessage::ChannelLeft { conversation: direct(), count: 313 }),
        ("ClientRequest", GatewayMessage::ClientRequest { connection: ConnectionKey(312), frame: b"a request" }),
    ]
}

fn of_router() -> [(&'static str, RouterMessage<'static>); 6] {
    let hello = RouterHello {
        version: LINK_VERSION,
        router_incarnation: 320,
        store_incarnation: StoreIncarnation(321),
        durability: Durability::QuorumSync,
    };
    let opened = SessionOpened {
        connection: ConnectionKey(322),
        session: SessionId(323),
        user: user(1),
        handle: "alice",
        device: DeviceId(324),
        device_generation: DeviceGeneration(325),
        resumed: true,
        user_epoch: UserEpoch(326),
        user_head: UserSeq(327),
    };
    let deliver =
        RouterMessage::Deliver { connection: ConnectionKey(329), user_seq_last: UserSeq(340), frame: b"an answer" };
    let joined = RouterMessage::ChannelJoined {
        connection: ConnectionKey(341),
        request_id: 342,
        conversation: direct(),
        head: Seq(344),
    };
    [
        ("RouterHello", RouterMessage::Hello(hello)),
        ("SessionOpened", RouterMessage::SessionOpened(opened)),
        ("SessionRefused", RouterMessage::SessionRefused { connection: ConnectionKey(328), code: Code::DeviceRevoked }),
        ("Deliver", deliver),
        ("ChannelJoined", joined),
        ("Publish", RouterMessage::Publish { conversation: direct(), head: Seq(343), frame: b"an entry" }),
    ]
}
