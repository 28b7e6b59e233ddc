//! Peers that speak TLS, and then nonsense.

use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use client::Draft;
use e2e::raw_client::{RawClient, transient_hello, view};
use gateway_core::Identity;
use gateway_server::TokenSigner;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, Realm, UserId};
use protocol::limits::{
    BODY_SIZE_MAX, FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX, FRAME_TIMEOUT, HANDSHAKE_TIMEOUT,
};
use protocol::server::LOOKUP_BURST;
use protocol::time::WallTime;
use protocol::wire::{ClientBody, OpStatus, Ping, PingArgs};

use crate::{Target, ensure_took};

pub(crate) fn not_hello(target: &Target) -> Result<()> {
    let mut client = target.connect()?;
    client.send(&ping())?;
    expect_goodbye(client, Code::HelloExpected)
}

pub(crate) fn second_hello(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    client.send(&transient_hello(&target.token()?))?;
    expect_goodbye(client, Code::HelloExpected)
}

pub(crate) fn unverifiable(target: &Target) -> Result<()> {
    for bytes in [&[0xff; 300][..], b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n", &[0x80, 0, 0, 0, 1]] {
        for mut client in [target.connect()?, target.say_hello()?] {
            client.send(bytes)?;
            expect_goodbye(client, Code::FrameInvalid)?;
        }
    }
    Ok(())
}

pub(crate) fn truncated(target: &Target) -> Result<()> {
    let hello = transient_hello(&target.token()?);
    let mut client = target.connect()?;
    client.send(hello.get(..hello.len() / 2).context("a Hello")?)?;
    expect_goodbye(client, Code::FrameInvalid)?;
    let message = message(target, now(), "hello")?;
    let mut client = target.say_hello()?;
    client.send(message.get(..message.len() - 8).context("a message")?)?;
    expect_goodbye(client, Code::FrameInvalid)
}

pub(crate) fn empty(target: &Target) -> Result<()> {
    for mut client in [target.connect()?, target.say_hello()?] {
        client.send_bytes(&0u32.to_le_bytes())?;
        expect_goodbye(client, Code::FrameInvalid)?;
    }
    Ok(())
}

pub(crate) fn oversized(target: &Target) -> Result<()> {
    let mut stranger = target.connect()?;
    stranger.send_bytes(&(FRAME_SIZE_UNAUTHENTICATED_MAX as u32 + 1).to_le_bytes())?;
    expect_goodbye(stranger, Code::FrameTooLarge)?;
    for size in [FRAME_SIZE_MAX as u32 + 1, u32::MAX] {
        let mut client = target.say_hello()?;
        client.send_bytes(&size.to_le_bytes())?;
        expect_goodbye(client, Code::FrameTooLarge)?;
    }
    Ok(())
}

pub(crate) fn wrong_token(target: &Target) -> Result<()> {
    let stranger = TokenSigner::generate()?;
    let user = target.site.user("alice")?;
    let forged = stranger.sign(&Identity { user, device: None, expires_at: now().plus(Duration::from_secs(60)) });
    for token in ["", "no token at all", "v4.public.AAAA", &forged, &"x".repeat(3000)] {
        let mut client = target.connect()?;
        client.send(&transient_hello(token))?;
        expect_goodbye(client, Code::TokenInvalid)?;
    }
    Ok(())
}

pub(crate) fn expired_token(target: &Target) -> Result<()> {
    let mut client = target.connect()?;
    client.send(&transient_hello(&target.site.token(target.site.user("alice")?, Duration::ZERO)))?;
    expect_goodbye(client, Code::TokenExpired)
}

pub(crate) fn unknown_user(target: &Target) -> Result<()> {
    let nobody = UserId::new(Realm(1), UserId::COUNTER_MAX);
    let mut client = target.connect()?;
    client.send(&transient_hello(&target.site.token(nobody, Duration::from_secs(60))))?;
    expect_goodbye(client, Code::UserUnknown)
}

pub(crate) fn bad_fields(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let days = |count: u64| Duration::from_secs(count * 24 * 3600);
    for (frame, code) in [
        (message(target, now().minus(days(7)), "too late")?, Code::ClientIdTooOld),
        (message(target, now().plus(days(1)), "too early")?, Code::ClientIdInFuture),
        (message(target, now(), &"x".repeat(BODY_SIZE_MAX + 1))?, Code::TooLarge),
        (message_to_strangers(), Code::NotPermitted),
    ] {
        client.send(&frame)?;
        let (given, _) = client.refusal().with_context(|| format!("{code:?} was due"))?;
        // Of a conversation that one is not in one is not even told whether it exists.
        let is_unknown = code == Code::NotPermitted && given == Code::ConversationUnknown.number();
        ensure!(given == code.number() || is_unknown, "code {given} instead of {code:?}");
        client.expect_pong()?;
    }
    Ok(())
}

