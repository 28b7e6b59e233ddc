//! The portable driver: a shard thread on the monoio runtime, which is io_uring or readiness (epoll, kqueue).
//!
//! A connection is two tasks, one that reads and one that writes; both only carry bytes between the socket and the
//! [`ShardLoop`], which is borrowed between two awaits and never across one. An operation that is in flight is dropped
//! only when its connection is aborted, where lost bytes do not matter. An idle connection owns a small read buffer:
//! the runtime cannot wait for a socket without one.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpStream as Socket;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::task::Poll;
use std::time::Duration;

use gateway_core::{ConnectionId, Peer};
use gateway_ring::take_over;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use monoio::{LegacyDriver, RuntimeBuilder};
use protocol_shell::clock;

use crate::acceptor::AcceptedSocket;
use crate::crossing::Migrant;
use crate::doorbell::{DoorbellListener, DoorbellPost};
use crate::driver::Driver;
use crate::renewal::RenewalSlot;
use crate::shard_loop::{ReadTurn, ShardLoop, Side, WriteTurn};
use crate::shard_port::ShardPort;
use crate::task_wakers::TaskWakers;

/// What an idle connection waits with: a chat message with its TLS record fits.
const READ_SIZE_IDLE: usize = 1024;
/// What a connection reads with after it has filled its buffer: one TLS record.
const READ_SIZE_BUSY: usize = 16 * 1024;

type Shared<S> = Rc<RefCell<ShardLoop<S, TaskWakers>>>;

/// What the thread listens to.
pub(crate) struct MonoioThread {
    pub(crate) driver: Driver,
    pub(crate) sockets: Receiver<AcceptedSocket>,
    pub(crate) post: DoorbellPost,
    pub(crate) drain: Arc<AtomicBool>,
    pub(crate) renewals: Arc<RenewalSlot>,
}

impl MonoioThread {
    /// Runs on this thread until the shard has been drained.
    pub(crate) fn run<S: ShardPort + 'static>(self, shard_loop: ShardLoop<S, TaskWakers>) -> io::Result<()> {
        let shared = Rc::new(RefCell::new(shard_loop));
        match self.driver {
            #[cfg(target_os = "linux")]
            Driver::MonoioUring => {
                RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build()?.block_on(self.serve(shared))
            }
            #[cfg(not(target_os = "linux"))]
            Driver::MonoioUring => unreachable!("never picked here"),
            Driver::Uring => unreachable!("it has a driver of its own"),
            Driver::MonoioReadiness => {
                RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?.block_on(self.serve(shared))
            }
        }
    }

    async fn serve<S: ShardPort + 'static>(self, shared: Shared<S>) -> io::Result<()> {
        let is_nonblocking = self.driver == Driver::MonoioReadiness;
        let bell = self.post.listen(is_nonblocking)?;
        shared.borrow_mut().start();
        monoio::select! {
            result = answer_bell(&shared, bell, self.sockets, &self.drain, &self.renewals, is_nonblocking) => result,
            () = keep_time(&shared) => Ok(()),
            () = send_off(&shared) => Ok(()),
            () = drained(&shared) => Ok(()),
        }
    }
}

/// Takes what other threads have left. Ends only when the bell fails.
async fn answer_bell<S: ShardPort + 'static>(
    shared: &Shared<S>,
    mut bell: DoorbellListener,
    sockets: Receiver<AcceptedSocket>,
    drain: &AtomicBool,
    renewals: &RenewalSlot,
    is_nonblocking: bool,
) -> io::Result<()> {
    loop {
        bell.heard().await?;
        // Before the sockets: one that was accepted after a renewal meets the new certificate.
        if let Some(renewal) = renewals.take() {
            let mut shared = shared.borrow_mut();
            shared.attention().handshakes.set_per_turn_max(renewal.config.handshakes_per_turn_max);
            shared.renew(renewal);
        }
        while let Ok(socket) = sockets.try_recv() {
            let peer = socket.peer;
            if let Err(error) = open(shared, socket, is_nonblocking) {
                tracing::debug!(%peer, %error, "an accepted socket cannot be used");
                shared.borrow().refused();
            }
        }
        shared.borrow_mut().rung();
        while let Some(migrant) = next_arrival(shared) {
            take_in(shared, migrant, is_nonblocking);
        }
        if drain.load(Ordering::Acquire) {
            shared.borrow_mut().drain();
        }
    }
}

