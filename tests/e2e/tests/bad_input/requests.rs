//! Peers that are let in, and then ask for what cannot be, or without end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Draft, HistoryRange};
use e2e::raw_client::{to_the_end, view};
use protocol::client::RequestId;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, Realm, Seq, UserId, UserSeq};
use protocol::limits::{BODY_SIZE_MAX, CONTENT_TYPE_SIZE_MAX, HISTORY_LIMIT_MAX, MENTIONS_MAX, USER_LOOKUP_MAX};
use protocol::server::LOOKUP_BURST;
use protocol::wire::{ClientBody, OpStatus, Ping, PingArgs};

use crate::{Target, message, now};

/// Until megabytes of pages have filled the buffers, and the gateway has given up waiting for the end.
const DEAF_TIME_MAX: Duration = Duration::from_secs(15);

pub(crate) fn bad_messages(target: &Target) -> Result<()> {
    let days = |count: u64| Duration::from_secs(count * 24 * 3600);
    let [alice, bob] = target.users(["alice", "bob"])?;
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::text(ConversationId::direct(alice, bob), Some(bob), "hello");
        change(&mut draft);
        FrameBuilder::default().message_send(ClientMsgId::new(now(), 1), 0, &draft).to_vec()
    };
    let no_uuid = Draft::text(ConversationId::direct(alice, bob), Some(bob), "hello");
    let no_uuid = FrameBuilder::default().message_send(ClientMsgId([0xff; 16]), 0, &no_uuid).to_vec();
    let strangers = ConversationId([9; 16]);
    expect_refusals(
        target,
        &[
            (message(target, now().minus(days(7)), "too late")?, Code::ClientIdTooOld),
            (message(target, now().plus(days(1)), "too early")?, Code::ClientIdInFuture),
            (no_uuid, Code::Malformed),
            (with(&|draft| draft.body = vec![b'x'; BODY_SIZE_MAX + 1]), Code::TooLarge),
            (with(&|draft| draft.content_type = "x".repeat(CONTENT_TYPE_SIZE_MAX + 1)), Code::TooLarge),
            (with(&|draft| draft.mentions = vec![bob; MENTIONS_MAX + 1]), Code::TooLarge),
            // Of a conversation that one is not in one is not even told whether it exists.
            (with(&|draft| (draft.conversation, draft.direct_peer) = (strangers, None)), Code::ConversationUnknown),
            (with(&|draft| draft.conversation = strangers), Code::Malformed),
        ],
    )
}

pub(crate) fn bad_questions(target: &Target) -> Result<()> {
    let [alice, bob] = target.users(["alice", "bob"])?;
    let conversation = ConversationId::direct(alice, bob);
    let history =
        |limit| FrameBuilder::default().history_get(RequestId(1), conversation, HistoryRange::Newest, limit).to_vec();
    let lookup = |ids: &[UserId]| FrameBuilder::default().user_lookup(RequestId(1), &[], ids).to_vec();
    let members = FrameBuilder::default().members_get(RequestId(1), ConversationId([9; 16])).to_vec();
    expect_refusals(
        target,
        &[
            (history(0), Code::Malformed),
            (history(HISTORY_LIMIT_MAX + 1), Code::TooLarge),
            (lookup(&[bob; USER_LOOKUP_MAX + 1]), Code::TooLarge),
            (members, Code::ConversationUnknown),
            (FrameBuilder::default().ack(UserSeq(1)).to_vec(), Code::NotForTransient),
            (FrameBuilder::default().message_read(conversation, Seq(1)).to_vec(), Code::NotForTransient),
        ],
    )
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
    let lookup = FrameBuilder::default().user_lookup(RequestId(1), &[], &[nobody]).to_vec();
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

/// It asks for more pages than all buffers between us hold, and reads none.
pub(crate) fn deaf(target: &Target) -> Result<()> {
    let [carol, dave] = target.users(["carol", "dave"])?;
    let conversation = ConversationId::direct(carol, dave);
    let mut client = target.say_hello_as("carol")?;
    let draft = Draft::text(conversation, Some(dave), &"x".repeat(BODY_SIZE_MAX));
    client.send(FrameBuilder::default().message_send(ClientMsgId::new(now(), 3), 0, &draft))?;
    let ack = client.receive()?.context("closed")?;
    ensure!(view(&ack)?.body_as_message_ack().is_some(), "no ack");
    let mut builder = FrameBuilder::default();
    let question = builder.history_get(RequestId(1), conversation, HistoryRange::Newest, HISTORY_LIMIT_MAX);
    let began = Instant::now();
    // Ends when the server has closed, or when it does not even read and the write takes too long.
    while client.send(question).is_ok() && began.elapsed() < DEAF_TIME_MAX {}
    ensure!(began.elapsed() < DEAF_TIME_MAX, "it is still served");
    to_the_end(client.stream()).map(drop)
}

/// Each gets its code, on a connection that stays.
fn expect_refusals(target: &Target, frames: &[(Vec<u8>, Code)]) -> Result<()> {
    let mut client = target.say_hello()?;
    for (frame, code) in frames {
        client.send(frame)?;
        let (given, _) = client.refusal().with_context(|| format!("{code:?} was due"))?;
        ensure!(given == code.number(), "code {given} instead of {code:?}");
        client.expect_pong()?;
    }
    Ok(())
}

fn unknown(client_op_id: Option<ClientMsgId>) -> Vec<u8> {
    let body = |fbb: &mut _| (ClientBody(200), Ping::create(fbb, &PingArgs {}).as_union_value());
    FrameBuilder::default().client(client_op_id, body).to_vec()
}