pub(crate) fn unknown_frames(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    client.send(&unknown(None))?;
    client.expect_pong()?;
    let id = ClientMsgId::new(now(), 9);
    client.send(&unknown(Some(id)))?;
    let bytes = client.receive()?.context("closed")?;
    let answer = view(&bytes)?.body_as_op_ack().context("no OpAck")?;
    ensure!(answer.status() == OpStatus::Unsupported, "status {:?}", answer.status());
    client.expect_pong()
}

pub(crate) fn question_flood(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let nobody = UserId::new(Realm(1), 1);
    let lookup = FrameBuilder::default().user_lookup(protocol::client::RequestId(1), &[], &[nobody]).to_vec();
    let asked = 5 * LOOKUP_BURST;
    for _ in 0..asked {
        client.send(&lookup)?;
    }
    let mut refused = 0;
    for _ in 0..asked {
        let bytes = client.receive()?.context("closed")?;
        let answer = view(&bytes)?;
        refused += u32::from(answer.body_as_error().is_some_and(|error| error.code() == Code::RateLimited.number()));
    }
    ensure!(refused >= 3 * LOOKUP_BURST, "only {refused} of {asked} were refused");
    client.expect_pong()
}

pub(crate) fn no_hello(target: &Target) -> Result<()> {
    let began = Instant::now();
    expect_goodbye(target.connect()?, Code::HelloTimeout)?;
    ensure_took(began, HANDSHAKE_TIMEOUT)
}

pub(crate) fn half_hello(target: &Target) -> Result<()> {
    let began = Instant::now();
    let mut client = target.connect()?;
    client.send_bytes(&[200, 0, 0, 0, 1])?;
    // Its frame and its handshake run out together.
    let code = client.goodbye()?;
    ensure!([Code::HelloTimeout, Code::FrameTimeout].iter().any(|wanted| wanted.number() == code), "code {code}");
    ensure_took(began, HANDSHAKE_TIMEOUT)
}

pub(crate) fn half_frame(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let began = Instant::now();
    client.send_bytes(&[100, 0, 0, 0, 1])?;
    expect_goodbye(client, Code::FrameTimeout)?;
    ensure_took(began, FRAME_TIMEOUT)
}

pub(crate) fn dripping_frame(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let began = Instant::now();
    client.send_bytes(&1000u32.to_le_bytes())?;
    while began.elapsed() + Duration::from_secs(1) < FRAME_TIMEOUT {
        thread::sleep(Duration::from_millis(200));
        client.send_bytes(&[1])?;
    }
    expect_goodbye(client, Code::FrameTimeout)?;
    ensure_took(began, FRAME_TIMEOUT)
}

fn expect_goodbye(mut client: RawClient, code: Code) -> Result<()> {
    let given = client.goodbye().with_context(|| format!("{code:?} was due"))?;
    ensure!(given == code.number(), "code {given} instead of {code:?}");
    Ok(())
}

fn ping() -> Vec<u8> {
    FrameBuilder::default().ping().to_vec()
}

fn unknown(client_op_id: Option<ClientMsgId>) -> Vec<u8> {
    let body = |fbb: &mut _| (ClientBody(200), Ping::create(fbb, &PingArgs {}).as_union_value());
    FrameBuilder::default().client(client_op_id, body).to_vec()
}

/// From alice to bob, under an id that was minted then.
fn message(target: &Target, minted_at: WallTime, text: &str) -> Result<Vec<u8>> {
    let (alice, bob) = (target.site.user("alice")?, target.site.user("bob")?);
    let draft = Draft::text(ConversationId::direct(alice, bob), Some(bob), text);
    Ok(FrameBuilder::default().message_send(ClientMsgId::new(minted_at, 1), 0, &draft).to_vec())
}

fn message_to_strangers() -> Vec<u8> {
    let draft = Draft::text(ConversationId([9; 16]), None, "may I?");
    FrameBuilder::default().message_send(ClientMsgId::new(now(), 2), 0, &draft).to_vec()
}

fn now() -> WallTime {
    WallTime(u64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
}
