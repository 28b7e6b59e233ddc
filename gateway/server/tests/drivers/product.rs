//! The shard of the product behind each driver, with a router of a few lines at the other end of the link.

use std::future::poll_fn;
use std::io::Read;
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gateway_server::{GatewayConfig, ShardConfig};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::frame;
use protocol::ids::{SessionId, StoreIncarnation, UserEpoch, UserId, UserSeq};
use protocol::link::{GatewayMessage, LINK_VERSION, LinkEnd, RouterHello, RouterMessage, SessionOpened};
use protocol::wire::{Capability, ClientBody, Durability, Hello, HelloArgs, Ping, PingArgs, ServerBody};
use protocol::wire::{UserLookup, UserLookupArgs, UserPage, UserPageArgs};
use protocol_shell::LinkTransport;

use crate::support::{Bench, Client, config, each_driver};

/// A router for the only shard.
fn start_router(bench: &mut Bench) -> JoinHandle<()> {
    let link = bench.links.pop().expect("not taken yet");
    start_router_for(link, |_| {})
}

/// Welcomes everybody as alice, says whom, and answers every request with an empty UserPage. Ends with the gateway.
pub(crate) fn start_router_for(link: LinkTransport, welcomes: impl FnMut(UserId) + Send + 'static) -> JoinHandle<()> {
    thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(route(link, welcomes));
    })
}

async fn route(mut link: LinkTransport, mut welcomes: impl FnMut(UserId)) {
    let mut end = LinkEnd::default();
    while let Ok(batch) = poll_fn(|context| link.receiver.poll_receive(context)).await {
        let answer = |end: &mut LinkEnd, message: GatewayMessage<'_>| {
            if let GatewayMessage::SessionOpen(open) = &message {
                welcomes(open.user);
            }
            answer(end, message);
        };
        end.handle_batch_of_gateway(&batch, answer).expect("a valid batch");
        end.beat();
        while let Some(batch) = end.poll_batch() {
            if poll_fn(|context| link.sender.poll_room(context)).await.is_err() {
                return;
            }
            link.sender.send(batch).expect("there was room");
        }
    }
}

fn answer(end: &mut LinkEnd, message: GatewayMessage<'_>) {
    let mut frames = FrameBuilder::default();
    let answer = match message {
        GatewayMessage::Hello(_) => RouterMessage::Hello(RouterHello {
            version: LINK_VERSION,
            router_incarnation: 1,
            store_incarnation: StoreIncarnation(1),
            durability: Durability::Fsync,
        }),
        GatewayMessage::SessionOpen(open) => RouterMessage::SessionOpened(SessionOpened {
            connection: open.connection,
            session: SessionId(1),
            user: open.user,
            handle: "alice",
            device: open.device,
            device_generation: open.device_generation,
            resumed: true,
            user_epoch: UserEpoch(1),
            user_head: UserSeq(0),
        }),
        GatewayMessage::SessionClose(_) | GatewayMessage::ChannelLeft { .. } => return,
        GatewayMessage::ClientRequest { connection, frame } => {
            end.release(LinkEnd::cost(frame.len()));
            let frame = frames.server(|fbb| {
                let page = UserPage::create(fbb, &UserPageArgs { request_id: 7, users: None });
                (ServerBody::UserPage, page.as_union_value())
            });
            RouterMessage::Deliver { connection, user_seq_last: UserSeq(0), frame }
        }
    };
    end.send_to_gateway(&answer).expect("the window is open");
}

pub(crate) fn hello(token: &[u8]) -> Vec<u8> {
    let token = std::str::from_utf8(token).expect("tokens are text");
    let mut frames = FrameBuilder::default();
    let frame = frames.client(None, |fbb| {
        let access_token = Some(fbb.create_string(token));
        let capabilities = Capability::Transient;
        let args = HelloArgs { version_min: 1, version_max: 1, access_token, capabilities, ..HelloArgs::default() };
        (ClientBody::Hello, Hello::create(fbb, &args).as_union_value())
    });
    frame.to_vec()
}

pub(crate) fn lookup() -> Vec<u8> {
    let mut frames = FrameBuilder::default();
    let frame = frames.client(None, |fbb| {
        let ids = Some(fbb.create_vector(&[1u64]));
        let lookup = UserLookup::create(fbb, &UserLookupArgs { request_id: 7, handles: None, ids });
        (ClientBody::UserLookup, lookup.as_union_value())
    });
    frame.to_vec()
}

