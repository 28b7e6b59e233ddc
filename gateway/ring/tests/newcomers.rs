//! A turn hears few of those who come, and as many as there are of those who are settled.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gateway_ring::{Event, KernelRings, RingsConfig, SocketId, Sockets};

const PATIENCE: Duration = Duration::from_secs(10);
const CLIENTS_COUNT: usize = 20;
const NEWCOMERS_PER_TURN_MAX: u32 = 3;

/// The sockets that were heard in one turn, each with one byte.
fn turn(sockets: &mut Sockets<KernelRings>, opened: &mut Vec<SocketId>) -> Vec<SocketId> {
    let mut heard = Vec::new();
    sockets.turn(Duration::from_millis(100));
    while let Some(event) = sockets.next_event() {
        match event {
            Event::Opened { socket, .. } => {
                sockets.own(socket, socket.to_bits());
                opened.push(socket);
            }
            Event::Received { socket, buffer, .. } => {
                assert_eq!(sockets.bytes(&buffer), [7]);
                sockets.give_back(socket, buffer);
                heard.push(socket);
            }
            other => panic!("{other:?}"),
        }
    }
    heard
}

#[test]
fn a_turn_hears_few_newcomers_and_everybody_who_is_settled() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (_button, bell) = UnixStream::pair().expect("a pair");
    let config = RingsConfig::for_sockets(CLIENTS_COUNT as u32);
    let rings = KernelRings::new(config, listener, &bell).expect("io_uring is allowed here");
    let mut sockets = Sockets::new(rings, NEWCOMERS_PER_TURN_MAX);
    let mut clients: Vec<TcpStream> =
        (0..CLIENTS_COUNT).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    let mut speak = || clients.iter_mut().for_each(|client| client.write_all(&[7]).expect("connected"));
    let deadline = Instant::now() + PATIENCE;

    speak();
    let (mut opened, mut heard, mut most_waiting) = (Vec::new(), Vec::new(), 0);
    while heard.len() < CLIENTS_COUNT {
        assert!(Instant::now() < deadline, "only {} of {CLIENTS_COUNT} were heard", heard.len());
        let in_turn = turn(&mut sockets, &mut opened);
        assert!(in_turn.len() <= NEWCOMERS_PER_TURN_MAX as usize, "{} newcomers in a turn", in_turn.len());
        most_waiting = most_waiting.max(sockets.newcomers_waiting());
        heard.extend(in_turn);
    }
    assert!(most_waiting > 0, "nobody had to wait");
    heard.sort_by_key(|socket| socket.to_bits());
    heard.dedup();
    assert_eq!(heard.len(), CLIENTS_COUNT, "each is heard once");

    opened.iter().for_each(|socket| sockets.settle(*socket));
    let mut most = 0;
    while most <= NEWCOMERS_PER_TURN_MAX as usize {
        assert!(Instant::now() < deadline, "no turn has heard more than {most}");
        speak();
        let mut left = CLIENTS_COUNT;
        while left > 0 {
            let in_turn = turn(&mut sockets, &mut opened).len();
            (left, most) = (left - in_turn, most.max(in_turn));
            assert!(Instant::now() < deadline, "{left} were not heard");
        }
    }
}
