//! Many clients in one thread: each a socket, TLS and frames. They note how long every message took, ack what they get,
//! and ask for pages when they are told to. Whoever is frozen does nothing at all.

use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use protocol::client::{Draft, RequestId};
use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, UserId, UserSeq};
use protocol::server::Hello;
use protocol::time::WallTime;
use protocol::wire::{self, ConversationKind, OpStatus, ServerBody};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::raw_client::{RawClient, view};
use crate::server::Plan;
use crate::site::Site;

const TOKEN_LIFETIME: Duration = Duration::from_secs(600);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// One of them. What it knows of itself stays when it goes.
pub struct Member {
    user: UserId,
    hello: Hello,
    connection: Option<RawClient>,
    /// Does not read.
    pub is_frozen: bool,
    /// Messages of others that it was given, each once and in order.
    pub messages: u64,
    /// How often it was told to ask for its events.
    pub pull_modes: u64,
}

/// See the file's head.
pub struct Crowd {
    site: Site,
    plan: Plan,
    members: Vec<Member>,
    began: Instant,
    ids: u128,
    group: Option<ConversationId>,
    /// How long the messages of the group took to each of those that are not frozen, since it was last asked.
    latencies: Vec<Duration>,
}

impl Crowd {
    /// A device of each user, connected and welcomed.
    pub fn gather(site: &Site, plan: &Plan, users: Vec<UserId>) -> Result<Crowd> {
        let members = users.into_iter().zip(1..).map(|(user, number)| Member {
            user,
            hello: Hello {
                is_transient: false,
                device: DeviceId(0),
                device_generation: DeviceGeneration(0),
                install_id: Some(ClientMsgId::new(now(), number)),
                device_name: "one of a crowd".into(),
                store_incarnation: Default::default(),
                user_epoch: Default::default(),
                user_cursor: UserSeq(0),
            },
            connection: None,
            is_frozen: false,
            messages: 0,
            pull_modes: 0,
        });
        let mut crowd = Crowd {
            site: site.clone(),
            plan: plan.clone(),
            members: members.collect(),
            began: Instant::now(),
            ids: 0,
            group: None,
            latencies: Vec::new(),
        };
        for index in 0..crowd.members.len() {
            crowd.connect(index)?;
            crowd.turn(Duration::ZERO)?;
        }
        crowd.turn_until("all are welcome", |crowd| {
            crowd.members.iter().all(|member| member.hello.device != DeviceId(0))
        })?;
        Ok(crowd)
    }

    /// One of them.
    pub fn member(&mut self, index: usize) -> &mut Member {
        &mut self.members[index]
    }

    /// Comes, or comes back and goes on where it was.
    pub fn connect(&mut self, index: usize) -> Result<()> {
        let mut client = RawClient::connect(self.plan.native(), self.site.certificate())?;
        let Member { user, hello, connection, .. } = &mut self.members[index];
        let token = self.site.token(*user, TOKEN_LIFETIME);
        client.send(FrameBuilder::default().hello(hello, &token, None))?;
        *connection = Some(client);
        Ok(())
    }

    /// Goes without a word.
    pub fn leave(&mut self, index: usize) {
        self.members[index].connection = None;
    }

    /// The first one makes a group of all of them.
    pub fn make_group(&mut self) -> Result<()> {
        let others: Vec<UserId> = self.members.iter().skip(1).map(|member| member.user).collect();
        let id = self.next_id();
        self.send(0, FrameBuilder::default().conversation_create(id, ConversationKind::Group, "everybody", &others))?;
        self.turn_until("there is a group", |crowd| crowd.group.is_some())
    }

    /// The first one says something to all.
    pub fn say_to_all(&mut self) -> Result<()> {
        let group = self.group.context("there is a group")?;
        self.say(0, group, None, 200)
    }

    /// In private, so many bytes.
    pub fn say_to(&mut self, from: usize, to: usize, size: usize) -> Result<()> {
        let (sender, peer) = (self.members[from].user, self.members[to].user);
        self.say(from, ConversationId::direct(sender, peer), Some(peer), size)
    }

    fn say(&mut self, from: usize, conversation: ConversationId, peer: Option<UserId>, size: usize) -> Result<()> {
        let id = self.next_id();
        let mut body = (self.began.elapsed().as_micros() as u64).to_le_bytes().to_vec();
        body.resize(size, 0);
        let draft = Draft { body, ..Draft::text(conversation, peer, "") };
        self.send(from, FrameBuilder::default().message_send(id, 0, &draft))
    }

    /// The latencies that were noted since the last call, shortest first.
    pub fn take_latencies(&mut self) -> Vec<Duration> {
        let mut latencies = std::mem::take(&mut self.latencies);
        latencies.sort_unstable();
        latencies
    }

