//! A gateway with a shard of a few lines, and a client of std sockets: what the tests of the drivers share.

mod client;
mod echo_shard;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::time::Duration;

use gateway_core::{CloseCause, Identity};
use gateway_server::{Driver, DriverChoice, Gateway, GatewayConfig, Metrics, TicketKey, TokenSigner, TokenVerifier};
use gateway_transport::{ServerIdentity, TlsClient, TlsServer};
use protocol::ids::{Realm, UserId};
use protocol_shell::{LINK_BATCHES_MAX, LinkSource, LinkTransport, clock};

pub(crate) use client::{Client, PATIENCE};
pub(crate) use echo_shard::{EchoShard, HELLO_TIMEOUT};

/// A gateway under test, and what a client of it needs.
pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) tls_client: TlsClient,
    pub(crate) signer: TokenSigner,
    /// The router's ends of the links, one for each shard.
    pub(crate) links: Vec<LinkTransport>,
    /// Takes links for the first shard, for when its first one is gone.
    pub(crate) next_links: Sender<LinkTransport>,
    /// How each connection ended, in order.
    pub(crate) closed: Receiver<CloseCause>,
}

/// Deadlines short enough for a test, and each at least twice as long as the driver's tick.
pub(crate) fn config() -> GatewayConfig {
    GatewayConfig {
        frame_timeout: Duration::from_millis(500),
        close_timeout: Duration::from_millis(300),
        drain_timeout: Duration::from_secs(1),
        ..GatewayConfig::default()
    }
}

/// A gateway with each driver that works here, with one shard and with two, one after the other.
pub(crate) fn with_each_driver(config: &GatewayConfig) -> impl Iterator<Item = Bench> {
    each_driver(config).flat_map(|config| [1, 2].map(|shards| (config.clone(), shards))).map(Bench::start)
}

/// The same with one shard, for what concerns its link.
pub(crate) fn with_each_driver_of_one_shard(config: &GatewayConfig) -> impl Iterator<Item = Bench> {
    each_driver(config).map(|config| Bench::start((config, 1)))
}

/// The configuration for each driver that works here.
pub(crate) fn each_driver(config: &GatewayConfig) -> impl Iterator<Item = GatewayConfig> {
    let choices = [Driver::MonoioReadiness, Driver::MonoioUring, Driver::Uring].map(DriverChoice::Only);
    choices
        .into_iter()
        .filter(|choice| choice.pick(true).is_ok())
        .map(|driver| GatewayConfig { driver, ..config.clone() })
}

/// Both sides of TLS with a certificate for `localhost`, and what makes tokens with what checks them.
fn credentials() -> (TlsServer, TlsClient, TokenSigner, TokenVerifier) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    let identity = ServerIdentity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).expect("PEM");
    let tls_server = TlsServer::new(identity).expect("they belong together");
    let tls_client = TlsClient::from_pem(certificate.as_bytes()).expect("PEM");
    let signer = TokenSigner::generate().expect("randomness");
    let verifier = TokenVerifier::new(vec![signer.public_key()]);
    (tls_server, tls_client, signer, verifier)
}

/// For each shard a source that begins with a link, and the router's end of that.
fn links_for(shards: usize) -> (Vec<LinkSource>, Vec<LinkTransport>, Sender<LinkTransport>) {
    let pairs = (0..shards).map(|_| LinkTransport::pair(LINK_BATCHES_MAX));
    let (near, far): (Vec<_>, Vec<_>) = pairs.unzip();
    let (senders, sources): (Vec<_>, _) = near.into_iter().map(links_from).unzip();
    (sources, far, senders.into_iter().next().expect("there is a shard"))
}

/// A source that begins with this link.
fn links_from(first: LinkTransport) -> (Sender<LinkTransport>, LinkSource) {
    let (sender, receiver) = channel();
    sender.send(first).expect("both ends are here");
    (sender, LinkSource::new(move |_| receiver.try_recv().map_or(Poll::Pending, Poll::Ready)))
}

impl Bench {
    fn start((config, shards): (GatewayConfig, usize)) -> Bench {
        let (tls_server, tls_client, signer, verifier) = credentials();
        let (sources, links, next_links) = links_for(shards);
        let (causes, closed) = channel();
        let make_shard = move |_| EchoShard::new(causes.clone());
        let gateway = Gateway::start_with(config, tls_server, verifier, sources, make_shard).expect("it starts");
        Bench { gateway, tls_client, signer, links, next_links, closed }
    }

    /// With so many shards of the product. Nothing tells how their connections end.
    pub(crate) fn start_product(config: GatewayConfig, shards: usize) -> Bench {
        let (tls_server, tls_client, signer, verifier) = credentials();
        let (sources, links, next_links) = links_for(shards);
        let tickets = TicketKey::generate().expect("randomness").resume_tickets(None);
        let gateway = Gateway::start(config, tls_server, verifier, tickets, sources).expect("it starts");
        Bench { gateway, tls_client, signer, links, next_links, closed: channel().1 }
    }

    /// Gives the gateway another certificate and another token key, which the clients of this bench then go by.
    pub(crate) fn renew(&mut self) {
        let (tls_server, tls_client, signer, verifier) = credentials();
        let tickets = TicketKey::generate().expect("randomness").resume_tickets(None);
        self.gateway.renew(config(), tls_server, verifier, tickets).expect("the values are in their ranges");
        (self.tls_client, self.signer) = (tls_client, signer);
    }

    /// Whatever happened, a good client is still served, and the gateway ends when it is asked to.
    pub(crate) fn finish(self) {
        self.say_hello().expect_echo(b"still here");
        self.gateway.drain().expect("it ends well");
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.gateway.view().metrics()
    }

    /// A token that expires so far from now.
    pub(crate) fn token(&self, lifetime: Duration) -> Vec<u8> {
        self.token_of(UserId::new(Realm(1), 1), lifetime)
    }

    pub(crate) fn token_of(&self, user: UserId, lifetime: Duration) -> Vec<u8> {
        let identity = Identity { user, device: None, expires_at: clock::now().wall.plus(lifetime) };
        self.signer.sign(&identity).into_bytes()
    }

    /// A client that has finished its handshake.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.gateway.address(), &self.tls_client)
    }

    /// A client that has been welcomed.
    pub(crate) fn say_hello(&self) -> Client {
        let mut client = self.connect();
        client.send(&self.token(Duration::from_secs(60)));
        assert_eq!(client.receive().as_deref(), Some(&b"welcome"[..]));
        client
    }

    /// How the next connection ended.
    pub(crate) fn next_cause(&self) -> CloseCause {
        self.closed.recv_timeout(PATIENCE).expect("a connection ends")
    }
}
