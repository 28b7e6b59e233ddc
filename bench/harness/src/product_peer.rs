//! A device of the product, as lean as one can be: TLS, frames, a cursor in memory. It trusts the server to keep its word
//! and lets the crowd check.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use gateway_core::Identity;
use gateway_server::TokenSigner;
use gateway_transport::{Framer, TlsClient, TlsStage};
use protocol::client::{Draft, HistoryRange, RequestId};
use protocol::encode::FrameBuilder;
use protocol::frame;
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq,
};
use protocol::limits::{FRAME_SIZE_MAX, HISTORY_LIMIT_MAX};
use protocol::server::Hello;
use protocol::time::{Instant, WallTime};
use protocol::wire::{self, ConversationKind, OpStatus, ServerBody, ServerFrame, Welcome};

use crate::peer::{Desk, Heard, Peer, Stamp};
use crate::resume::Resume;

/// What people write: two numbers of the crowd, and filler.
pub(crate) const BODY_SIZE: usize = 128;

/// What all devices of a run have in common.
pub struct Account {
    /// What they trust.
    pub tls: TlsClient,
    /// The name in the server's certificate.
    pub server_name: String,
    /// Makes their access tokens.
    pub signer: TokenSigner,
    /// What they show when they come back.
    pub resume: Resume,
}

/// Whom a device writes to.
#[derive(Clone, Debug)]
pub enum Room {
    /// One other user.
    Direct(UserId),
    /// A group with these others, which it makes before it is live.
    Founder(Box<[UserId]>),
    /// A channel, which it makes before it is live.
    Publisher(ChannelSlot),
    /// It follows that channel.
    Follower(Box<Following>),
    /// Nobody.
    Listener,
}

/// Where the one who makes a channel leaves its id for those who follow it.
pub type ChannelSlot = Rc<Cell<Option<ConversationId>>>;

/// How far somebody who follows is.
#[derive(Clone, Debug)]
pub struct Following {
    channel: ChannelSlot,
    /// `None` until the server has said where the channel begins for it.
    held: Option<Seq>,
    /// What it has missed is on its way.
    is_asking: bool,
}

impl Following {
    /// From when there is a channel.
    pub fn new(channel: ChannelSlot) -> Following {
        Following { channel, held: None, is_asking: false }
    }
}

/// What a device that comes back keeps.
struct Memory {
    /// With its sessions, where those are shown.
    tls: Option<TlsClient>,
    place: Option<Place>,
}

/// Who it is to the server.
struct Place {
    device: DeviceId,
    generation: DeviceGeneration,
    incarnation: StoreIncarnation,
    epoch: UserEpoch,
    ticket: Box<[u8]>,
}

/// See the file's head.
pub struct ProductPeer {
    account: Rc<Account>,
    me: UserId,
    room: Room,
    /// Of the room, once it is known.
    conversation: ConversationId,
    tls: Option<TlsStage>,
    framer: Framer,
    is_greeted: bool,
    last_id: ClientMsgId,
    received: UserSeq,
    acked: UserSeq,
    /// None for who never comes back.
    memory: Option<Box<Memory>>,
}

impl ProductPeer {
    /// Without a connection.
    pub fn new(account: Rc<Account>, me: UserId, room: Room) -> ProductPeer {
        let conversation = match room {
            Room::Direct(other) => ConversationId::direct(me, other),
            _ => ConversationId([0; 16]),
        };
        let tls = || (account.resume == Resume::Session).then(|| account.tls.clone().keeping_sessions());
        let memory = (account.resume > Resume::Never).then(|| Box::new(Memory { tls: tls(), place: None }));
        ProductPeer {
            account,
            me,
            room,
            conversation,
            tls: None,
            framer: Framer::default(),
            is_greeted: false,
            last_id: ClientMsgId::new(WallTime(0), 0),
            received: UserSeq(0),
            acked: UserSeq(0),
            memory,
        }
    }

    fn greet(&mut self, builder: &mut FrameBuilder, outgoing: &mut Vec<u8>) -> Result<()> {
        let place = self.memory.as_deref().and_then(|memory| memory.place.as_ref());
        let ticket = place.filter(|_| self.account.resume >= Resume::Ticket).map(|place| &*place.ticket);
        let hello = Hello {
            is_transient: false,
            device: place.map_or(DeviceId(0), |place| place.device),
            device_generation: place.map_or(DeviceGeneration(0), |place| place.generation),
            install_id: place.is_none().then(|| ClientMsgId::new(wall_time(), u128::from(self.me.0))),
            device_name: "bench".into(),
            store_incarnation: place.map_or_else(Default::default, |place| place.incarnation),
            user_epoch: place.map_or_else(Default::default, |place| place.epoch),
            user_cursor: self.received,
        };
        let token = match ticket {
            Some(_) => String::new(),
            None => {
                let expires_at = WallTime(u64::MAX / 2);
                self.account.signer.sign(&Identity { user: self.me, device: None, expires_at })
            }
        };
        let frame = builder.hello(&hello, &token, ticket);
        seal(&mut self.tls, frame, outgoing)
    }

