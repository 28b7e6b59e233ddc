//! The portable driver: one shard thread on the monoio runtime, which is io_uring or readiness (epoll, kqueue).
//!
//! A connection is two tasks, one that reads and one that writes; both only carry bytes between the socket and the
//! [`ShardLoop`], which is borrowed between two awaits and never across one. An operation that is in flight is dropped
//! only when its connection is aborted, where lost bytes do not matter. An idle connection owns a small read buffer:
//! the runtime cannot wait for a socket without one.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::task::Poll;

use gateway_core::{ConnectionId, Peer};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use monoio::{LegacyDriver, RuntimeBuilder};

use crate::acceptor::AcceptedSocket;
use crate::doorbell::{DoorbellListener, DoorbellPost};
use crate::driver::Driver;
use crate::renewal::RenewalSlot;
use crate::shard_loop::{ReadTurn, ShardLoop, Task};
use crate::shard_port::ShardPort;

/// What an idle connection waits with: a chat message with its TLS record fits.
const READ_SIZE_IDLE: usize = 1024;
/// What a connection reads with after it has filled its buffer: one TLS record.
const READ_SIZE_BUSY: usize = 16 * 1024;

type Shared<S> = Rc<RefCell<ShardLoop<S>>>;

/// What a shard thread listens to.
pub(crate) struct ShardThread {
    pub(crate) driver: Driver,
    pub(crate) sockets: Receiver<AcceptedSocket>,
    pub(crate) post: DoorbellPost,
    pub(crate) drain: Arc<AtomicBool>,
    pub(crate) renewals: Arc<RenewalSlot>,
}

impl ShardThread {
    /// Runs on this thread until the shard has been drained.
    pub(crate) fn run<S: ShardPort + 'static>(self, shard_loop: ShardLoop<S>) -> io::Result<()> {
        let shared = Rc::new(RefCell::new(shard_loop));
        match self.driver {
            #[cfg(target_os = "linux")]
            Driver::MonoioUring => {
                RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build()?.block_on(self.serve(shared))
            }
            #[cfg(not(target_os = "linux"))]
            Driver::MonoioUring => unreachable!("never picked here"),
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
            () = poll_fn(|context| shared.borrow_mut().poll_end(context)) => Ok(()),
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
            shared.borrow_mut().renew(renewal);
        }
        while let Ok(socket) = sockets.try_recv() {
            let peer = socket.peer;
            if let Err(error) = open(shared, socket, is_nonblocking) {
                tracing::debug!(%peer, %error, "an accepted socket cannot be used");
                shared.borrow().refused();
            }
        }
        shared.borrow_mut().rung();
        if drain.load(Ordering::Acquire) {
            shared.borrow_mut().drain();
        }
    }
}

/// Never ends.
async fn keep_time<S: ShardPort>(shared: &Shared<S>) {
    loop {
        let pause = shared.borrow_mut().arm_timer();
        monoio::select! {
            () = monoio::time::sleep(pause) => {}
            () = poll_fn(|context| shared.borrow_mut().poll_earlier(context)) => {}
        }
        shared.borrow_mut().timeout();
    }
}

/// The runtime polls this when everything that was ready has had its turn, so what came together departs together.
/// Never ends.
async fn send_off<S: ShardPort>(shared: &Shared<S>) {
    loop {
        poll_fn(|context| shared.borrow_mut().poll_departure(context)).await;
        shared.borrow_mut().depart();
    }
}

fn open<S: ShardPort + 'static>(shared: &Shared<S>, socket: AcceptedSocket, is_nonblocking: bool) -> io::Result<()> {
    // io_uring waits by itself on a blocking socket and fails at once on another.
    socket.stream.set_nonblocking(is_nonblocking)?;
    socket.stream.set_nodelay(true)?;
    let stream = TcpStream::from_std(socket.stream)?;
    let opened = shared.borrow_mut().opened(Peer { address: socket.peer.ip() });
    if let Ok(key) = opened {
        let (read_half, write_half) = stream.into_split();
        monoio::spawn(read_all(shared.clone(), key, read_half));
        monoio::spawn(write_all(shared.clone(), key, write_half));
    }
    Ok(())
}

async fn read_all<S: ShardPort>(shared: Shared<S>, key: ConnectionId, mut stream: OwnedReadHalf<TcpStream>) {
    let mut buffer = Vec::with_capacity(READ_SIZE_IDLE);
    while poll_fn(|context| shared.borrow_mut().poll_read_turn(key, context)).await == ReadTurn::Read {
        let read = unless_aborted(&shared, key, Task::Reader, stream.read(buffer)).await;
        let Some((Ok(size), mut filled)) = read else { break };
        let Some(incoming) = filled.get_mut(..size).filter(|incoming| !incoming.is_empty()) else { break };
        shared.borrow_mut().received(key, incoming);
        buffer = next_buffer(filled, size);
    }
    let mut shared = shared.borrow_mut();
    shared.read_ended(key);
    shared.task_ended(key, Task::Reader);
}

/// More is likely to follow a full buffer, and nothing one that was not.
fn next_buffer(used: Vec<u8>, size: usize) -> Vec<u8> {
    let wanted = if size == used.capacity() { READ_SIZE_BUSY } else { READ_SIZE_IDLE };
    if used.capacity() == wanted { used } else { Vec::with_capacity(wanted) }
}

async fn write_all<S: ShardPort>(shared: Shared<S>, key: ConnectionId, mut stream: OwnedWriteHalf<TcpStream>) {
    while let Some(outgoing) = poll_fn(|context| shared.borrow_mut().poll_outgoing(key, context)).await {
        let frame_bytes = outgoing.frame_bytes;
        match unless_aborted(&shared, key, Task::Writer, stream.write_all(outgoing.bytes)).await {
            Some((Ok(_), bytes)) => shared.borrow_mut().sent(key, frame_bytes, bytes),
            Some((Err(_), _)) => shared.borrow_mut().write_failed(key),
            None => break,
        }
    }
    // The peer reads everything up to here, then the end; a socket that is gone already does not mind.
    let _ = stream.shutdown().await;
    shared.borrow_mut().task_ended(key, Task::Writer);
}

/// Drops the operation, and what it may have read, when the connection is aborted.
async fn unless_aborted<S: ShardPort, O: Future>(
    shared: &Shared<S>,
    key: ConnectionId,
    task: Task,
    operation: O,
) -> Option<O::Output> {
    let mut operation = pin!(operation);
    poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => shared.borrow_mut().poll_abort(key, task, context).map(|()| None),
    })
    .await
}
