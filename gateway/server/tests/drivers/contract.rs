//! What every driver does for a shard, with real sockets and real TLS.

use std::future::poll_fn;
use std::io::Write;
use std::net::TcpStream;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, config, with_each_driver, with_each_driver_of_one_shard};
use gateway_core::CloseCause;
use gateway_server::GatewayConfig;
use protocol::codes::Code;
use protocol::frame;
use protocol::limits::FRAME_SIZE_MAX;
use protocol_shell::{LINK_BATCHES_MAX, LinkClosed, LinkTransport};

#[test]
fn frames_of_every_size_come_back() {
    for bench in with_each_driver(&config()) {
        let mut client = bench.say_hello();
        for size in [1, 100, 1_000, 1_024, 4_096, 16_384, FRAME_SIZE_MAX] {
            client.expect_echo(&vec![size as u8; size]);
        }
        drop(client);
        assert_eq!(bench.next_cause(), CloseCause::Lost);
        bench.finish();
    }
}

#[test]
fn a_renewal_holds_for_who_comes_and_drops_nobody() {
    for mut bench in with_each_driver(&config()) {
        let mut before = bench.say_hello();
        let old_token = bench.token(Duration::from_secs(60));
        bench.renew();
        let mut late = bench.connect();
        late.send(&old_token);
        assert_eq!(late.expect_go_away(), Code::TokenInvalid.number());
        before.expect_echo(b"still served");
        bench.finish();
    }
}

#[test]
fn everybody_gets_in_though_a_turn_has_one_step_of_a_handshake() {
    for bench in with_each_driver(&GatewayConfig { handshakes_per_turn_max: 1, ..config() }) {
        let (address, tls, token) = (bench.gateway.address(), &bench.tls_client, &bench.token(Duration::from_secs(60)));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(move || {
                    let mut client = Client::connect(address, tls);
                    client.send(token);
                    assert_eq!(client.receive().as_deref(), Some(&b"welcome"[..]));
                });
            }
        });
        bench.finish();
    }
}

#[test]
fn what_was_pipelined_behind_the_token_waits_for_the_verdict_and_keeps_its_order() {
    for bench in with_each_driver(&config()) {
        let mut client = bench.connect();
        let token = bench.token(Duration::from_secs(60));
        let frames: Vec<Vec<u8>> = (0..100u8).map(|index| vec![index; 1_000]).collect();
        client.send(&token);
        frames.iter().for_each(|frame| client.send(frame));
        assert_eq!(client.receive().as_deref(), Some(&b"welcome"[..]));
        for frame in frames {
            assert_eq!(client.receive(), Some(frame));
        }
        bench.finish();
    }
}

#[test]
fn a_frame_that_is_not_taken_comes_again_before_what_follows() {
    for bench in with_each_driver(&config()) {
        let mut client = bench.say_hello();
        let frames: [&[u8]; 4] = [b"first", b"later please", b"later again", b"last"];
        let plaintext: Vec<u8> =
            frames.iter().flat_map(|frame| [&frame::prefix(frame.len())[..], frame].concat()).collect();
        for torn_at in 0..plaintext.len() {
            let (head, tail) = plaintext.split_at(torn_at);
            client.send_bytes(head);
            client.send_bytes(tail);
            for frame in frames {
                assert_eq!(client.receive().as_deref(), Some(frame), "torn at {torn_at}");
            }
        }
        bench.finish();
    }
}

#[test]
fn the_frames_of_a_turn_leave_in_one_send() {
    for bench in with_each_driver(&config()) {
        let mut client = bench.say_hello();
        let sends_before = bench.metrics().sends.value();
        client.send_bytes(&[1, 0, 0, 0, b'x'].repeat(100));
        (0..100).for_each(|_| assert_eq!(client.receive().as_deref(), Some(&b"x"[..])));
        // A send is counted after the client may have it: the welcome too may count late.
        let sends = bench.metrics().sends.value() - sends_before;
        assert!(sends <= 2, "{sends} sends");
        bench.finish();
    }
}

#[test]
fn a_goodbye_of_the_client_is_told_apart_from_a_loss() {
    for bench in with_each_driver(&config()) {
        let mut client = bench.say_hello();
        // Who says goodbye does not wait for answers, so this one comes first.
        client.expect_echo(b"last words");
        client.stage.close();
        let mut goodbye = Vec::new();
        client.stage.take_outgoing(&mut goodbye);
        client.stream.write_all(&goodbye).expect("the gateway is there");
        assert_eq!(client.receive(), None);
        assert_eq!(bench.next_cause(), CloseCause::ByPeer);
        bench.finish();
    }
}

