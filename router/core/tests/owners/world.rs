//! A router, a store and one gateway's end of a link, joined in memory. The store answers when the test says so.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::frame;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq,
};
use protocol::link::{ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LinkEnd, RouterMessage, SessionOpen};
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::{self, ClientBody, Durability, OpStatus, ServerBody};
use router_core::{Action, LinkId, Order, OrderId, OrderOutcome, Router, RouterConfig};
use storage_api::{Request, StoreError, StoreToken, StoreTraits};

use crate::store::Store;

pub(crate) const WALL: WallTime = WallTime(1_790_000_000_000);
const LINK: LinkId = LinkId(1);

/// What a connection was sent, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Acked(ClientMsgId, Seq),
    OpDone(ConversationId, Seq),
    /// Of an operation that is not done in a conversation.
    Done,
    OpRefused(u16),
    Refused(u16),
    Closed(Code),
    Devices(Vec<Listed>),
    Message(UserSeq, Seq),
    Echo(UserSeq, Seq),
    Member(UserSeq, Seq),
    Delivered(Seq),
    Read(Seq),
    ReadByMe(Seq),
    Void(UserSeq, Seq),
    /// A page of so many entries.
    History(usize),
    /// How far a channel is, and the entry it tells of.
    Channel(Seq, Option<Seq>),
    /// It follows a channel from now on.
    ChannelJoined(u32, Seq),
    /// A page of the user's log: its first place, and how many events.
    Page(UserSeq, usize),
    Other(ServerBody),
}

/// A device in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: DeviceId,
    pub(crate) generation: u32,
    pub(crate) revoked: bool,
    pub(crate) online: bool,
    pub(crate) was_seen: bool,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) router: Router,
    pub(crate) asked: Vec<(StoreToken, Request)>,
    pub(crate) outcomes: Vec<(OrderId, OrderOutcome)>,
    /// In the last snapshot that anybody got.
    pub(crate) listed: Vec<ConversationId>,
    config: RouterConfig,
    one_log: bool,
    gateway: LinkEnd,
    got: Vec<(ConnectionKey, Got)>,
    /// What was published to all who follow a channel on the link.
    published: Vec<Got>,
    /// What the gateway was sent and has not paid back.
    pub(crate) taken_bytes: u64,
    /// How many connections each shared frame was for.
    pub(crate) fanouts: Vec<usize>,
    now: Now,
    /// The device of each user that was opened last.
    devices: BTreeMap<UserId, (DeviceId, DeviceGeneration)>,
}

