//! What the machine of sockets relies on, each asked of the kernel that runs here. A fact that falls is a fault above it.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gateway_ring::{Buffer, Completion, Errno, KernelRings, Operation, Received, Ring, RingsConfig, SocketId};

const PATIENCE: Duration = Duration::from_secs(10);
/// For what must not happen.
const A_WHILE: Duration = Duration::from_millis(150);

struct Bench {
    rings: KernelRings,
    address: SocketAddr,
    _bell: UnixStream,
}

impl Bench {
    fn new() -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (bell, end) = UnixStream::pair().expect("a pair");
        let config = RingsConfig { sockets_per_ring_max: 4, rings_max: 8 };
        let rings = KernelRings::new(config, listener, &end).expect("io_uring is allowed here");
        // The end stays open as long as the rings wait for it.
        std::mem::forget(end);
        Bench { rings, address, _bell: bell }
    }

    fn next(&mut self) -> Completion {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(completion) = self.rings.next_completion() {
                return completion;
            }
            self.rings.turn(PATIENCE);
        }
        panic!("nothing has ended");
    }

    fn nothing_ends(&mut self) {
        self.rings.turn(A_WHILE);
        assert!(self.rings.next_completion().is_none());
    }

    fn connect(&mut self) -> (TcpStream, SocketId) {
        self.rings.submit(Operation::Accept);
        let client = TcpStream::connect(self.address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        match self.next() {
            Completion::Accepted(Ok((socket, peer))) => {
                assert_eq!(peer, client.local_addr().expect("connected"), "an accept says who has come");
                (client, socket)
            }
            other => panic!("no connection but {other:?}"),
        }
    }

    fn receive(&mut self, socket: SocketId) -> Result<Received, Errno> {
        self.rings.submit(Operation::Receive(socket));
        match self.next() {
            Completion::Received { result, .. } => result,
            other => panic!("no receive but {other:?}"),
        }
    }

    fn receive_bytes(&mut self, socket: SocketId) -> (Buffer, bool) {
        match self.receive(socket).expect("there is something") {
            Received::Bytes { buffer, has_more } => (buffer, has_more),
            Received::End => panic!("no bytes but the end"),
        }
    }

    fn await_watch(&mut self) -> bool {
        self.await_news().0
    }

    /// Whether the watch goes on, and whether it has seen the peer gone.
    fn await_news(&mut self) -> (bool, bool) {
        match self.next() {
            Completion::Watched { is_armed, has_gone, .. } => (is_armed, has_gone),
            other => panic!("no watch but {other:?}"),
        }
    }
}

/// Else a thread that sleeps would not hear of its sockets: a deferred ring cannot be waited for itself.
#[test]
fn a_sleeping_thread_is_woken_by_any_ring() {
    let mut bench = Bench::new();
    // More than one ring has room for.
    let mut pairs: Vec<_> = (0..6).map(|_| bench.connect()).collect();
    assert!(pairs.iter().any(|(_, socket)| socket.ring == 1));
    pairs.iter().for_each(|(_, socket)| bench.rings.submit(Operation::Watch(*socket)));
    bench.nothing_ends();
    for (client, socket) in &mut pairs {
        client.write_all(b"x").expect("connected");
        let began = Instant::now();
        match bench.next() {
            Completion::Watched { socket: woken, is_armed: true, .. } => assert_eq!(woken, *socket),
            other => panic!("no watch but {other:?}"),
        }
        assert!(began.elapsed() < PATIENCE / 2, "the wait ended by itself");
    }
}

/// Else a message that comes between a receive and the next wait would lie there for ever.
#[test]
fn a_watch_says_so_each_time_and_also_of_what_was_there_before() {
    let mut bench = Bench::new();
    let (mut client, socket) = bench.connect();
    client.write_all(b"before").expect("connected");
    bench.rings.submit(Operation::Watch(socket));
    for _ in 0..3 {
        assert!(bench.await_watch(), "it stays armed");
        let (buffer, has_more) = bench.receive_bytes(socket);
        assert!(!has_more);
        bench.rings.give_back(buffer);
        bench.nothing_ends();
        client.write_all(b"after").expect("connected");
    }
}

