//! The router's end: lets gateways in that prove the link key.
//!
//! A stranger gets nothing but a TLS handshake, for [`HANDSHAKE_TIMEOUT`] at most, and of those in it only the newest
//! [`HANDSHAKES_MAX`]: at the bound the oldest is closed, so that who says nothing keeps out nobody.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use protocol_shell::{LINK_BATCHES_MAX, LinkTransport};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::batch_stream::WELCOME;
use crate::carriage::{Parting, carry};
use crate::complaints::Complaints;
use crate::link_key::LinkKey;
use crate::link_thread::LinkThread;
use crate::metrics::LinkMetrics;
use crate::refusal::{HANDSHAKE_TIMEOUT, Refusal};
use crate::tls;

/// Handshakes at a time. Each holds a socket and some 20 KiB; a cluster that starts needs one for each gateway shard.
pub const HANDSHAKES_MAX: usize = 256;
/// Links at a time, one for each gateway shard. Each may have [`protocol::link::LINK_WINDOW_BYTES`] under way each way,
/// so this is 8 GiB where everybody is stuck at once.
pub const LINKS_MAX: usize = 512;
/// After a socket could not be accepted, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens until it is dropped, which ends its links too.
pub struct LinkListener {
    address: SocketAddr,
    metrics: Arc<LinkMetrics>,
    _thread: LinkThread,
}

impl LinkListener {
    /// `let_in` gives the router its end of a link, and says whether it was taken. It must not wait.
    pub fn start(
        listen: SocketAddr,
        key: &LinkKey,
        let_in: impl Fn(LinkTransport) -> bool + Send + Sync + 'static,
    ) -> io::Result<LinkListener> {
        let listener = StdListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let metrics = Arc::new(LinkMetrics::default());
        let reception = Arc::new(Reception {
            acceptor: TlsAcceptor::from(Arc::new(tls::server(key))),
            let_in: Box::new(let_in),
            places: Arc::new(Semaphore::new(LINKS_MAX)),
            metrics: metrics.clone(),
            complaints: Complaints::default(),
        });
        let thread = LinkThread::spawn("links", move || accept_all(listener, reception))?;
        Ok(LinkListener { address, metrics, _thread: thread })
    }

    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<LinkMetrics> {
        self.metrics.clone()
    }
}

async fn accept_all(listener: StdListener, reception: Arc<Reception>) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block, inside a runtime");
    let mut handshakes: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                handshakes.retain(|handshake| !handshake.is_finished());
                if handshakes.len() >= HANDSHAKES_MAX
                    && let Some(oldest) = handshakes.pop_front()
                {
                    oldest.abort();
                    reception.metrics.refused_evicted.increment();
                }
                handshakes.push_back(tokio::spawn(reception.clone().receive(socket, peer)).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "a gateway could not be accepted; see `ulimit -n`");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What every connection needs.
struct Reception {
    acceptor: TlsAcceptor,
    let_in: Box<dyn Fn(LinkTransport) -> bool + Send + Sync>,
    places: Arc<Semaphore>,
    metrics: Arc<LinkMetrics>,
    complaints: Complaints,
}

/// A link that was let in.
struct Admitted {
    stream: TlsStream<TcpStream>,
    transport: LinkTransport,
    _place: OwnedSemaphorePermit,
}

impl Reception {
    async fn receive(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        match timeout(HANDSHAKE_TIMEOUT, self.admit(socket)).await.unwrap_or(Err(Refusal::TimedOut)) {
            Ok(admitted) => {
                self.metrics.made.increment();
                tracing::info!(%peer, "a gateway has proven the link key");
                // From here on it is no handshake that could be the oldest.
                tokio::spawn(self.serve(admitted, peer));
            }
            Err(refusal) => {
                self.metrics.refused(&refusal);
                if self.complaints.is_news(&refusal) {
                    tracing::warn!("{}", refusal.of_peer(peer));
                }
            }
        }
    }

    async fn admit(&self, socket: TcpStream) -> Result<Admitted, Refusal> {
        socket.set_nodelay(true)?;
        let mut stream = self.acceptor.accept(socket).await?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| Refusal::NotLetIn)?;
        let (shell, transport) = LinkTransport::pair(LINK_BATCHES_MAX);
        if !(self.let_in)(shell) {
            return Err(Refusal::NotLetIn);
        }
        stream.write_all(&WELCOME).await?;
        stream.flush().await?;
        Ok(Admitted { stream, transport, _place: place })
    }

    async fn serve(self: Arc<Self>, admitted: Admitted, peer: SocketAddr) {
        let Admitted { stream, transport, _place } = admitted;
        let parting = carry(stream, transport).await;
        self.metrics.ended.increment();
        match parting {
            Parting::ByShell => tracing::info!(%peer, "the link of a gateway was given up"),
            Parting::ByPeer => tracing::info!(%peer, "a gateway has ended its link, or is gone"),
            Parting::Failed(error) => tracing::warn!(%peer, %error, "the link of a gateway has failed"),
        }
    }
}