/// Never ends.
async fn keep_time<S: ShardPort>(shared: &Shared<S>) {
    loop {
        let pause = arm_timer(&mut shared.borrow_mut());
        monoio::select! {
            () = monoio::time::sleep(pause) => {}
            () = poll_fn(|context| ready_if(shared.borrow_mut().attention().await_earlier(context))) => {}
        }
        shared.borrow_mut().timeout();
    }
}

fn arm_timer<S: ShardPort>(shard_loop: &mut ShardLoop<S, TaskWakers>) -> Duration {
    let now = clock::now().monotonic;
    let due = shard_loop.next_timeout(now);
    shard_loop.attention().arm_timer(now, due)
}

/// The runtime polls this when everything that was ready has had its turn, so what came together departs together.
/// Never ends.
async fn send_off<S: ShardPort>(shared: &Shared<S>) {
    loop {
        poll_fn(|context| ready_if(shared.borrow_mut().attention().await_departure(context))).await;
        let mut shared = shared.borrow_mut();
        shared.depart();
        shared.attention().handshakes.begin();
    }
}

async fn drained<S: ShardPort>(shared: &Shared<S>) {
    poll_fn(|context| {
        let mut shared = shared.borrow_mut();
        shared.attention().await_end(context);
        ready_if(shared.is_drained())
    })
    .await;
}

fn ready_if(is_ready: bool) -> Poll<()> {
    if is_ready { Poll::Ready(()) } else { Poll::Pending }
}

fn open<S: ShardPort + 'static>(shared: &Shared<S>, socket: AcceptedSocket, is_nonblocking: bool) -> io::Result<()> {
    socket.stream.set_nodelay(true)?;
    let stream = stream_of(socket.stream, is_nonblocking)?;
    let opened = shared.borrow_mut().opened(Peer { address: socket.peer.ip() }, 0);
    if let Ok(key) = opened {
        serve(shared, key, stream);
    }
    Ok(())
}

/// From another shard.
fn take_in<S: ShardPort + 'static>(shared: &Shared<S>, migrant: Migrant, is_nonblocking: bool) {
    let Migrant { stream, luggage } = migrant;
    match stream_of(stream, is_nonblocking) {
        Ok(stream) => {
            let key = shared.borrow_mut().moved_in(luggage, 0);
            serve(shared, key, stream);
        }
        Err(error) => {
            tracing::warn!(%error, "a connection is lost on its way between two shards; see `ulimit -n`");
            shared.borrow_mut().not_moved_in(luggage);
        }
    }
}

fn next_arrival<S: ShardPort>(shared: &Shared<S>) -> Option<Migrant> {
    shared.borrow_mut().next_arrival()
}

/// io_uring waits by itself on a blocking socket and fails at once on another.
fn stream_of(socket: Socket, is_nonblocking: bool) -> io::Result<TcpStream> {
    socket.set_nonblocking(is_nonblocking)?;
    TcpStream::from_std(socket)
}

fn serve<S: ShardPort + 'static>(shared: &Shared<S>, key: ConnectionId, stream: TcpStream) {
    let (read_half, write_half) = stream.into_split();
    monoio::spawn(read_all(shared.clone(), key, read_half));
    monoio::spawn(write_all(shared.clone(), key, write_half));
}

async fn read_all<S: ShardPort>(shared: Shared<S>, key: ConnectionId, mut stream: OwnedReadHalf<TcpStream>) {
    let mut buffer = Vec::with_capacity(READ_SIZE_IDLE);
    while may_read(&shared, key).await {
        let read = unless_aborted(&shared, key, Side::Reading, stream.read(buffer)).await;
        let Some((Ok(size), mut filled)) = read else { break };
        let Some(incoming) = filled.get_mut(..size).filter(|incoming| !incoming.is_empty()) else { break };
        await_handshake_turn(&shared, key).await;
        shared.borrow_mut().received(key, incoming);
        buffer = next_buffer(filled, size);
    }
    shared.borrow_mut().read_ended(key);
    ended(&shared, key, Side::Reading);
}