/// Else those who talk would wait for the end of everybody who goes at the same time.
#[test]
fn a_watch_tells_bytes_from_a_peer_that_has_gone() {
    let mut bench = Bench::new();
    for is_reset in [false, true] {
        let (mut client, socket) = bench.connect();
        bench.rings.submit(Operation::Watch(socket));
        client.write_all(b"here").expect("connected");
        assert_eq!(bench.await_news(), (true, false));
        if is_reset {
            rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).expect("a socket");
        }
        drop(client);
        assert_eq!(bench.await_news(), (true, true));
    }
}

/// Else who has ended its side and waits for the server's would be told of an error.
#[test]
fn a_close_after_the_peers_end_is_an_end_for_it_too() {
    let mut bench = Bench::new();
    let (mut client, socket) = bench.connect();
    client.write_all(b"last").expect("connected");
    client.shutdown(std::net::Shutdown::Write).expect("connected");
    let (buffer, _) = bench.receive_bytes(socket);
    bench.rings.give_back(buffer);
    assert!(matches!(bench.receive(socket), Ok(Received::End)));
    bench.rings.submit(Operation::Close(socket));
    assert!(matches!(bench.next(), Completion::Closed(_)));
    assert_eq!(client.read(&mut [0; 1]).expect("no reset"), 0);
}

/// Else the machine would take silence for the end of what there is, or the end for silence.
#[test]
fn a_receive_says_whether_there_is_more_and_an_end_counts() {
    let mut bench = Bench::new();
    let (mut client, socket) = bench.connect();
    client.write_all(&[7; 10_000]).expect("there is room");
    client.shutdown(std::net::Shutdown::Write).expect("connected");
    bench.rings.submit(Operation::Watch(socket));
    assert!(bench.await_watch());
    let mut size = 0;
    loop {
        bench.rings.submit(Operation::Receive(socket));
        match bench.next() {
            Completion::Received { result: Ok(Received::Bytes { buffer, has_more }), .. } => {
                size += bench.rings.bytes(&buffer).len();
                assert!(has_more, "bytes or the end follow");
                bench.rings.give_back(buffer);
            }
            Completion::Received { result: Ok(Received::End), .. } => break,
            Completion::Watched { .. } => {}
            other => panic!("no receive but {other:?}"),
        }
    }
    assert_eq!(size, 10_000);
}

/// The machine counts on being told at once, and begins again later.
#[test]
fn a_receive_never_waits_neither_for_bytes_nor_for_a_buffer() {
    let mut bench = Bench::new();
    let (mut client, socket) = bench.connect();
    assert_eq!(bench.receive(socket).expect_err("nothing is there"), Errno::AGAIN);
    let mut taken = Vec::new();
    for _ in 0..bench.rings.buffers_count() {
        client.write_all(b"x").expect("connected");
        taken.push(bench.receive_bytes(socket).0);
    }
    client.write_all(b"x").expect("connected");
    assert_eq!(bench.receive(socket).expect_err("all buffers are taken"), Errno::NOBUFS);
    bench.rings.give_back(taken.pop().expect("there are some"));
    let (buffer, _) = bench.receive_bytes(socket);
    taken.push(buffer);
    taken.into_iter().for_each(|buffer| bench.rings.give_back(buffer));
}

/// That is why a close waits for its watch: a watch holds the connection by itself, and the peer would never be told.
#[test]
fn a_close_under_a_watch_leaves_the_connection_and_after_a_cancel_ends_it() {
    let mut bench = Bench::new();
    let (mut careless, socket) = bench.connect();
    bench.rings.submit(Operation::Watch(socket));
    bench.rings.turn(Duration::ZERO);
    bench.rings.submit(Operation::Close(socket));
    assert!(matches!(bench.next(), Completion::Closed(closed) if closed == socket));
    careless.set_read_timeout(Some(A_WHILE)).expect("a socket");
    careless.read(&mut [0]).expect_err("it is not told");

    let (mut careful, socket) = bench.connect();
    bench.rings.submit(Operation::Watch(socket));
    bench.rings.turn(Duration::ZERO);
    bench.rings.submit(Operation::CancelWatch(socket));
    let mut ended = 0;
    while ended < 2 {
        match bench.next() {
            Completion::Watched { is_armed: false, .. } | Completion::Cancelled(_) => ended += 1,
            other => panic!("no end but {other:?}"),
        }
    }
    bench.rings.submit(Operation::Close(socket));
    assert!(matches!(bench.next(), Completion::Closed(closed) if closed == socket));
    assert_eq!(careful.read(&mut [0]).expect("the end"), 0);
}