impl World {
    pub(crate) fn new(one_log: bool, config: RouterConfig) -> World {
        let mut world = World {
            store: Store::default(),
            router: Router::new(config, traits(one_log)),
            asked: Vec::new(),
            outcomes: Vec::new(),
            listed: Vec::new(),
            config,
            one_log,
            gateway: LinkEnd::default(),
            got: Vec::new(),
            published: Vec::new(),
            taken_bytes: 0,
            fanouts: Vec::new(),
            now: Now { monotonic: Instant(1), wall: WALL },
            devices: Default::default(),
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.router.handle_start(self.now);
        self.router.handle_link_up(self.now, LINK);
        let hello = GatewayHello { version: LINK_VERSION, gateway_id: 1, shard_index: 0, gateway_incarnation: 1 };
        self.send(GatewayMessage::Hello(hello));
    }

    /// The process dies; the requests under way are the test's to apply or to forget.
    pub(crate) fn crash(&mut self) {
        self.asked.clear();
        self.gateway.reset();
        self.got.clear();
        self.config.epoch.0 += 1;
        self.router = Router::new(self.config, traits(self.one_log));
        self.start();
    }

    pub(crate) fn open(&mut self, connection: u64, user: UserId, cursor: UserSeq) {
        self.open_unsettled(connection, user, cursor);
        self.settle();
    }

    /// What it makes the router ask is not answered.
    pub(crate) fn open_unsettled(&mut self, connection: u64, user: UserId, cursor: UserSeq) {
        let device = self.devices.get(&user).copied();
        let install_id = Some(ClientMsgId([7; 16])).filter(|_| device.is_none());
        self.open_device(connection, user, device, install_id, cursor);
    }

    /// `device`: with its generation; `None` registers one under the install id.
    pub(crate) fn open_device(
        &mut self,
        connection: u64,
        user: UserId,
        device: Option<(DeviceId, DeviceGeneration)>,
        install_id: Option<ClientMsgId>,
        cursor: UserSeq,
    ) {
        let (id, generation) = device.unwrap_or_default();
        self.send(GatewayMessage::SessionOpen(SessionOpen {
            connection: ConnectionKey(connection),
            user,
            device: id,
            device_generation: generation,
            install_id,
            device_name: "test",
            transient: false,
            store_incarnation: StoreIncarnation(u64::from(device.is_some())),
            user_epoch: UserEpoch(u64::from(device.is_some())),
            user_cursor: cursor,
            session: None,
        }));
    }

    /// The device of this user that was opened last, with its generation.
    pub(crate) fn device(&self, user: UserId) -> (DeviceId, DeviceGeneration) {
        self.devices[&user]
    }

    pub(crate) fn close(&mut self, connection: u64) {
        self.send(GatewayMessage::SessionClose(ConnectionKey(connection)));
    }

    pub(crate) fn message(
        &mut self,
        connection: u64,
        to: (ConversationId, Option<UserId>),
        id: ClientMsgId,
        attempt: u16,
    ) {
        let frame = FrameBuilder::default()
            .client(None, |fbb| {
                let body = fbb.create_vector(b"hello");
                let (conversation, client_msg_id) = (to.0.into(), id.into());
                let args = wire::MessageSendArgs {
                    conversation: Some(&conversation),
                    direct_peer: to.1.map_or(0, |peer| peer.0),
                    client_msg_id: Some(&client_msg_id),
                    attempt,
                    body: Some(body),
                    ..Default::default()
                };
                (ClientBody::MessageSend, wire::MessageSend::create(fbb, &args).as_union_value())
            })
            .to_vec();
        self.request(connection, &frame);
    }

    pub(crate) fn order(&mut self, id: u64, order: Order) {
        self.router.handle_order(self.now, OrderId(id), order);
        self.collect();
    }

    pub(crate) fn request(&mut self, connection: u64, frame: &[u8]) {
        self.send(GatewayMessage::ClientRequest { connection: ConnectionKey(connection), frame });
    }

    fn send(&mut self, message: GatewayMessage<'_>) {
        self.gateway.send_to_router(&message).expect("the window is open");
        self.bring_batches();
    }

    fn bring_batches(&mut self) {
        while let Some(batch) = self.gateway.poll_batch() {
            self.router.handle_link_batch(self.now, LINK, &batch).expect("the gateway's end is true");
        }
        self.collect();
    }

    /// False when the gateway's credits are used up.
    pub(crate) fn try_request(&mut self, connection: u64, frame: &[u8]) -> bool {
        let message = GatewayMessage::ClientRequest { connection: ConnectionKey(connection), frame };
        let is_sent = self.gateway.send_to_router(&message).is_ok();
        self.bring_batches();
        is_sent
    }

    /// The gateway has finished with everything that it was sent.
    pub(crate) fn pay_back(&mut self) {
        let taken_bytes = std::mem::take(&mut self.taken_bytes);
        self.gateway.release(taken_bytes);
        self.bring_batches();
    }

    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now.monotonic = self.now.monotonic + duration;
        self.now.wall = self.now.wall.plus(duration);
        self.gateway.beat();
        self.bring_batches();
        self.router.handle_timeout(self.now);
        self.settle();
    }

    /// Answers everything that is asked, in order, until nothing is.
    pub(crate) fn settle(&mut self) {
        self.collect();
        while !self.asked.is_empty() {
            self.answer(0);
        }
    }

    pub(crate) fn answer(&mut self, index: usize) {
        let (token, request) = self.asked.remove(index);
        let result = match &request {
            Request::ReadUserLog { after, .. } if after.next() < self.store.log_start => Err(StoreError::Expired),
            request => Ok(self.store.answer(request)),
        };
        self.router.handle_store(self.now, token, result);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(action) = self.router.poll_action() {
            match action {
                Action::Store { token, request } => self.asked.push((token, request)),
                Action::OrderEnded(id, outcome) => self.outcomes.push((id, outcome)),
                Action::DropLink { .. } => panic!("the test takes what it is sent"),
                Action::SendBatch { batch, .. } => {
                    let (got, devices) = (&mut self.got, &mut self.devices);
                    let published = &mut self.published;
                    let (taken_bytes, fanouts, listed) = (&mut self.taken_bytes, &mut self.fanouts, &mut self.listed);
                    let handled = self.gateway.handle_batch_of_router(&batch, |_, message| match message {
                        RouterMessage::SessionOpened(opened) => {
                            devices.insert(opened.user, (opened.device, opened.device_generation));
                        }
                        RouterMessage::Deliver { connection, frame, .. } => {
                            *taken_bytes += LinkEnd::cost(frame.len());
                            read(got, connection, frame);
                            *listed = listed_in(frame).unwrap_or_else(|| std::mem::take(listed));
                        }
                        RouterMessage::Fanout(fanout) => {
                            let count = fanout.targets.iter().count();
                            fanouts.push(count);
                            *taken_bytes += LinkEnd::fanout_cost(count, fanout.frame.len());
                            for (connection, user_seq) in fanout.targets.iter() {
                                let mut frame = fanout.frame.to_vec();
                                let at = fanout.user_seq_offset;
                                frame[at..at + 8].copy_from_slice(&user_seq.0.to_le_bytes());
                                read(got, connection, &frame);
                            }
                        }
                        RouterMessage::SessionRefused { connection, code } => {
                            got.push((connection, Got::Closed(code)));
                        }
                        RouterMessage::ChannelJoined { connection, request_id, head, .. } => {
                            got.push((connection, Got::ChannelJoined(request_id, head)));
                        }
                        RouterMessage::Publish { frame, head, .. } => {
                            *taken_bytes += LinkEnd::cost(frame.len());
                            published.push(channel(frame));
                            assert!(matches!(published.last(), Some(Got::Channel(told, _)) if *told == head));
                        }
                        RouterMessage::Hello(_) => {}
                    });
                    handled.expect("the router's end is true");
                }
            }
        }
    }

