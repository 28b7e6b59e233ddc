//! The largest of everything through the real binary: what is allowed arrives as it was sent, wherever it is carried, also
//! after a kill; one more of anything gets its code, and nothing is lost for it.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use e2e::cast::crowd_names;
use e2e::raw_client::{RawClient, view};
use e2e::scratch::Scratch;
use e2e::server::Plan;
use e2e::site::Site;
use protocol::client::{Draft, HistoryRange, RequestId};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::event::{Event, Message};
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserId, UserSeq};
use protocol::limits::{
    BODY_SIZE_MAX, CONTENT_TYPE_SIZE_MAX, DEVICE_NAME_SIZE_MAX, GROUP_MEMBERS_MAX, HANDLE_SIZE_MAX, HISTORY_LIMIT_MAX,
    MENTIONS_MAX, TITLE_SIZE_MAX, USER_LOOKUP_MAX,
};
use protocol::server::Hello;
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, Encryption, OpStatus, ServerFrame};

/// What the router puts into one Snapshot.
const SNAPSHOT_CONVERSATIONS_MAX: usize = 100;

struct Stage {
    plan: Plan,
    site: Site,
    handles: Vec<String>,
    /// More users than a group takes.
    crowd: Vec<String>,
}

impl Stage {
    /// A device of its own, registered by this number, that has read its Snapshot: the conversations in it, and whether
    /// there are more.
    fn device(&self, user: UserId, number: u128) -> Result<(RawClient, usize, bool)> {
        let mut client = RawClient::connect(self.plan.native(), self.site.certificate())?;
        let hello = Hello {
            is_transient: false,
            device: DeviceId(0),
            device_generation: DeviceGeneration(0),
            install_id: Some(ClientMsgId::new(now(), number)),
            device_name: "d".repeat(DEVICE_NAME_SIZE_MAX).into(),
            store_incarnation: Default::default(),
            user_epoch: Default::default(),
            user_cursor: Default::default(),
        };
        let token = self.site.token(user, Duration::from_secs(600));
        client.send(FrameBuilder::default().hello(&hello, &token, None))?;
        let (conversations, has_more) = expect(&mut client, |frame| {
            let snapshot = frame.body_as_snapshot()?;
            let titles =
                snapshot.conversations().into_iter().flatten().map(|summary| summary.title().unwrap_or_default().len());
            let lengths: Vec<usize> = titles.collect();
            Some((lengths.iter().filter(|length| **length == TITLE_SIZE_MAX).count(), snapshot.has_more()))
        })?;
        Ok((client, conversations, has_more))
    }

    fn user(&self, index: usize) -> Result<UserId> {
        self.site.user(self.handles.get(index).context("a user")?)
    }
}

