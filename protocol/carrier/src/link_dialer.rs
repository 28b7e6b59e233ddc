//! The gateway's end: connects each shard to the router, again and again. One thread carries the links of all of them.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use protocol::link::LINK_SILENCE_MAX;
use protocol_shell::{LINK_BATCHES_MAX, LinkSource, LinkTransport, random};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::batch_stream::WELCOME;
use crate::carriage::{Parting, carry};
use crate::complaints::Complaints;
use crate::link_key::LinkKey;
use crate::link_thread::LinkThread;
use crate::metrics::LinkMetrics;
use crate::refusal::{HANDSHAKE_TIMEOUT, Refusal};
use crate::tls;

/// The longest wait after the first attempt that failed; it doubles from there.
pub const DIAL_BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// It doubles up to here: a router that comes back has its gateways within this time and a handshake, before a client
/// gives up its own (10 s).
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Keeps the shards of a gateway linked until it is dropped.
pub struct LinkDialer {
    metrics: Arc<LinkMetrics>,
    _thread: LinkThread,
}

impl LinkDialer {
    /// `router` is `HOST:PORT`, looked up at every attempt. Each shard takes its links from a source of its own.
    pub fn start(router: String, key: &LinkKey, shards_count: u16) -> io::Result<(LinkDialer, Vec<LinkSource>)> {
        let metrics = Arc::new(LinkMetrics::default());
        // One at a time: while a shard has not taken its last one there is no use for another.
        let (links, taken): (Vec<_>, Vec<_>) = (0..shards_count).map(|_| mpsc::channel(1)).unzip();
        let dialing = Arc::new(Dialing {
            router,
            connector: TlsConnector::from(Arc::new(tls::client(key))),
            metrics: metrics.clone(),
            complaints: Complaints::default(),
        });
        let thread = LinkThread::spawn("link", async move || {
            links.into_iter().for_each(|links| drop(tokio::spawn(dialing.clone().run(links))));
            // The gateway ends this thread.
            std::future::pending().await
        })?;
        Ok((LinkDialer { metrics, _thread: thread }, taken.into_iter().map(source).collect()))
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<LinkMetrics> {
        self.metrics.clone()
    }
}

fn source(mut taken: mpsc::Receiver<LinkTransport>) -> LinkSource {
    LinkSource::new(move |context| match taken.poll_recv(context) {
        Poll::Ready(Some(link)) => Poll::Ready(link),
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    })
}

struct Dialing {
    router: String,
    connector: TlsConnector,
    metrics: Arc<LinkMetrics>,
    complaints: Complaints,
}

impl Dialing {
    /// Until the shard has ended.
    async fn run(self: Arc<Self>, links: mpsc::Sender<LinkTransport>) {
        let mut failures = 0;
        while !links.is_closed() {
            match timeout(HANDSHAKE_TIMEOUT, self.connect()).await.unwrap_or(Err(Refusal::TimedOut)) {
                Ok(stream) => {
                    let began = Instant::now();
                    self.serve(stream, &links).await;
                    // A link that breaks at once is no success.
                    if began.elapsed() >= LINK_SILENCE_MAX {
                        failures = 0;
                    }
                }
                Err(refusal) => {
                    self.metrics.refused(&refusal);
                    if self.complaints.is_news(&refusal) {
                        tracing::warn!("{}", refusal.of_router(&self.router));
                    }
                }
            }
            sleep(backoff(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// A connection on which the router has said welcome.
    async fn connect(&self) -> Result<TlsStream<TcpStream>, Refusal> {
        let socket = TcpStream::connect(&self.router).await.map_err(Refusal::Unreachable)?;
        socket.set_nodelay(true).map_err(Refusal::Unreachable)?;
        let mut stream = self.connector.connect(tls::server_name(), socket).await?;
        // What the router thinks of our key comes after the handshake.
        let mut welcome = [u8::MAX; WELCOME.len()];
        stream.read_exact(&mut welcome).await?;
        if welcome == WELCOME { Ok(stream) } else { Err(Refusal::Closed) }
    }

    async fn serve(&self, stream: TlsStream<TcpStream>, links: &mpsc::Sender<LinkTransport>) {
        let (shell, carrier) = LinkTransport::pair(LINK_BATCHES_MAX);
        if links.send(shell).await.is_err() {
            return;
        }
        self.metrics.made.increment();
        self.complaints.forget();
        tracing::info!(router = self.router, "linked with the router");
        let parting = carry(stream, carrier).await;
        self.metrics.ended.increment();
        match parting {
            Parting::ByShell => tracing::info!(router = self.router, "the link with the router was given up"),
            Parting::ByPeer => tracing::warn!(router = self.router, "the router has ended the link, or is gone"),
            Parting::Failed(error) => {
                tracing::warn!(router = self.router, %error, "the link with the router has failed")
            }
        }
    }
}

/// Full jitter: gateways that have lost a router at one moment do not come back at one moment.
fn backoff(failures: u32) -> Duration {
    let longest = DIAL_BACKOFF_FIRST.saturating_mul(1 << failures.min(16)).min(DIAL_BACKOFF_MAX);
    Duration::from_nanos(random::number() % (longest.as_nanos() as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_spread_from_zero_to_a_bound_that_doubles() {
        for (failures, longest_ms) in [(0, 100), (1, 200), (4, 1_600), (5, 2_000), (40, 2_000)] {
            let waits: Vec<Duration> = (0..300).map(|_| backoff(failures)).collect();
            let (low, high) = (waits.iter().min().copied(), waits.iter().max().copied());
            let (low, high) = (low.expect("there are some"), high.expect("there are some"));
            let longest = Duration::from_millis(longest_ms);
            assert!(high <= longest && high > longest * 9 / 10 && low < longest / 10, "{failures}: {low:?} {high:?}");
        }
    }
}