    fn handle(
        &mut self,
        frame: &ServerFrame<'_>,
        builder: &mut FrameBuilder,
        outgoing: &mut Vec<u8>,
        heard: &mut Vec<Heard>,
    ) -> Result<()> {
        match frame.body_type() {
            ServerBody::Welcome => {
                let welcome = frame.body_as_welcome().context("a Welcome")?;
                self.note_place(&welcome);
                if welcome.resumed() {
                    heard.push(Heard::Live);
                }
            }
            ServerBody::Snapshot => {
                let snapshot = frame.body_as_snapshot().context("a Snapshot")?;
                self.received = UserSeq(snapshot.user_seq());
                self.enter_room(builder, outgoing, heard)?;
            }
            ServerBody::Pong => self.follow(builder, outgoing)?,
            ServerBody::ChannelPush => {
                let push = frame.body_as_channel_push().context("a ChannelPush")?;
                let events = push.events().into_iter().flatten();
                self.published(Seq(push.head_seq()), events, builder, outgoing, heard)?;
            }
            ServerBody::HistoryPage => {
                let page = frame.body_as_history_page().context("a HistoryPage")?;
                if let Room::Follower(following) = &mut self.room {
                    following.is_asking = false;
                }
                let events = page.entries().into_iter().flatten();
                self.published(Seq(page.head_seq()), events, builder, outgoing, heard)?;
            }
            ServerBody::OpAck => {
                let ack = frame.body_as_op_ack().context("an OpAck")?;
                match ack.conversation() {
                    Some(conversation) if ack.status() == OpStatus::Done => {
                        self.conversation = conversation.into();
                        if let Room::Publisher(slot) = &self.room {
                            slot.set(Some(self.conversation));
                        }
                        heard.push(Heard::Live);
                    }
                    _ => heard.push(Heard::Refused(ack.code())),
                }
            }
            ServerBody::MessageAck => heard.push(Heard::Answered),
            ServerBody::Push => {
                let push = frame.body_as_push().context("a Push")?;
                for (event, user_seq) in push.events().into_iter().flatten().zip(push.first_user_seq()..) {
                    if user_seq != self.received.0 + 1 {
                        bail!("user_seq {user_seq} where {} was due", self.received.0 + 1);
                    }
                    self.received = UserSeq(user_seq);
                    heard.extend(told_by(event)?.1);
                }
            }
            ServerBody::Error => {
                heard.push(Heard::Refused(frame.body_as_error().map_or(0, |error| error.code())));
            }
            ServerBody::GoAway => {
                heard.push(Heard::Refused(frame.body_as_go_away().map_or(0, |go_away| go_away.code())));
            }
            _ => {}
        }
        Ok(())
    }

    /// What it does before it is live.
    fn enter_room(&mut self, builder: &mut FrameBuilder, outgoing: &mut Vec<u8>, heard: &mut Vec<Heard>) -> Result<()> {
        let (kind, members) = match &self.room {
            Room::Founder(members) => (ConversationKind::Group, &members[..]),
            Room::Publisher(_) => (ConversationKind::Channel, &[][..]),
            Room::Follower(_) => return self.follow(builder, outgoing),
            Room::Direct(_) | Room::Listener => {
                heard.push(Heard::Live);
                return Ok(());
            }
        };
        let op_id = next_id(&mut self.last_id);
        seal(&mut self.tls, builder.conversation_create(op_id, kind, "bench", members), outgoing)
    }

    /// Asks for its channel, once there is one; until then with every Pong.
    fn follow(&mut self, builder: &mut FrameBuilder, outgoing: &mut Vec<u8>) -> Result<()> {
        let Room::Follower(following) = &self.room else { return Ok(()) };
        match following.channel.get() {
            Some(_) if following.held.is_some() => Ok(()),
            Some(channel) => seal(&mut self.tls, builder.channel_follow(RequestId(1), &[channel]), outgoing),
            None => seal(&mut self.tls, builder.ping(), outgoing),
        }
    }

    /// Entries of its channel, which is that far. What is missing is asked for.
    fn published<'a>(
        &mut self,
        head: Seq,
        events: impl Iterator<Item = wire::Event<'a>>,
        builder: &mut FrameBuilder,
        outgoing: &mut Vec<u8>,
        heard: &mut Vec<Heard>,
    ) -> Result<()> {
        let Room::Follower(following) = &mut self.room else { bail!("it follows nothing") };
        let Some(held) = &mut following.held else {
            following.held = Some(head);
            heard.push(Heard::Live);
            return Ok(());
        };
        for event in events {
            let (seq, news) = told_by(event)?;
            if seq == Some(held.next()) {
                *held = held.next();
                heard.extend(news);
            }
        }
        if head > *held && !following.is_asking {
            following.is_asking = true;
            let channel = following.channel.get().context("it follows a channel")?;
            let range = HistoryRange::After(*held);
            return seal(&mut self.tls, builder.history_get(RequestId(2), channel, range, HISTORY_LIMIT_MAX), outgoing);
        }
        Ok(())
    }

    fn note_place(&mut self, welcome: &Welcome<'_>) {
        if let Some(memory) = &mut self.memory
            && let Some(ticket) = welcome.resume_ticket()
        {
            memory.place = Some(Place {
                device: DeviceId(welcome.device_id()),
                generation: DeviceGeneration(welcome.device_generation()),
                incarnation: StoreIncarnation(welcome.store_incarnation()),
                epoch: UserEpoch(welcome.user_epoch()),
                ticket: ticket.bytes().into(),
            });
        }
    }
}

