//! Peers that are no good: each is closed with its code or alert, in time, and counted, and everybody else is served as
//! before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Bench, HELLO_TIMEOUT, PATIENCE, config, with_each_driver_of_one_shard};
use gateway_core::CloseCause;
use gateway_server::GatewayConfig;
use protocol::codes::Code;
use protocol::limits::{FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX};

/// A plain TCP connection to the gateway.
fn plain(bench: &Bench) -> TcpStream {
    let stream = TcpStream::connect(bench.gateway.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Everything until the end of the stream.
fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the end, not a reset");
    bytes
}

/// A deadline that no test waits for.
const NEVER: Duration = Duration::from_secs(60);
const _: () = assert!(NEVER.as_secs() > PATIENCE.as_secs());

/// It was not closed before its time. How much later, is up to the machine.
fn assert_waited(start: Instant, wanted: Duration) {
    let took = start.elapsed();
    assert!(took >= wanted, "{took:?} instead of {wanted:?}");
}

#[test]
fn plain_http_and_garbage_get_an_alert() {
    for bench in with_each_driver_of_one_shard(&config()) {
        for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0; 40], &[0xff; 3000]] {
            let mut stream = plain(&bench);
            stream.write_all(bytes).expect("it is there");
            assert_eq!(read_to_end(stream), [21, 3, 3, 0, 2, 2, 50]);
            assert_eq!(bench.next_cause(), CloseCause::Transport);
        }
        assert_eq!(bench.metrics().closed_not_tls.value(), 3);
        bench.finish();
    }
}

#[test]
fn garbage_dressed_as_tls_gets_an_alert() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let mut stream = plain(&bench);
        stream.write_all(&[&[22, 3, 1, 0, 100][..], &[0xee; 100]].concat()).expect("it is there");
        assert_eq!(read_to_end(stream).first(), Some(&21));
        assert_eq!(bench.next_cause(), CloseCause::Transport);
        assert_eq!(bench.metrics().closed_tls_invalid.value(), 1);
        bench.finish();
    }
}

#[test]
fn a_silent_socket_is_closed_at_its_deadline() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let start = Instant::now();
        let stream = plain(&bench);
        read_to_end(stream);
        assert_waited(start, HELLO_TIMEOUT);
        assert_eq!(bench.next_cause(), CloseCause::ByShard);
        bench.finish();
    }
}

#[test]
fn half_a_handshake_is_closed_at_its_deadline() {
    for bench in with_each_driver_of_one_shard(&GatewayConfig { frame_timeout: NEVER, ..config() }) {
        let start = Instant::now();
        let mut hello = Vec::new();
        bench.tls_client.connect("localhost").expect("a DNS name").take_outgoing(&mut hello);
        let mut stream = plain(&bench);
        stream.write_all(&hello[..hello.len() / 2]).expect("it is there");
        read_to_end(stream);
        assert_waited(start, HELLO_TIMEOUT);
        bench.finish();
    }
}

#[test]
fn a_handshake_that_drips_is_closed_at_its_deadline() {
    for bench in with_each_driver_of_one_shard(&GatewayConfig { frame_timeout: NEVER, ..config() }) {
        let start = Instant::now();
        let mut hello = Vec::new();
        bench.tls_client.connect("localhost").expect("a DNS name").take_outgoing(&mut hello);
        let mut stream = plain(&bench);
        let mut drops = stream.try_clone().expect("a descriptor");
        let dripping = thread::spawn(move || {
            // Ends when the gateway has closed: the next write but one fails.
            hello.iter().all(|byte| {
                thread::sleep(Duration::from_millis(20));
                drops.write_all(&[*byte]).is_ok()
            })
        });
        let mut rest = Vec::new();
        // A drop that comes too late resets the connection, which is an end too.
        let _ = stream.read_to_end(&mut rest);
        assert_waited(start, HELLO_TIMEOUT);
        assert!(!dripping.join().expect("no panic"), "the whole hello was taken");
        bench.finish();
    }
}

#[test]
fn a_handshake_without_a_token_is_told_that_the_time_is_over() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.connect();
        assert_eq!(client.expect_go_away(), Code::HelloTimeout.number());
        bench.finish();
    }
}

#[test]
fn a_token_that_is_wrong_or_late_gets_its_code() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.connect();
        client.send(b"no token at all");
        assert_eq!(client.expect_go_away(), Code::TokenInvalid.number());
        let mut client = bench.connect();
        client.send(&bench.token(Duration::ZERO));
        assert_eq!(client.expect_go_away(), Code::TokenExpired.number());
        bench.finish();
    }
}

