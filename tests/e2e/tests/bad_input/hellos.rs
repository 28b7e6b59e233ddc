//! Peers that speak TLS, and do not get past their Hello.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::raw_client::transient_hello;
use gateway_core::Identity;
use gateway_server::TokenSigner;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{Realm, UserId};
use protocol::limits::{DEVICE_NAME_SIZE_MAX, HANDSHAKE_TIMEOUT, VERSION_MAX};
use protocol::wire::{Capability, ClientBody, Hello, HelloArgs};

use crate::{Target, ensure_took, expect_goodbye, now};

pub(crate) fn not_hello(target: &Target) -> Result<()> {
    let mut client = target.connect()?;
    client.send(FrameBuilder::default().ping())?;
    expect_goodbye(client, Code::HelloExpected)
}

pub(crate) fn second_hello(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    client.send(&transient_hello(&target.token()?))?;
    expect_goodbye(client, Code::HelloExpected)
}

pub(crate) fn other_version(target: &Target) -> Result<()> {
    let next = VERSION_MAX + 1;
    let hello = HelloArgs { version_min: next, version_max: next, ..of_a_guest() };
    expect_answer(target, hello, "", Code::VersionUnsupported)
}

pub(crate) fn contradictory(target: &Target) -> Result<()> {
    let nobody = HelloArgs { capabilities: Capability::empty(), ..of_a_guest() };
    let guest_with_a_device = HelloArgs { device_id: 7, ..of_a_guest() };
    let long_name = "n".repeat(DEVICE_NAME_SIZE_MAX + 1);
    for (hello, device_name) in [(nobody, ""), (guest_with_a_device, ""), (of_a_guest(), &long_name)] {
        expect_answer(target, hello, device_name, Code::FrameInvalid)?;
    }
    Ok(())
}

pub(crate) fn unknown_device(target: &Target) -> Result<()> {
    let hello = HelloArgs { capabilities: Capability::empty(), device_id: u64::MAX, ..of_a_guest() };
    expect_answer(target, hello, "", Code::DeviceUnknown)
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

fn of_a_guest() -> HelloArgs<'static> {
    HelloArgs {
        version_min: VERSION_MAX,
        version_max: VERSION_MAX,
        capabilities: Capability::Transient,
        ..HelloArgs::default()
    }
}

/// With a good token.
fn expect_answer(target: &Target, hello: HelloArgs<'static>, device_name: &str, code: Code) -> Result<()> {
    let token = target.token()?;
    let mut builder = FrameBuilder::default();
    let frame = builder.client(None, |fbb| {
        let (access_token, device_name) = (Some(fbb.create_string(&token)), Some(fbb.create_string(device_name)));
        (ClientBody::Hello, Hello::create(fbb, &HelloArgs { access_token, device_name, ..hello }).as_union_value())
    });
    let mut client = target.connect()?;
    client.send(frame)?;
    expect_goodbye(client, code)
}