    /// Everybody takes what comes, until this is so.
    pub fn turn_until(&mut self, what: &str, is_so: impl Fn(&Crowd) -> bool) -> Result<()> {
        let deadline = Instant::now() + STALL_TIMEOUT;
        while !is_so(self) {
            ensure!(Instant::now() < deadline, "after {} s it is not yet so that {what}", STALL_TIMEOUT.as_secs());
            self.turn(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Messages that one of them was given.
    pub fn messages(&self, index: usize) -> u64 {
        self.members.get(index).map_or(0, |member| member.messages)
    }

    /// Whether everybody was told of the group.
    pub fn are_in_group(&self) -> bool {
        self.members.iter().all(|member| member.hello.user_cursor > UserSeq(0))
    }

    /// Whether everybody who is there and reads has got so many messages; those named are not looked at.
    pub fn have(&self, messages: u64, but: &[usize]) -> bool {
        let others = self.members.iter().enumerate().skip(1).filter(|(index, _)| !but.contains(index));
        others.into_iter().all(|(_, member)| member.messages >= messages)
    }

    /// Everybody takes what comes for so long.
    pub fn turn_for(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        while let Some(rest) = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            self.turn(rest)?;
        }
        Ok(())
    }

    /// Takes what is there, or comes first within this time.
    fn turn(&mut self, patience: Duration) -> Result<()> {
        let there = self.members.iter().enumerate().filter(|(_, member)| !member.is_frozen);
        let sockets = there.filter_map(|(index, member)| Some((index, member.connection.as_ref()?.socket())));
        let (indexes, sockets): (Vec<usize>, Vec<_>) = sockets.unzip();
        let mut polled: Vec<PollFd<'_>> =
            sockets.into_iter().map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(patience).context("a short time")?;
        poll(&mut polled, Some(&timeout)).context("cannot wait for sockets")?;
        let has_come: Vec<bool> = polled.iter().map(|socket| !socket.revents().is_empty()).collect();
        for (index, _) in indexes.into_iter().zip(has_come).filter(|(_, has_come)| *has_come) {
            self.read(index).with_context(|| format!("client {index}"))?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Result<()> {
        let before = self.members[index].hello.user_cursor;
        let frames = self.members[index].connection.as_mut().context("it is there")?.receive_some()?;
        for frame in frames {
            self.take(index, view(&frame)?)?;
        }
        let cursor = self.members[index].hello.user_cursor;
        if cursor != before { self.send(index, FrameBuilder::default().ack(cursor)) } else { Ok(()) }
    }

    fn take(&mut self, index: usize, frame: wire::ServerFrame<'_>) -> Result<()> {
        let hello = &mut self.members[index].hello;
        match frame.body_type() {
            ServerBody::Welcome => {
                let welcome = frame.body_as_welcome().context("by its type")?;
                hello.device = DeviceId(welcome.device_id());
                hello.device_generation = DeviceGeneration(welcome.device_generation());
                hello.install_id = None;
                hello.store_incarnation.0 = welcome.store_incarnation();
                hello.user_epoch.0 = welcome.user_epoch();
            }
            ServerBody::Snapshot => {
                hello.user_cursor.0 = frame.body_as_snapshot().context("by its type")?.user_seq();
            }
            ServerBody::Push => {
                let push = frame.body_as_push().context("by its type")?;
                self.events(index, push.first_user_seq(), push.events().into_iter().flatten())?;
            }
            ServerBody::SyncPage => {
                let page = frame.body_as_sync_page().context("by its type")?;
                self.events(index, page.first_user_seq(), page.events().into_iter().flatten())?;
                if page.has_more() {
                    self.ask(index)?;
                }
            }
            ServerBody::PullMode => {
                self.members[index].pull_modes += 1;
                self.ask(index)?;
            }
            ServerBody::OpAck => {
                let ack = frame.body_as_op_ack().context("by its type")?;
                ensure!(ack.status() == OpStatus::Done, "refused with {}", ack.code());
                self.group = ack.conversation().map(ConversationId::from);
            }
            ServerBody::MessageAck => {}
            other => bail!("{other:?} has come"),
        }
        Ok(())
    }

    fn events<'a>(&mut self, index: usize, first: u64, events: impl Iterator<Item = wire::Event<'a>>) -> Result<()> {
        let (now, group) = (self.began.elapsed(), self.group);
        let member = &mut self.members[index];
        for (event, user_seq) in events.zip(first..) {
            let cursor = &mut member.hello.user_cursor.0;
            if user_seq <= *cursor {
                continue;
            }
            ensure!(user_seq == *cursor + 1, "{user_seq} comes after {cursor}");
            *cursor = user_seq;
            let Ok(Event::MessageNew(message)) = Event::decode(event) else { continue };
            member.messages += 1;
            let message = message.view();
            let sent_at = message.body().and_then(|body| body.bytes().first_chunk().copied()).map(u64::from_le_bytes);
            if group == Some(message.conversation().into()) {
                let sent_at = Duration::from_micros(sent_at.context("a time")?);
                self.latencies.push(now.saturating_sub(sent_at));
            }
        }
        Ok(())
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let after = self.members[index].hello.user_cursor;
        self.send(index, FrameBuilder::default().sync_get(RequestId(1), after))
    }

    fn send(&mut self, index: usize, frame: &[u8]) -> Result<()> {
        self.members[index].connection.as_mut().context("it is there")?.send(frame)
    }

    fn next_id(&mut self) -> ClientMsgId {
        self.ids += 1;
        ClientMsgId::new(now(), self.ids)
    }
}

/// As the server's clock should be.
pub fn now() -> WallTime {
    WallTime(u64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
}
