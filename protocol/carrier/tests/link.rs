//! Both ends over real sockets on loopback, and whatever else may call there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use protocol_carrier::{HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, LinkDialer, LinkKey, LinkListener};
use protocol_shell::{LinkSource, LinkTransport};

const PATIENCE: Duration = Duration::from_secs(20);
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn key() -> LinkKey {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("randomness").serialize_pem();
    LinkKey::from_pem(pem.as_bytes()).expect("a key")
}

/// Asks until there is an answer.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn ready<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

/// A router's end, and the links that it lets in.
fn listen(address: SocketAddr, key: &LinkKey) -> (LinkListener, Receiver<LinkTransport>) {
    let (links, let_in) = channel();
    let listener = wait_for("the port is free", || {
        let links = links.clone();
        LinkListener::start(address, key, move |link| links.send(link).is_ok()).ok()
    });
    (listener, let_in)
}

fn dial(address: SocketAddr, key: &LinkKey) -> (LinkDialer, LinkSource) {
    let (dialer, mut links) = LinkDialer::start(address.to_string(), key, 1).expect("threads are to be had");
    (dialer, links.pop().expect("one for each shard"))
}

fn next_link(links: &mut LinkSource) -> LinkTransport {
    wait_for("a link for the gateway", || ready(|context| links.poll_link(context)))
}

fn send(link: &mut LinkTransport, batch: &[u8]) {
    wait_for("room", || ready(|context| link.sender.poll_room(context))).expect("the other end is there");
    link.sender.send(batch.to_vec()).expect("the other end is there");
}

fn receive(link: &mut LinkTransport) -> Option<Vec<u8>> {
    let batch = wait_for("a batch or the end", || ready(|context| link.receiver.poll_receive(context)));
    batch.ok().map(|batch| batch.to_vec())
}

#[test]
fn batches_cross_both_ways_in_order() {
    let key = key();
    let (listener, let_in) = listen(ANYWHERE, &key);
    let (dialer, mut links) = dial(listener.address(), &key);
    let mut gateway = next_link(&mut links);
    let mut router = let_in.recv_timeout(PATIENCE).expect("it was let in");
    for size in [1usize, 100, 10_000, 1_000_000] {
        let batches = (0..20u8).map(|number| vec![number; size]);
        let sender = thread::spawn({
            let batches: Vec<_> = batches.clone().collect();
            move || {
                batches.iter().for_each(|batch| send(&mut gateway, batch));
                gateway
            }
        });
        for batch in batches {
            assert_eq!(receive(&mut router), Some(batch));
        }
        gateway = sender.join().expect("no panic");
        send(&mut router, &vec![9; size]);
        assert_eq!(receive(&mut gateway), Some(vec![9; size]));
    }
    assert_eq!((listener.metrics().made.value(), dialer.metrics().made.value()), (1, 1));
}

#[test]
fn either_shell_that_drops_its_end_is_noticed_by_the_other_and_the_gateway_comes_again() {
    let key = key();
    let (listener, let_in) = listen(ANYWHERE, &key);
    let (_dialer, mut links) = dial(listener.address(), &key);
    for is_by_gateway in [true, false, true] {
        let mut gateway = next_link(&mut links);
        let mut router = let_in.recv_timeout(PATIENCE).expect("it was let in");
        send(&mut gateway, b"last words");
        assert_eq!(receive(&mut router).as_deref(), Some(&b"last words"[..]));
        if is_by_gateway {
            drop(gateway);
            assert_eq!(receive(&mut router), None);
        } else {
            drop(router);
            assert_eq!(receive(&mut gateway), None);
        }
    }
}

#[test]
fn a_router_that_comes_back_has_its_gateway_again() {
    let key = key();
    let (listener, _let_in) = listen(ANYWHERE, &key);
    let address = listener.address();
    let (_dialer, mut links) = dial(address, &key);
    let mut gateway = next_link(&mut links);
    drop(listener);
    assert_eq!(receive(&mut gateway), None);
    drop(gateway);
    let (_listener, _let_in) = listen(address, &key);
    next_link(&mut links);
}

#[test]
fn another_key_is_refused_at_both_ends_and_counted() {
    let (listener, let_in) = listen(ANYWHERE, &key());
    let (dialer, mut links) = dial(listener.address(), &key());
    wait_for("both ends have refused", || {
        let counts = [&listener.metrics().refused_key, &dialer.metrics().refused_key].map(|counter| counter.value());
        counts.iter().all(|count| *count >= 2).then_some(())
    });
    assert!(let_in.try_recv().is_err(), "nobody was let in");
    assert!(ready(|context| links.poll_link(context)).is_none());
    assert_eq!((listener.metrics().made.value(), dialer.metrics().made.value()), (0, 0));
}

#[test]
fn who_speaks_no_tls_is_closed_and_nothing_of_it_reaches_the_router() {
    let key = key();
    let (listener, let_in) = listen(ANYWHERE, &key);
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 4096]] {
        let mut stranger = TcpStream::connect(listener.address()).expect("it listens");
        stranger.write_all(words).expect("it is taken");
        stranger.set_read_timeout(Some(PATIENCE)).expect("a socket");
        // An alert or a reset: it is over in any case.
        let _ = stranger.read_to_end(&mut Vec::new());
    }
    wait_for("all are counted", || (listener.metrics().refused_other.value() == 3).then_some(()));
    assert!(let_in.try_recv().is_err());
    let (_dialer, mut links) = dial(listener.address(), &key);
    next_link(&mut links);
}

#[test]
fn who_says_nothing_is_closed_in_time_and_a_crowd_of_them_keeps_nobody_out() {
    let key = key();
    let (listener, _let_in) = listen(ANYWHERE, &key);
    let began = Instant::now();
    let mut silent: Vec<TcpStream> =
        (0..HANDSHAKES_MAX + 5).map(|_| TcpStream::connect(listener.address()).expect("it listens")).collect();
    let (_dialer, mut links) = dial(listener.address(), &key);
    next_link(&mut links);
    let mut last = silent.pop().expect("there are many");
    last.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let _ = last.read_to_end(&mut Vec::new());
    assert!(began.elapsed() >= HANDSHAKE_TIMEOUT, "the newest have their time");
    assert!(listener.metrics().refused_evicted.value() >= 5);
}

#[test]
fn a_router_that_says_nothing_is_given_up_in_time() {
    let deaf = TcpListener::bind(ANYWHERE).expect("a port");
    let (dialer, mut links) = dial(deaf.local_addr().expect("it listens"), &key());
    wait_for("the first attempt is over", || (dialer.metrics().refused_timeout.value() > 0).then_some(()));
    assert!(ready(|context| links.poll_link(context)).is_none());
}

#[test]
fn a_port_in_use_is_an_error_at_once() {
    let (listener, _let_in) = listen(ANYWHERE, &key());
    let again = LinkListener::start(listener.address(), &key(), |_| true);
    assert_eq!(again.err().map(|error| error.kind()), Some(std::io::ErrorKind::AddrInUse));
}
