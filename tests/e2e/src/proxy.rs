//! A TCP connection with somebody in the middle, who can cut it, stall it, or let it hang half open.
//!
//! With several targets it is a load balancer too: each connection goes to the next one that takes it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::port;

/// Carried at a time.
const PIECE_SIZE: usize = 16 * 1024;

/// What is done to connections. Those that come later are not cut and do not hang, but they stall.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    cuts: u64,
    hangs: u64,
    is_stalled: bool,
    is_over: bool,
}

/// See the file's head. Ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port.
    pub fn start(targets: Vec<SocketAddr>) -> Result<Proxy> {
        let address = port::free_address()?;
        let listener = std::net::TcpListener::bind(address).context("cannot listen for the proxy")?;
        listener.set_nonblocking(true)?;
        let (orders, received) = watch::channel(Orders::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::spawn(move || {
            let mut end = received.clone();
            runtime.block_on(async {
                tokio::select! {
                    () = accept_all(listener, targets, received) => {}
                    _ = end.wait_for(|orders| orders.is_over) => {}
                }
            });
        });
        Ok(Proxy { address, orders, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection: both ends are told.
    pub fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// From now on nothing passes on the connections there are, and neither end is told, not even that the other is gone.
    pub fn hang(&self) {
        self.orders.send_modify(|orders| orders.hangs += 1);
    }

    /// Nothing passes until [`Self::flow`]; nothing is lost.
    pub fn stall(&self) {
        self.orders.send_modify(|orders| orders.is_stalled = true);
    }

    /// Goes on.
    pub fn flow(&self) {
        self.orders.send_modify(|orders| orders.is_stalled = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders.send_modify(|orders| orders.is_over = true);
        // What it has to say about a panic it has said.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn accept_all(listener: std::net::TcpListener, targets: Vec<SocketAddr>, orders: watch::Receiver<Orders>) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block, inside a runtime");
    let next = AtomicUsize::new(0);
    while let Ok((near, _)) = listener.accept().await {
        let first = next.fetch_add(1, Ordering::Relaxed);
        let in_turn: Vec<SocketAddr> =
            targets.iter().cycle().skip(first % targets.len()).take(targets.len()).copied().collect();
        tokio::spawn(connect(near, in_turn, orders.clone()));
    }
}

/// Nobody takes it: it is closed.
async fn connect(near: TcpStream, targets: Vec<SocketAddr>, orders: watch::Receiver<Orders>) {
    for target in targets {
        if let Ok(far) = TcpStream::connect(target).await {
            return carry(near, far, orders).await;
        }
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, mut orders: watch::Receiver<Orders>) {
    let is_ready = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    if is_ready.is_err() {
        return;
    }
    let born = *orders.borrow();
    let ((near_reader, near_writer), (far_reader, far_writer)) = (near.split(), far.split());
    let is_struck = |orders: &Orders| orders.cuts > born.cuts || orders.hangs > born.hangs;
    let (forth, back) = (orders.clone(), orders.clone());
    tokio::select! {
        // An end that comes after an order must not be passed on.
        biased;
        _ = orders.wait_for(is_struck) => {}
        () = pump(near_reader, far_writer, forth) => return,
        () = pump(far_reader, near_writer, back) => return,
    }
    // Hanging: both sockets stay, and nobody looks at them, until a cut.
    let _ = orders.wait_for(|orders| orders.cuts > born.cuts).await;
}

/// Ends with the first side that does; the caller closes both.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut orders: watch::Receiver<Orders>) {
    let mut piece = vec![0; PIECE_SIZE];
    while let Ok(size @ 1..) = from.read(&mut piece).await {
        if orders.wait_for(|orders| !orders.is_stalled).await.is_err() {
            return;
        }
        let Some(piece) = piece.get(..size) else { return };
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
    // An end that is seen while nothing passes has to wait too.
    let _ = orders.wait_for(|orders| !orders.is_stalled).await;
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener as StdListener, TcpStream as StdStream};
    use std::time::Duration;

    use super::*;

    fn pair(proxy: &Proxy, target: &StdListener) -> (StdStream, StdStream) {
        let near = StdStream::connect(proxy.address()).expect("it listens");
        let far = target.accept().expect("it connects").0;
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        }
        (near, far)
    }

    fn receive(stream: &mut StdStream) -> Result<u8, ErrorKind> {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => Err(ErrorKind::UnexpectedEof),
            Ok(_) => Ok(byte[0]),
            Err(error) => Err(error.kind()),
        }
    }

    #[test]
    fn it_carries_stalls_hangs_and_cuts() {
        let target = StdListener::bind("127.0.0.1:0").expect("a port");
        let proxy = Proxy::start(vec![target.local_addr().expect("it listens")]).expect("a proxy");
        let (mut near, mut far) = pair(&proxy, &target);
        near.write_all(&[1]).expect("it is taken");
        far.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        assert_eq!(receive(&mut far), Ok(1));
        proxy.stall();
        far.write_all(&[2]).expect("it is taken");
        assert_eq!(receive(&mut near), Err(ErrorKind::WouldBlock));
        proxy.flow();
        near.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        assert_eq!(receive(&mut near), Ok(2));
        proxy.hang();
        drop(far);
        near.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        assert_eq!(receive(&mut near), Err(ErrorKind::WouldBlock), "nobody is told");
        let (mut later, mut far) = pair(&proxy, &target);
        later.write_all(&[3]).expect("it is taken");
        far.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        assert_eq!(receive(&mut far), Ok(3));
        proxy.cut();
        assert_eq!(receive(&mut far), Err(ErrorKind::UnexpectedEof));
    }
}