#[test]
fn frames_over_the_limit_of_their_time_get_their_code() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let mut stranger = bench.connect();
        stranger.send_bytes(&(FRAME_SIZE_UNAUTHENTICATED_MAX as u32 + 1).to_le_bytes());
        assert_eq!(stranger.expect_go_away(), Code::FrameTooLarge.number());
        let mut guest = bench.say_hello();
        guest.expect_echo(&[1; FRAME_SIZE_MAX]);
        guest.send_bytes(&(FRAME_SIZE_MAX as u32 + 1).to_le_bytes());
        assert_eq!(guest.expect_go_away(), Code::FrameTooLarge.number());
        let mut guest = bench.say_hello();
        guest.send_bytes(&0u32.to_le_bytes());
        assert_eq!(guest.expect_go_away(), Code::FrameInvalid.number());
        bench.finish();
    }
}

#[test]
fn a_frame_that_does_not_end_gets_its_code() {
    let config = config();
    for bench in with_each_driver_of_one_shard(&config) {
        let mut client = bench.say_hello();
        let start = Instant::now();
        client.send_bytes(&[100, 0, 0, 0, 1]);
        assert_eq!(client.expect_go_away(), Code::FrameTimeout.number());
        assert_waited(start, config.frame_timeout);
        bench.finish();
    }
}

#[test]
fn a_tls_record_that_does_not_end_gets_its_code() {
    let config = config();
    for bench in with_each_driver_of_one_shard(&config) {
        let mut client = bench.say_hello();
        let start = Instant::now();
        let record = client.seal(b"a record");
        client.stream.write_all(&record[..7]).expect("it is there");
        assert_eq!(client.expect_go_away(), Code::FrameTimeout.number());
        assert_waited(start, config.frame_timeout);
        bench.finish();
    }
}

#[test]
fn a_changed_byte_ends_the_connection_with_an_alert() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let mut client = bench.say_hello();
        let mut record = client.seal(b"a record");
        *record.last_mut().expect("not empty") ^= 1;
        client.stream.write_all(&record).expect("it is there");
        assert!(!read_to_end(client.stream).is_empty(), "an alert");
        assert_eq!(bench.next_cause(), CloseCause::Transport);
        bench.finish();
    }
}

#[test]
fn a_peer_that_never_reads_is_cut() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let mut deaf = bench.say_hello();
        deaf.send(b"flood");
        assert_eq!(bench.next_cause(), CloseCause::ByShard);
        assert_eq!(bench.metrics().closed_aborted.value(), 1);
        bench.finish();
    }
}

#[test]
fn nobody_waits_for_a_peer_that_never_reads() {
    for bench in with_each_driver_of_one_shard(&GatewayConfig { close_timeout: NEVER, ..config() }) {
        let mut deaf = bench.say_hello();
        deaf.send(b"flood");
        let mut other = bench.say_hello();
        other.expect_echo(b"meanwhile");
        drop(other);
        // The drain cuts the deaf one.
        bench.finish();
    }
}

#[test]
fn torn_frames_beyond_the_memory_for_them_cost_who_holds_most() {
    let config = GatewayConfig { torn_bytes_max: 1 << 20, frame_timeout: NEVER, ..config() };
    for bench in with_each_driver_of_one_shard(&config) {
        let torn = [&(FRAME_SIZE_MAX as u32).to_le_bytes()[..], &[7; 60_000]].concat();
        let mut small = bench.say_hello();
        small.send_bytes(&torn[..1000]);
        let mut hoarders: Vec<_> = (0..24).map(|_| bench.say_hello()).collect();
        hoarders.iter_mut().for_each(|hoarder| hoarder.send_bytes(&torn));
        // 24 buffers of 64 KiB or more do not fit 1 MiB.
        let closed = (0..8).map(|_| bench.next_cause()).filter(|cause| *cause == CloseCause::ByShard).count();
        assert_eq!(closed, 8);
        drop(hoarders);
        (8..24).for_each(|_| assert_ne!(bench.next_cause(), CloseCause::Transport));
        small.send_bytes(&torn[1000..]);
        small.send_bytes(&vec![7; FRAME_SIZE_MAX + 4 - torn.len()]);
        assert_eq!(small.receive().map(|frame| frame.len()), Some(FRAME_SIZE_MAX));
        drop(small);
        bench.finish();
    }
}

#[test]
fn a_crowd_of_bad_peers_leaves_nothing_behind() {
    for bench in with_each_driver_of_one_shard(&config()) {
        let address = bench.gateway.address();
        let crowd: Vec<_> = (0..4u8)
            .map(|kind| {
                thread::spawn(move || {
                    for _ in 0..100 {
                        let mut stream = TcpStream::connect(address).expect("it listens");
                        // The gateway may have closed already, and then the peer has what it deserves.
                        let _ = stream.write_all(&vec![kind * 22; usize::from(kind) * 50]);
                    }
                })
            })
            .collect();
        let mut guest = bench.say_hello();
        (0..50u8).for_each(|index| guest.expect_echo(&[index; 300]));
        crowd.into_iter().for_each(|peers| peers.join().expect("no panic"));
        drop(guest);
        (0..401).for_each(|_| {
            bench.next_cause();
        });
        let metrics = bench.metrics();
        assert_eq!(metrics.sockets_accepted.value(), 401);
        assert_eq!(metrics.sockets_closed.value(), 401);
        bench.finish();
    }
}
