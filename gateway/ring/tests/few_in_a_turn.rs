//! A turn hears few of those who come or go, and as many as there are of those who are settled.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gateway_ring::{Event, KernelRings, RingsConfig, SocketId, Sockets};

const PATIENCE: Duration = Duration::from_secs(10);
const CLIENTS_COUNT: usize = 20;
const GOING_COUNT: usize = 100;
const NEWCOMERS_PER_TURN_MAX: u32 = 3;

struct Bench {
    sockets: Sockets<KernelRings>,
    address: SocketAddr,
    opened: Vec<SocketId>,
    deadline: Instant,
    _button: UnixStream,
}

impl Bench {
    fn new(sockets_max: u32) -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (button, bell) = UnixStream::pair().expect("a pair");
        let rings = KernelRings::new(RingsConfig::for_sockets(sockets_max), listener, &bell);
        let sockets = Sockets::new(rings.expect("io_uring is allowed here"), NEWCOMERS_PER_TURN_MAX);
        Bench { sockets, address, opened: Vec::new(), deadline: Instant::now() + PATIENCE, _button: button }
    }

    fn connect(&self, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| TcpStream::connect(self.address).expect("it listens")).collect()
    }

    /// The sockets that were heard in one turn, each with one byte, and of how many the end.
    fn turn(&mut self) -> (Vec<SocketId>, usize) {
        assert!(Instant::now() < self.deadline, "what is waited for does not come");
        let (mut heard, mut ended) = (Vec::new(), 0);
        self.sockets.turn(Duration::from_millis(100));
        while let Some(event) = self.sockets.next_event() {
            match event {
                Event::Opened { socket, .. } => {
                    self.sockets.own(socket, socket.to_bits());
                    self.opened.push(socket);
                }
                Event::Received { socket, buffer, .. } => {
                    assert_eq!(self.sockets.bytes(&buffer), [7]);
                    self.sockets.give_back(socket, buffer);
                    heard.push(socket);
                }
                Event::ReadEnded { name } => {
                    ended += 1;
                    self.sockets.finish(SocketId::from_bits(name));
                }
                Event::Closed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        (heard, ended)
    }

    /// Turns until so many were heard.
    fn hear(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            left -= self.turn().0.len();
        }
    }

    fn settle_all(&mut self) {
        self.opened.iter().for_each(|socket| self.sockets.settle(*socket));
    }
}

fn speak(clients: &mut [TcpStream]) {
    clients.iter_mut().for_each(|client| client.write_all(&[7]).expect("connected"));
}

#[test]
fn a_turn_hears_few_newcomers_and_everybody_who_is_settled() {
    let mut bench = Bench::new(CLIENTS_COUNT as u32);
    let mut clients = bench.connect(CLIENTS_COUNT);

    speak(&mut clients);
    let (mut heard, mut most_waiting) = (Vec::new(), 0);
    while heard.len() < CLIENTS_COUNT {
        let (in_turn, _) = bench.turn();
        assert!(in_turn.len() <= NEWCOMERS_PER_TURN_MAX as usize, "{} newcomers in a turn", in_turn.len());
        most_waiting = most_waiting.max(bench.sockets.newcomers_waiting());
        heard.extend(in_turn);
    }
    assert!(most_waiting > 0, "nobody had to wait");
    heard.sort_by_key(|socket| socket.to_bits());
    heard.dedup();
    assert_eq!(heard.len(), CLIENTS_COUNT, "each is heard once");

    bench.settle_all();
    let mut most = 0;
    while most <= NEWCOMERS_PER_TURN_MAX as usize {
        speak(&mut clients);
        let mut left = CLIENTS_COUNT;
        while left > 0 {
            let in_turn = bench.turn().0.len();
            (left, most) = (left - in_turn, most.max(in_turn));
        }
    }
}

#[test]
fn whoever_talks_is_heard_before_most_of_those_who_go() {
    let mut bench = Bench::new(GOING_COUNT as u32 + 1);
    let mut going = bench.connect(GOING_COUNT);
    let mut talking = bench.connect(1);
    speak(&mut going);
    speak(&mut talking);
    bench.hear(GOING_COUNT + 1);
    bench.settle_all();

    going.clear();
    speak(&mut talking);
    let mut ended_before = 0;
    loop {
        let (heard, ended) = bench.turn();
        ended_before += ended;
        if !heard.is_empty() {
            break;
        }
    }
    assert!(ended_before < GOING_COUNT / 2, "it was heard after the ends of {ended_before} of {GOING_COUNT}");
    while bench.sockets.count() > 1 {
        bench.turn();
    }
}
