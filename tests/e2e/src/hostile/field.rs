//! What hostile peers know of the server, and whether they go on.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{Draft, HistoryRange};
use e2e::raw_client::{RawClient, plain_from, view};
use e2e::server::Plan;
use e2e::site::Site;
use gateway_server::TokenSigner;
use gateway_transport::TlsClient;
use protocol::client::RequestId;
use protocol::encode::FrameBuilder;
use protocol::frame;
use protocol::ids::{ClientMsgId, ConversationId, UserId};
use protocol::limits::{BODY_SIZE_MAX, HISTORY_LIMIT_MAX};
use protocol::time::WallTime;

/// The addresses that they come from, more than one customer has.
const SOURCES_COUNT: u32 = 16;
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// See the file's head.
pub(super) struct Field {
    server: SocketAddr,
    pub(super) tls: TlsClient,
    pub(super) certificate: Vec<u8>,
    /// That is good.
    pub(super) token: String,
    /// Of nobody's making, but for a signature that has to be checked.
    pub(super) bad_token: String,
    /// With its length: is answered with a large page.
    pub(super) question: Vec<u8>,
    sources: AtomicU32,
    is_over: AtomicBool,
}

impl Field {
    /// One of these users has something large to be asked for.
    pub(super) fn prepare(plan: &Plan, site: &Site, users: &[UserId]) -> Result<Field> {
        let [user, other] = *users else { bail!("they are two users") };
        let conversation = ConversationId::direct(user, other);
        let newest = HistoryRange::Newest;
        let mut builder = FrameBuilder::default();
        let question = builder.history_get(RequestId(1), conversation, newest, HISTORY_LIMIT_MAX);
        let token = site.token(user, TOKEN_LIFETIME);
        let expires_at = WallTime(u64::MAX / 2);
        let identity = gateway_core::Identity { user, device: None, expires_at };
        let field = Field {
            server: plan.native(),
            tls: TlsClient::from_pem(site.certificate())?,
            certificate: site.certificate().to_owned(),
            bad_token: TokenSigner::generate().context("no randomness")?.sign(&identity),
            question: with_length(question),
            token,
            sources: AtomicU32::new(0),
            is_over: AtomicBool::new(true),
        };
        let mut client = field.shake_hands()?;
        client.say_hello(&field.token)?;
        let draft = Draft::text(conversation, Some(other), &"x".repeat(BODY_SIZE_MAX));
        client.send(builder.message_send(ClientMsgId::new(e2e::crowd::now(), 1), 0, &draft))?;
        let answer = client.receive()?.context("closed")?;
        view(&answer)?.body_as_message_ack().context("no ack")?;
        Ok(field)
    }

    pub(super) fn begin(&self) {
        self.is_over.store(false, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// A socket from the next of their addresses.
    pub(super) fn dial(&self) -> Result<TcpStream> {
        let nth = self.sources.fetch_add(1, Ordering::Relaxed) % SOURCES_COUNT;
        plain_from(Ipv4Addr::from(u32::from(FIRST_SOURCE) + nth), self.server)
    }

    pub(super) fn shake_hands(&self) -> Result<RawClient> {
        RawClient::over(self.dial()?, &self.tls)
    }

    /// How every handshake begins.
    pub(super) fn client_hello(&self) -> Result<Vec<u8>> {
        let mut hello = Vec::new();
        self.tls.connect("localhost")?.take_outgoing(&mut hello);
        Ok(hello)
    }
}

pub(super) fn with_length(frame: &[u8]) -> Vec<u8> {
    [&frame::prefix(frame.len())[..], frame].concat()
}