#[test]
fn a_reset_takes_one_connection_and_nothing_else() {
    for bench in with_each_driver(&config()) {
        let mut other = bench.say_hello();
        let client = bench.say_hello();
        rustix::net::sockopt::set_socket_linger(&client.stream, Some(Duration::ZERO)).expect("a socket");
        drop(client);
        assert_eq!(bench.next_cause(), CloseCause::Lost);
        other.expect_echo(b"unharmed");
        bench.finish();
    }
}

#[test]
fn batches_cross_the_link_both_ways_and_its_end_is_noticed() {
    for mut bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.say_hello();
        let link = bench.links.pop().expect("not taken yet");
        let router = thread::spawn(move || answer_once(link));
        client.send(b"router hello");
        assert_eq!(client.receive().as_deref(), Some(&b"router hello"[..]));
        drop(router.join().expect("it answered"));
        assert_eq!(client.receive().as_deref(), Some(&b"link down"[..]));
        bench.finish();
    }
}

#[test]
fn after_a_link_is_gone_the_next_one_is_taken() {
    for mut bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.say_hello();
        let mut link = bench.links.pop().expect("not taken yet");
        for _ in 0..3 {
            drop(link);
            assert_eq!(client.receive().as_deref(), Some(&b"link down"[..]));
            let (near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
            bench.next_links.send(near).expect("the gateway is there");
            link = far;
            link.sender.send(b"from the next router".to_vec()).expect("the gateway is there");
            assert_eq!(client.receive().as_deref(), Some(&b"from the next router"[..]));
        }
        bench.finish();
    }
}

/// The router's end: sends the first batch back and goes.
/// Gives the link back, so that its end does not overtake the answer.
fn answer_once(mut link: LinkTransport) -> LinkTransport {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let batch = poll_fn(|context| link.receiver.poll_receive(context)).await.expect("the gateway is there");
        poll_fn(|context| link.sender.poll_room(context)).await.expect("the gateway is there");
        link.sender.send(batch).expect("the gateway is there");
    });
    link
}

#[test]
fn a_link_that_speaks_garbage_is_given_up() {
    for mut bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.say_hello();
        let mut link = bench.links.pop().expect("not taken yet");
        link.sender.send(b"garbage".to_vec()).expect("the gateway is there");
        assert_eq!(client.receive().as_deref(), Some(&b"garbage"[..]));
        assert_eq!(client.receive().as_deref(), Some(&b"link down"[..]));
        assert_eq!(link.sender.send(b"too late".to_vec()), Err(LinkClosed));
        bench.finish();
    }
}

#[test]
fn a_router_that_does_not_read_holds_nothing_but_its_link() {
    for mut bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.say_hello();
        (0..200).for_each(|_| client.send(b"router is slow"));
        client.expect_echo(b"others go on");
        let link = bench.links.first_mut().expect("not taken");
        let mut batches = 0;
        while batches < 200 {
            match link.receiver.poll_receive(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(batch) => {
                    assert_eq!(*batch.expect("the gateway is there"), *b"router is slow");
                    batches += 1;
                }
                Poll::Pending => thread::yield_now(),
            }
        }
        bench.finish();
    }
}

#[test]
fn a_drain_says_goodbye_to_everybody_and_stops_listening() {
    for bench in with_each_driver(&config()) {
        let mut clients: Vec<Client> = (0..20).map(|_| bench.say_hello()).collect();
        let address = bench.gateway.address();
        let draining = thread::spawn(|| bench.gateway.drain());
        for client in &mut clients {
            assert_eq!(client.expect_go_away(), Code::GoingAway.number());
        }
        drop(clients);
        draining.join().expect("no panic").expect("it ends well");
        assert!(TcpStream::connect(address).is_err(), "the port is closed");
    }
}

#[test]
fn a_drain_does_not_wait_for_who_does_not_leave() {
    let config = GatewayConfig { close_timeout: Duration::from_secs(60), ..config() };
    for bench in with_each_driver(&config) {
        let _stays = bench.say_hello();
        let start = Instant::now();
        bench.gateway.drain().expect("it ends well");
        assert!(start.elapsed() < 2 * config.drain_timeout, "{:?}", start.elapsed());
    }
}
