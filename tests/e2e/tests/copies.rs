//! How often the server copies the body of a message on its way from the sender's socket to the recipients': as often as
//! ARCHITECTURE.md says, counted in the released binary.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use e2e::copy_counter::{CopyCounter, MARK, MARK_SIZE};
use e2e::raw_client::{RawClient, view};
use e2e::scratch::Scratch;
use e2e::server::Plan;
use e2e::site::Site;
use protocol::client::Draft;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, UserId};
use protocol::server::Hello;
use protocol::time::WallTime;
use protocol::wire::ServerFrame;

const MESSAGES: u64 = 3;

fn id(random: u128) -> ClientMsgId {
    ClientMsgId::new(WallTime(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64), random)
}

/// A new device of a user, of this number, that has been welcomed.
fn device(plan: &Plan, site: &Site, user: UserId, number: u128) -> Result<RawClient> {
    let mut client = RawClient::connect(plan.native(), site.certificate())?;
    let hello = Hello {
        is_transient: false,
        device: DeviceId(0),
        device_generation: DeviceGeneration(0),
        install_id: Some(id(number)),
        device_name: "".into(),
        store_incarnation: Default::default(),
        user_epoch: Default::default(),
        user_cursor: Default::default(),
    };
    let token = site.token(user, Duration::from_secs(600));
    client.send(FrameBuilder::default().hello(&hello, &token, None))?;
    await_frame(&mut client, |frame| frame.body_as_snapshot().is_some())?;
    Ok(client)
}

fn await_frame(client: &mut RawClient, is_it: impl Fn(ServerFrame<'_>) -> bool) -> Result<()> {
    while !is_it(view(&client.receive()?.context("closed")?)?) {}
    Ok(())
}

/// By thread, of messages from alice to this many devices of bob, one after the other.
fn copies_of_a_message(recipients: u64) -> Result<BTreeMap<String, u64>> {
    let scratch = Scratch::on_disk("copies")?;
    let counter = CopyCounter::compile(scratch.path())?;
    // With one shard it is known whose thread has the sender and the recipients.
    let mut plan = Plan::new(&scratch.path().join("data"), scratch.path())?.variable("RINGPOST_GATEWAY_SHARDS", "1");
    for (name, value) in counter.variables() {
        plan = plan.variable(name, &value);
    }
    let server = plan.start()?;
    let site = Site::of(&plan)?;
    let (alice, bob) = (site.user("alice")?, site.user("bob")?);
    let mut sender = device(&plan, &site, alice, 1)?;
    let devices = (0..recipients).map(|number| device(&plan, &site, bob, number.into()));
    let mut devices = devices.collect::<Result<Vec<_>>>()?;
    for number in 0..MESSAGES {
        let mut draft = Draft::text(ConversationId::direct(alice, bob), Some(bob), "");
        draft.body = vec![MARK; MARK_SIZE];
        sender.send(FrameBuilder::default().message_send(id(number.into()), 0, &draft))?;
        for device in &mut devices {
            await_frame(device, |frame| frame.body_as_push().is_some())?;
        }
    }
    server.terminate()?;
    let copies = counter.copies()?.into_iter();
    Ok(copies
        .inspect(|(thread, copies)| assert_eq!(copies % MESSAGES, 0, "in {thread}"))
        .map(|(thread, copies)| (thread, copies / MESSAGES))
        .collect())
}

#[test]
fn a_body_is_copied_as_often_as_the_architecture_says() {
    for recipients in [1, 3] {
        // Into the batch for the router; into what is sealed, for each recipient.
        let of_gateway = ("shard 0".to_owned(), 1 + recipients);
        // Into the message; into the commit buffer of the log; into the batch for the gateway.
        let of_router = ("router".to_owned(), 3);
        let copies = copies_of_a_message(recipients).expect("messages that arrive");
        assert_eq!(copies, BTreeMap::from([of_gateway, of_router]), "{recipients} recipients");
    }
}
