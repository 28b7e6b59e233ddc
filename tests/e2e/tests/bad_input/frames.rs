//! Peers whose frames are none.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::raw_client::transient_hello;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::limits::{BODY_SIZE_MAX, FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX, FRAME_TIMEOUT};
use protocol::wire::{ClientBody, UserLookup, UserLookupArgs};

use crate::{Target, ensure_took, expect_goodbye, message, now};

/// What verifying a frame may cost on a busy machine; one that is verified without bounds costs more.
const VERIFY_TIME_MAX: Duration = Duration::from_secs(1);

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

/// One text that is named 4,000 times: small on the wire, and hundreds of megabytes to whoever looks at each.
pub(crate) fn bloated(target: &Target) -> Result<()> {
    let mut builder = FrameBuilder::default();
    let frame = builder.client(None, |fbb| {
        let text = fbb.create_string(&"x".repeat(BODY_SIZE_MAX - 4096));
        let handles = Some(fbb.create_vector(&[text; 4_000]));
        let lookup = UserLookup::create(fbb, &UserLookupArgs { request_id: 1, handles, ids: None });
        (ClientBody::UserLookup, lookup.as_union_value())
    });
    ensure!(frame.len() <= FRAME_SIZE_MAX, "{} bytes would be refused for their number", frame.len());
    let mut client = target.say_hello()?;
    let began = Instant::now();
    client.send(frame)?;
    expect_goodbye(client, Code::FrameInvalid)?;
    ensure!(began.elapsed() < VERIFY_TIME_MAX, "it took {:?}", began.elapsed());
    Ok(())
}

/// What comes behind it would be refused with another code, or answered.
pub(crate) fn behind_a_bad_one(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let ping = FrameBuilder::default().ping().to_vec();
    let with_prefix = |frame: &[u8]| [&(frame.len() as u32).to_le_bytes()[..], frame].concat();
    client.send_bytes(&[with_prefix(&[0xff; 300]), with_prefix(&ping), 0u32.to_le_bytes().to_vec()].concat())?;
    let first = client.goodbye()?;
    ensure!(first == Code::FrameInvalid.number(), "code {first}");
    Ok(())
}

pub(crate) fn vanished(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    client.send(&message(target, now(), "never read")?)?;
    // What was not read when the socket is closed makes it a reset.
    client.send_bytes(&[100, 0, 0, 0, 1])
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

pub(crate) fn half_record(target: &Target) -> Result<()> {
    let mut client = target.say_hello()?;
    let began = Instant::now();
    let record = client.seal(b"a record")?;
    std::io::Write::write_all(client.stream(), record.get(..7).context("a record")?)?;
    expect_goodbye(client, Code::FrameTimeout)?;
    ensure_took(began, FRAME_TIMEOUT)
}