/// Waits until the connection may be read. False when it is over.
async fn may_read<S: ShardPort>(shared: &Shared<S>, key: ConnectionId) -> bool {
    poll_fn(|context| {
        let mut shared = shared.borrow_mut();
        match shared.read_turn(key) {
            ReadTurn::Read => Poll::Ready(true),
            ReadTurn::Stop | ReadTurn::Leave => Poll::Ready(false),
            ReadTurn::Wait => {
                shared.attention().wait(key, Side::Reading, context);
                Poll::Pending
            }
        }
    })
    .await
}

/// Who has shaken hands does not wait.
async fn await_handshake_turn<S: ShardPort>(shared: &Shared<S>, key: ConnectionId) {
    poll_fn(|context| {
        let mut shared = shared.borrow_mut();
        ready_if(shared.is_established(key) || shared.attention().handshakes.take(context))
    })
    .await;
}

/// More is likely to follow a full buffer, and nothing one that was not.
fn next_buffer(used: Vec<u8>, size: usize) -> Vec<u8> {
    let wanted = if size == used.capacity() { READ_SIZE_BUSY } else { READ_SIZE_IDLE };
    if used.capacity() == wanted { used } else { Vec::with_capacity(wanted) }
}

async fn write_all<S: ShardPort>(shared: Shared<S>, key: ConnectionId, mut stream: OwnedWriteHalf<TcpStream>) {
    loop {
        let outgoing = match next_write_turn(&shared, key).await {
            WriteTurn::Write(outgoing) => outgoing,
            WriteTurn::Leave => return leave(&shared, key, stream),
            WriteTurn::Wait | WriteTurn::Stop => break,
        };
        match unless_aborted(&shared, key, Side::Writing, stream.write_all(outgoing)).await {
            Some((Ok(_), bytes)) => shared.borrow_mut().sent(key, bytes),
            Some((Err(_), _)) => shared.borrow_mut().write_failed(key),
            None => break,
        }
    }
    // The peer reads everything up to here, then the end; a socket that is gone already does not mind.
    let _ = stream.shutdown().await;
    ended(&shared, key, Side::Writing);
}

/// Waits until there is something to do.
async fn next_write_turn<S: ShardPort>(shared: &Shared<S>, key: ConnectionId) -> WriteTurn {
    poll_fn(|context| {
        let mut shared = shared.borrow_mut();
        match shared.write_turn(key) {
            WriteTurn::Wait => {
                shared.attention().wait(key, Side::Writing, context);
                Poll::Pending
            }
            turn => Poll::Ready(turn),
        }
    })
    .await
}

/// To another shard. The task that reads has ended, so this half is all of the socket, and nothing is under way on it.
fn leave<S: ShardPort>(shared: &Shared<S>, key: ConnectionId, stream: OwnedWriteHalf<TcpStream>) {
    // A half that is dropped shuts its side down, so it is made whole again.
    let stream = OwnedReadHalf(stream.0.clone()).reunite(stream).expect("both are of one socket");
    let mut shared = shared.borrow_mut();
    shared.detached(key, Ok(take_over(stream).into()));
    shared.attention().forget(key);
}

fn ended<S: ShardPort>(shared: &Shared<S>, key: ConnectionId, side: Side) {
    let mut shared = shared.borrow_mut();
    shared.side_ended(key, side);
    if shared.place(key).is_none() {
        shared.attention().forget(key);
    }
}

/// Drops the operation, and what it may have read, when the connection is aborted.
async fn unless_aborted<S: ShardPort, O: Future>(
    shared: &Shared<S>,
    key: ConnectionId,
    side: Side,
    operation: O,
) -> Option<O::Output> {
    let mut operation = pin!(operation);
    poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            let mut shared = shared.borrow_mut();
            if shared.is_aborted(key) {
                return Poll::Ready(None);
            }
            shared.attention().wait(key, side, context);
            Poll::Pending
        }
    })
    .await
}