pub(crate) fn ping() -> Vec<u8> {
    let mut frames = FrameBuilder::default();
    let frame = frames.client(None, |fbb| (ClientBody::Ping, Ping::create(fbb, &PingArgs {}).as_union_value()));
    frame.to_vec()
}

pub(crate) fn receive_type(client: &mut Client) -> ServerBody {
    let frame = client.receive().expect("a frame");
    frame::server_frame(&frame).expect("verifies").body_type()
}

fn welcomed(bench: &Bench) -> Client {
    let mut client = bench.connect();
    client.send(&hello(&bench.token(Duration::from_secs(60))));
    let frame = client.receive().expect("a frame");
    let welcome = frame::server_frame(&frame).expect("verifies").body_as_welcome().expect("a Welcome");
    assert_eq!(welcome.user_handle(), Some("alice"));
    client
}

#[test]
fn a_session_opens_asks_and_is_sent_away_by_a_drain() {
    for config in each_driver(&config()) {
        let mut bench = Bench::start_product(config, 1);
        let router = start_router(&mut bench);
        let mut client = welcomed(&bench);
        assert!(bench.gateway.view().is_ready(), "a welcome needs the router");
        client.send(&ping());
        assert_eq!(receive_type(&mut client), ServerBody::Pong);
        for _ in 0..5 {
            client.send(&lookup());
            assert_eq!(receive_type(&mut client), ServerBody::UserPage);
        }
        let draining = thread::spawn(|| bench.gateway.drain());
        assert_eq!(client.expect_go_away(), Code::GoingAway.number());
        drop(client);
        draining.join().expect("no panic").expect("it ends well");
        router.join().expect("it ends with the gateway");
    }
}

#[test]
fn frames_that_must_not_be_get_their_code() {
    for config in each_driver(&config()) {
        let mut bench = Bench::start_product(config, 1);
        let router = start_router(&mut bench);
        for (frame, code) in [
            (&b"not a FlatBuffer"[..], Code::FrameInvalid),
            (&ping(), Code::HelloExpected),
            (&hello(b"not a token"), Code::TokenInvalid),
            (&hello(&bench.token(Duration::ZERO)), Code::TokenExpired),
        ] {
            let mut client = bench.connect();
            client.send(frame);
            assert_eq!(client.expect_go_away(), code.number());
        }
        let mut client = welcomed(&bench);
        client.send(&hello(b"again"));
        assert_eq!(client.expect_go_away(), Code::HelloExpected.number());
        drop(welcomed(&bench));
        bench.gateway.drain().expect("it ends well");
        router.join().expect("it ends with the gateway");
    }
}

#[test]
fn silence_ends_at_the_deadline_of_the_shard() {
    let shard = ShardConfig { handshake_timeout: Duration::from_millis(400), ..ShardConfig::default() };
    for config in each_driver(&GatewayConfig { shard, ..config() }) {
        let bench = Bench::start_product(config, 1);
        let mut silent = TcpStream::connect(bench.gateway.address()).expect("it listens");
        silent.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        silent.read_to_end(&mut Vec::new()).expect("the end, not a reset");
        assert_eq!(bench.connect().expect_go_away(), Code::HelloTimeout.number());
        bench.gateway.drain().expect("it ends well");
    }
}

#[test]
fn the_oldest_stranger_of_an_address_makes_room_for_who_talks() {
    let shard = ShardConfig { handshakes_per_address_max: 3, ..ShardConfig::default() };
    for config in each_driver(&GatewayConfig { shard, ..config() }) {
        let mut bench = Bench::start_product(config, 1);
        let router = start_router(&mut bench);
        let mut silent: Vec<TcpStream> =
            (0..3).map(|_| TcpStream::connect(bench.gateway.address()).expect("it listens")).collect();
        let mut client = welcomed(&bench);
        let oldest = silent.first_mut().expect("there are three");
        oldest.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        oldest.read_to_end(&mut Vec::new()).expect("the end, not a reset");
        client.send(&ping());
        assert_eq!(receive_type(&mut client), ServerBody::Pong);
        drop((client, silent));
        bench.gateway.drain().expect("it ends well");
        router.join().expect("it ends with the gateway");
    }
}