/// A slow reader costs its bytes until it reads or is cut, and no thread waits for it.
#[test]
fn a_send_waits_for_room_and_may_end_in_part() {
    let mut bench = Bench::new();
    let (mut client, socket) = bench.connect();
    let bytes: Vec<u8> = (0..20 << 20).map(|at: u32| (at >> 8) as u8).collect();
    let reader = {
        let size = bytes.len();
        let mut client = client.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            std::thread::sleep(A_WHILE);
            let mut read = vec![0; size];
            client.read_exact(&mut read).expect("all of it comes");
            read
        })
    };
    let (mut sent, mut from) = (Some(bytes.clone()), 0);
    while let Some(bytes) = sent.take() {
        bench.rings.submit(Operation::Send { socket, bytes, from });
        match bench.next() {
            Completion::Sent { bytes, result, .. } => {
                from += result.expect("the peer reads");
                sent = (from < bytes.len()).then_some(bytes);
            }
            other => panic!("no send but {other:?}"),
        }
    }
    assert!(reader.join().expect("it has read all") == bytes);
    client.write_all(b"still there").expect("connected");
}

/// So a connection goes to the home of its user on another thread: nothing of it may be lost on the way, and its place here
/// must be free again. It is the reason for a kernel that can give a socket of a ring a descriptor.
#[test]
fn a_socket_that_leaves_its_ring_is_the_same_connection_outside_and_in_another_ring() {
    let (mut here, mut there) = (Bench::new(), Bench::new());
    let (mut client, socket) = here.connect();
    client.write_all(b"before").expect("connected");
    here.rings.submit(Operation::Detach(socket));
    let descriptor = match here.next() {
        Completion::Detached { result, .. } => result.expect("a descriptor is to be had"),
        other => panic!("no descriptor but {other:?}"),
    };
    here.rings.submit(Operation::Close(socket));
    assert!(matches!(here.next(), Completion::Closed(closed) if closed == socket));
    let mut outside = TcpStream::from(descriptor);
    outside.write_all(b"from outside").expect("it is open though its place in the ring is not");
    there.rings.submit(Operation::Attach { number: 7, descriptor: outside.into() });
    let socket = match there.next() {
        Completion::Attached { number: 7, result } => result.expect("there is room"),
        other => panic!("no place but {other:?}"),
    };
    there.rings.submit(Operation::Watch(socket));
    assert!(there.await_watch(), "it is told of what came before");
    let (buffer, _) = there.receive_bytes(socket);
    assert_eq!(there.rings.bytes(&buffer), b"before");
    there.rings.give_back(buffer);
    let mut read = [0; 12];
    client.read_exact(&mut read).expect("it came from outside");
    assert_eq!(&read, b"from outside");
    drop(here);
    client.write_all(b"after").expect("connected");
    assert!(there.await_watch());
}

/// Else what has no place would stay open with nobody to close it.
#[test]
fn a_socket_that_no_ring_has_room_for_is_closed() {
    let mut bench = Bench::new();
    let _guests: Vec<_> = (0..32).map(|_| bench.connect()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (stream, _) = listener.accept().expect("a client comes");
    bench.rings.submit(Operation::Attach { number: 7, descriptor: stream.into() });
    assert!(matches!(bench.next(), Completion::Attached { number: 7, result: Err(Errno::MFILE) }));
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
}

/// Names that are out of date must find nothing.
#[test]
fn a_slot_that_was_closed_comes_back_with_another_generation() {
    let mut bench = Bench::new();
    let mut seen = Vec::new();
    for _ in 0..20 {
        let (_client, socket) = bench.connect();
        assert!(!seen.contains(&socket), "each time another name");
        seen.push(socket);
        bench.rings.submit(Operation::Close(socket));
        assert!(matches!(bench.next(), Completion::Closed(closed) if closed == socket));
    }
    assert!(seen.iter().all(|socket| socket.ring == 0), "slots are used again");
}

#[test]
fn when_all_rings_are_full_nobody_is_accepted_until_somebody_leaves() {
    let mut bench = Bench::new();
    let guests: Vec<_> = (0..32).map(|_| bench.connect()).collect();
    bench.rings.submit(Operation::Accept);
    assert!(matches!(bench.next(), Completion::Accepted(Err(Errno::MFILE))));
    let (_, socket) = guests.first().expect("there are some");
    bench.rings.submit(Operation::Close(*socket));
    assert!(matches!(bench.next(), Completion::Closed(_)));
    bench.connect();
}