/// The place of an entry, and what is told. Verified, and read where it lies.
fn told_by(event: wire::Event<'_>) -> Result<(Option<Seq>, Option<Heard>)> {
    if event.body_as_delivered().is_some() {
        return Ok((None, Some(Heard::Tick)));
    }
    if let Some(void) = event.body_as_void() {
        return Ok((Some(Seq(void.seq())), None));
    }
    if let Some(change) = event.body_as_member_changed() {
        return Ok((Some(Seq(change.seq())), None));
    }
    let Some(new) = event.body_as_message_new() else { return Ok((None, None)) };
    let message = frame::message(new.message().bytes()).map_err(|_| anyhow!("no message"))?;
    let body = message.body().map(|body| body.bytes()).unwrap_or_default();
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let stamp = number(0).zip(number(8)).map(|(number, due_ns)| Stamp { number, due_ns });
    Ok((Some(Seq(message.seq())), stamp.map(Heard::Message)))
}

impl Peer for ProductPeer {
    fn arrive(&mut self, _desk: &mut Desk, outgoing: &mut Vec<u8>, _heard: &mut Vec<Heard>) -> Result<()> {
        let own = self.memory.as_deref().and_then(|memory| memory.tls.as_ref());
        let mut tls = own.unwrap_or(&self.account.tls).connect(&self.account.server_name)?;
        tls.take_outgoing(outgoing);
        (self.tls, self.framer, self.is_greeted) = (Some(tls), Framer::default(), false);
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8], desk: &mut Desk, outgoing: &mut Vec<u8>, heard: &mut Vec<Heard>) -> Result<()> {
        let tls = self.tls.as_mut().context("nothing comes without a connection")?;
        let mut plaintext = std::mem::take(&mut desk.plaintext);
        plaintext.clear();
        tls.receive(bytes, &mut plaintext).context("TLS")?;
        tls.take_outgoing(outgoing);
        if tls.is_established() && !self.is_greeted {
            self.is_greeted = true;
            if tls.is_resumed() {
                heard.push(Heard::SessionResumed);
            }
            self.greet(&mut desk.builder, outgoing)?;
        }
        let mut framer = std::mem::take(&mut self.framer);
        let mut input = &plaintext[..];
        while let Some(frame) =
            framer.next_frame(Instant(0), &mut input, FRAME_SIZE_MAX).map_err(|_| anyhow!("no frame"))?
        {
            let frame = frame::server_frame(frame).map_err(|_| anyhow!("no frame"))?;
            self.handle(&frame, &mut desk.builder, outgoing, heard)?;
        }
        (self.framer, desk.plaintext) = (framer, plaintext);
        Ok(())
    }

    fn send(&mut self, stamp: Stamp, desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()> {
        let other = match self.room {
            Room::Direct(other) => Some(other),
            _ => None,
        };
        let id = next_id(&mut self.last_id);
        let mut draft = Draft::text(self.conversation, other, "");
        desk.body.clear();
        desk.body.extend_from_slice(&stamp.number.to_le_bytes());
        desk.body.extend_from_slice(&stamp.due_ns.to_le_bytes());
        desk.body.resize(BODY_SIZE, b'x');
        draft.body = std::mem::take(&mut desk.body);
        let sealed = seal(&mut self.tls, desk.builder.message_send(id, 0, &draft), outgoing);
        desk.body = draft.body;
        sealed
    }

    fn ack(&mut self, desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()> {
        if self.acked == self.received {
            return Ok(());
        }
        self.acked = self.received;
        seal(&mut self.tls, desk.builder.ack(self.acked), outgoing)
    }

    fn ping(&mut self, desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()> {
        seal(&mut self.tls, desk.builder.ping(), outgoing)
    }
}

fn seal(tls: &mut Option<TlsStage>, frame: &[u8], outgoing: &mut Vec<u8>) -> Result<()> {
    let tls = tls.as_mut().context("nothing is sent without a connection")?;
    tls.seal(&[&frame::prefix(frame.len()), frame], outgoing).context("TLS")
}

fn next_id(last: &mut ClientMsgId) -> ClientMsgId {
    let fresh = ClientMsgId::new(wall_time(), 0);
    *last = if fresh > *last { fresh } else { last.successor() };
    *last
}

fn wall_time() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