    /// What was published since the last question.
    pub(crate) fn published(&mut self) -> Vec<Got> {
        std::mem::take(&mut self.published)
    }

    /// So many who follow a channel have stopped.
    pub(crate) fn stop_following(&mut self, conversation: ConversationId, count: u32) {
        self.send(GatewayMessage::ChannelLeft { conversation, count });
    }

    /// What a connection got since the last question.
    pub(crate) fn got(&mut self, connection: u64) -> Vec<Got> {
        let (mine, rest) = self.got.drain(..).partition(|(key, _)| *key == ConnectionKey(connection));
        self.got = rest;
        let mine: Vec<(ConnectionKey, Got)> = mine;
        mine.into_iter().map(|(_, got)| got).collect()
    }
}

/// Of the only event of a ChannelPush.
fn channel(bytes: &[u8]) -> Got {
    let frame = frame::server_frame(bytes).expect("a router sends valid frames");
    let push = frame.body_as_channel_push().expect("what is published is of a channel");
    let event = push.events().into_iter().flatten().next().map(|event| Event::decode(event).expect("a valid event"));
    Got::Channel(Seq(push.head_seq()), event.and_then(|event| event.entry_seq()))
}

pub(crate) fn traits(one_log: bool) -> StoreTraits {
    StoreTraits { one_log, durability: Durability::Memory, incarnation: StoreIncarnation(1) }
}

/// `None`: it is no snapshot.
fn listed_in(bytes: &[u8]) -> Option<Vec<ConversationId>> {
    let snapshot = frame::server_frame(bytes).expect("a router sends valid frames").body_as_snapshot()?;
    Some(snapshot.conversations().into_iter().flatten().map(|summary| summary.conversation().into()).collect())
}

fn read(got: &mut Vec<(ConnectionKey, Got)>, connection: ConnectionKey, bytes: &[u8]) {
    let frame = frame::server_frame(bytes).expect("a router sends valid frames");
    match frame.body_type() {
        ServerBody::MessageAck => {
            let ack = frame.body_as_message_ack().expect("an ack");
            got.push((connection, Got::Acked(ack.client_msg_id().into(), Seq(ack.seq()))));
        }
        ServerBody::OpAck => {
            let ack = frame.body_as_op_ack().expect("an ack");
            got.push((
                connection,
                match ack.conversation() {
                    Some(conversation) => Got::OpDone(conversation.into(), Seq(ack.seq())),
                    None if ack.status() == OpStatus::Done => Got::Done,
                    None => Got::OpRefused(ack.code()),
                },
            ));
        }
        ServerBody::Error => got.push((connection, Got::Refused(frame.body_as_error().expect("an error").code()))),
        ServerBody::Push => {
            let push = frame.body_as_push().expect("a push");
            for (index, event) in push.events().iter().flatten().enumerate() {
                let user_seq = UserSeq(push.first_user_seq() + index as u64);
                let event = match Event::decode(event).expect("a router sends valid events") {
                    Event::MessageNew(message) => Got::Message(user_seq, Seq(message.view().seq())),
                    Event::Echo { seq, .. } => Got::Echo(user_seq, seq),
                    Event::MemberChanged(change) => Got::Member(user_seq, change.seq),
                    Event::Delivered(receipt) => Got::Delivered(receipt.up_to),
                    Event::Read(receipt) => Got::Read(receipt.up_to),
                    Event::SyncRead { up_to, .. } => Got::ReadByMe(up_to),
                    Event::Void(Some((_, seq))) => Got::Void(user_seq, seq),
                    _ => continue,
                };
                got.push((connection, event));
            }
        }
        ServerBody::HistoryPage => {
            let page = frame.body_as_history_page().expect("a page");
            got.push((connection, Got::History(page.entries().map_or(0, |entries| entries.len()))));
        }
        ServerBody::ChannelPush => got.push((connection, channel(bytes))),
        ServerBody::SyncPage => {
            let page = frame.body_as_sync_page().expect("a page");
            let events_count = page.events().map_or(0, |events| events.len());
            got.push((connection, Got::Page(UserSeq(page.first_user_seq()), events_count)));
        }
        ServerBody::DevicesPage => {
            let page = frame.body_as_devices_page().expect("a page");
            let devices = page.devices().into_iter().flatten();
            let listed = devices.map(|device| Listed {
                id: DeviceId(device.id()),
                generation: device.generation(),
                revoked: device.revoked(),
                online: device.online(),
                was_seen: device.last_seen_ms() > 0,
            });
            got.push((connection, Got::Devices(listed.collect())));
        }
        other => got.push((connection, Got::Other(other))),
    }
}