fn now() -> WallTime {
    WallTime(u64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
}

/// The first frame of which something is wanted. What comes before it is skipped.
fn expect<T>(client: &mut RawClient, want: impl Fn(ServerFrame<'_>) -> Option<T>) -> Result<T> {
    loop {
        let bytes = client.receive()?.context("closed")?;
        let frame = view(&bytes)?;
        ensure!(
            frame.body_as_go_away().is_none(),
            "sent away with code {:?}",
            frame.body_as_go_away().map(|it| it.code())
        );
        if let Some(wanted) = want(frame) {
            return Ok(wanted);
        }
    }
}

fn draft(conversation: ConversationId, peer: UserId, fill: u8) -> Draft {
    Draft {
        conversation,
        direct_peer: Some(peer),
        client_msg_id: None,
        content_type: "c".repeat(CONTENT_TYPE_SIZE_MAX),
        encryption: Encryption::EndToEnd,
        body: vec![fill; BODY_SIZE_MAX],
        reply_to: Some(Seq(u64::MAX)),
        mentions: vec![UserId(u64::MAX); MENTIONS_MAX],
        expires_in_s: u32::MAX,
    }
}

/// The place it was given.
fn send(client: &mut RawClient, id: ClientMsgId, draft: &Draft) -> Result<u64> {
    client.send(FrameBuilder::default().message_send(id, 0, draft))?;
    expect(client, |frame| {
        let ack = frame.body_as_message_ack()?;
        (ClientMsgId::from(ack.client_msg_id()) == id).then(|| ack.seq())
    })
}

fn messages<'a>(events: impl IntoIterator<Item = protocol::wire::Event<'a>>) -> Vec<Message> {
    let events = events.into_iter().filter_map(|event| Event::decode(event).ok());
    let messages = events.filter_map(|event| match event {
        Event::MessageNew(bytes) => Some(Message::from(&bytes)),
        _ => None,
    });
    messages.collect()
}

fn ensure_is(message: &Message, draft: &Draft, id: ClientMsgId) -> Result<()> {
    ensure!(message.client_msg_id == id, "{message:?} instead of {id}");
    ensure!(message.body == draft.body && message.content_type == draft.content_type);
    ensure!(message.mentions == draft.mentions && message.reply_to == draft.reply_to);
    ensure!(message.encryption == draft.encryption && message.expires_in_s == draft.expires_in_s);
    Ok(())
}

#[test]
fn the_largest_of_everything_arrives_and_one_more_of_anything_gets_its_code() {
    let scratch = Scratch::on_disk("largest").expect("a folder");
    let handles: Vec<String> = (0..USER_LOOKUP_MAX).map(|number| format!("{number:0>HANDLE_SIZE_MAX$}")).collect();
    let crowd = crowd_names(GROUP_MEMBERS_MAX);
    let names: Vec<&str> = handles.iter().chain(&crowd).map(String::as_str).collect();
    let plan = Plan::new(&scratch.path().join("data"), scratch.path()).expect("a port").users(&names);
    let server = plan.start().expect("a server");
    let stage = Stage { site: Site::of(&plan).expect("its folder"), plan: plan.clone(), handles, crowd };

    let sent = the_largest_messages(&stage).expect("messages");
    the_pages_of_messages(&stage, &sent).expect("pages");
    the_people(&stage).expect("people");
    the_conversations(&stage).expect("conversations");
    server.kill().expect("it is ours");
    let server = plan.start().expect("a server on the same folder");
    the_pages_of_messages(&stage, &sent).expect("the same pages after a kill");
    two_hundred_entries(&stage).expect("two hundred entries");
    assert_eq!(server.terminate().expect("it is ours").code(), Some(0));
    let log = plan.log().expect("its log");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// From the first user to the second, pushed as they come.
fn the_largest_messages(stage: &Stage) -> Result<Vec<(ClientMsgId, Draft)>> {
    let (alice, bob) = (stage.user(0)?, stage.user(1)?);
    let conversation = ConversationId::direct(alice, bob);
    let (mut sender, _, _) = stage.device(alice, 1)?;
    let (mut receiver, _, _) = stage.device(bob, 1)?;
    let mut sent = Vec::new();
    for number in 1..=3 {
        let (id, draft) = (ClientMsgId::new(now(), u128::from(number)), draft(conversation, bob, number));
        for over in [
            Draft { body: vec![0; BODY_SIZE_MAX + 1], ..draft.clone() },
            Draft { content_type: "c".repeat(CONTENT_TYPE_SIZE_MAX + 1), ..draft.clone() },
            Draft { mentions: vec![bob; MENTIONS_MAX + 1], ..draft.clone() },
        ] {
            sender.send(FrameBuilder::default().message_send(id, 0, &over))?;
            let code = expect(&mut sender, |frame| frame.body_as_error().map(|error| error.code()))?;
            ensure!(code == Code::TooLarge.number(), "code {code}");
        }
        ensure!(send(&mut sender, id, &draft)? == u64::from(number), "what was refused has taken a place");
        let pushed = expect(&mut receiver, |frame| Some(messages(frame.body_as_push()?.events().iter().flatten())))?;
        ensure!(pushed.len() == 1, "{pushed:?}");
        ensure_is(pushed.first().context("a message")?, &draft, id)?;
        sent.push((id, draft));
    }
    Ok(sent)
}

/// The same from the user's log and from the history, one to a page.
fn the_pages_of_messages(stage: &Stage, sent: &[(ClientMsgId, Draft)]) -> Result<()> {
    let (alice, bob) = (stage.user(0)?, stage.user(1)?);
    let conversation = ConversationId::direct(alice, bob);
    let (mut reader, _, _) = stage.device(bob, 2)?;
    for (place, (id, draft)) in sent.iter().enumerate() {
        let question = RequestId(place as u32 + 1);
        reader.send(FrameBuilder::default().sync_get(question, UserSeq(place as u64)))?;
        let page = expect(&mut reader, |frame| {
            let page = frame.body_as_sync_page().filter(|page| page.request_id() == question.0)?;
            Some(messages(page.events().iter().flatten()))
        })?;
        ensure_is(page.first().context("a message")?, draft, *id)?;

        let range = HistoryRange::Before(Seq(place as u64 + 2));
        reader.send(FrameBuilder::default().history_get(question, conversation, range, HISTORY_LIMIT_MAX))?;
        let page = expect(&mut reader, |frame| {
            let page = frame.body_as_history_page().filter(|page| page.request_id() == question.0)?;
            Some(messages(page.entries().iter().flatten()))
        })?;
        ensure_is(page.last().context("a message")?, draft, *id)?;
    }
    Ok(())
}

fn the_people(stage: &Stage) -> Result<()> {
    let (mut client, _, _) = stage.device(stage.user(0)?, 3)?;
    let mut ask = |handles: &[String]| -> Result<Result<usize, u16>> {
        client.send(FrameBuilder::default().user_lookup(RequestId(7), handles, &[]))?;
        expect(&mut client, |frame| {
            let refused = frame.body_as_error().map(|error| Err(error.code()));
            refused.or_else(|| Some(Ok(frame.body_as_user_page()?.users().map_or(0, |users| users.len()))))
        })
    };
    ensure!(ask(&stage.handles)? == Ok(USER_LOOKUP_MAX));
    let mut more = stage.handles.clone();
    more.push("bob".to_owned());
    ensure!(ask(&more)? == Err(Code::TooLarge.number()));
    ensure!(ask(&["h".repeat(HANDLE_SIZE_MAX + 1)])? == Err(Code::TooLarge.number()));
    ensure!(ask(&stage.handles)? == Ok(USER_LOOKUP_MAX), "and the session goes on");
    Ok(())
}

/// Groups of as many as there may be, with the longest titles; they are all in the Snapshot of a newcomer.
fn the_conversations(stage: &Stage) -> Result<()> {
    let (mut creator, _, _) = stage.device(stage.user(2)?, 1)?;
    let others = stage.crowd.iter().map(|name| stage.site.user(name)).collect::<Result<Vec<UserId>>>()?;
    let title = "t".repeat(TITLE_SIZE_MAX);
    let mut create = |number: u128, title: &str, members: &[UserId]| -> Result<Result<ConversationId, u16>> {
        let id = ClientMsgId::new(now(), number);
        creator.send(FrameBuilder::default().conversation_create(id, ConversationKind::Group, title, members))?;
        expect(&mut creator, |frame| {
            let ack = frame.body_as_op_ack().filter(|ack| ClientMsgId::from(ack.client_op_id()) == id)?;
            let conversation = ack.conversation().map(ConversationId::from);
            Some(if ack.status() == OpStatus::Done { Ok(conversation?) } else { Err(ack.code()) })
        })
    };
    let fitting = others.get(1..).context("others")?;
    let (first, _) = fitting.split_at(1);
    for number in 1..SNAPSHOT_CONVERSATIONS_MAX as u128 {
        create(number, &title, first)?.ok().context("a group of two")?;
    }
    let group = create(0, &title, fitting)?.ok().context("a group of as many as there may be")?;
    ensure!(create(900, &"t".repeat(TITLE_SIZE_MAX + 1), fitting)? == Err(Code::TooLarge.number()));
    ensure!(create(901, &title, &others)? == Err(Code::GroupFull.number()), "its creator is one too many");
    let more: Vec<UserId> = others.iter().chain(others.first()).copied().collect();
    ensure!(create(902, &title, &more)? == Err(Code::TooLarge.number()));

    creator.send(FrameBuilder::default().members_get(RequestId(8), group))?;
    let (members, title_size) = expect(&mut creator, |frame| {
        let page = frame.body_as_members_page()?;
        Some((page.members().map_or(0, |members| members.len()), page.title().map_or(0, str::len)))
    })?;
    ensure!((members, title_size) == (GROUP_MEMBERS_MAX, TITLE_SIZE_MAX), "{members} members");
    let (_, conversations, has_more) = stage.device(*first.first().context("a member")?, 4)?;
    ensure!((conversations, has_more) == (SNAPSHOT_CONVERSATIONS_MAX, false), "{conversations} in the Snapshot");
    Ok(())
}

fn two_hundred_entries(stage: &Stage) -> Result<()> {
    let (alice, carol) = (stage.user(0)?, stage.user(2)?);
    let conversation = ConversationId::direct(alice, carol);
    let (mut sender, _, _) = stage.device(alice, 5)?;
    let small = Draft::text(conversation, Some(carol), "x");
    for number in 0..u64::from(HISTORY_LIMIT_MAX) {
        ensure!(send(&mut sender, ClientMsgId::new(now(), u128::from(number)), &small)? == number + 1);
    }
    let mut ask = |limit: u16| -> Result<Result<usize, u16>> {
        let newest = HistoryRange::Newest;
        sender.send(FrameBuilder::default().history_get(RequestId(9), conversation, newest, limit))?;
        expect(&mut sender, |frame| {
            let refused = frame.body_as_error().map(|error| Err(error.code()));
            refused.or_else(|| Some(Ok(frame.body_as_history_page()?.entries().map_or(0, |entries| entries.len()))))
        })
    };
    ensure!(ask(HISTORY_LIMIT_MAX)? == Ok(usize::from(HISTORY_LIMIT_MAX)));
    ensure!(ask(HISTORY_LIMIT_MAX + 1)? == Err(Code::TooLarge.number()));
    Ok(())
}
