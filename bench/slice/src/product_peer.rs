//! A device of the product, as lean as one can be: TLS, frames, a cursor in memory. It trusts the server to keep its word
//! and lets the generator check.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use gateway_transport::{Framer, TlsStage};
use protocol::client::Draft;
use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::frame;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, UserId, UserSeq};
use protocol::limits::FRAME_SIZE_MAX;
use protocol::server::Hello;
use protocol::time::{Instant, WallTime};
use protocol::wire::{ServerBody, ServerFrame};

use crate::peer::{Heard, Peer, Stamp};

/// What people write: two numbers of the generator, and filler.
const BODY_SIZE: usize = 128;

pub(crate) struct ProductPeer {
    tls: TlsStage,
    framer: Framer,
    builder: FrameBuilder,
    plaintext: Vec<u8>,
    outgoing: Vec<u8>,
    /// Until TLS is done.
    hello: Option<Vec<u8>>,
    draft: Draft,
    last_id: ClientMsgId,
    received: UserSeq,
    acked: UserSeq,
}

impl ProductPeer {
    pub(crate) fn new(tls: TlsStage, access_token: &str, me: UserId, other: UserId) -> ProductPeer {
        let hello = Hello {
            is_transient: false,
            device: DeviceId(0),
            device_generation: DeviceGeneration(0),
            install_id: Some(ClientMsgId::new(wall_time(), u128::from(me.0))),
            device_name: "bench".into(),
            store_incarnation: Default::default(),
            user_epoch: Default::default(),
            user_cursor: Default::default(),
        };
        let mut peer = ProductPeer {
            tls,
            framer: Framer::default(),
            builder: FrameBuilder::default(),
            plaintext: Vec::new(),
            outgoing: Vec::new(),
            hello: None,
            draft: Draft::text(ConversationId::direct(me, other), Some(other), &"x".repeat(BODY_SIZE)),
            last_id: ClientMsgId::new(WallTime(0), 0),
            received: UserSeq(0),
            acked: UserSeq(0),
        };
        peer.hello = Some(peer.builder.hello(&hello, access_token, None).to_vec());
        peer.tls.take_outgoing(&mut peer.outgoing);
        peer
    }

    fn seal(&mut self, frame: &[u8]) -> Result<()> {
        self.tls.seal(&[&frame::prefix(frame.len()), frame], &mut self.outgoing).context("TLS")
    }

    fn handle(&mut self, frame: &ServerFrame<'_>, heard: &mut Vec<Heard>) -> Result<()> {
        match frame.body_type() {
            ServerBody::Welcome => {}
            ServerBody::Snapshot => {
                let snapshot = frame.body_as_snapshot().context("a Snapshot")?;
                self.received = UserSeq(snapshot.user_seq());
                heard.push(Heard::Live);
            }
            ServerBody::MessageAck => heard.push(Heard::Answered),
            ServerBody::Push => {
                let push = frame.body_as_push().context("a Push")?;
                for (event, user_seq) in push.events().into_iter().flatten().zip(push.first_user_seq()..) {
                    if user_seq != self.received.0 + 1 {
                        bail!("user_seq {user_seq} where {} was due", self.received.0 + 1);
                    }
                    self.received = UserSeq(user_seq);
                    heard.extend(heard_of(Event::decode(event).map_err(|_| anyhow::anyhow!("no event"))?));
                }
            }
            ServerBody::Error | ServerBody::GoAway => heard.push(Heard::Refused),
            _ => {}
        }
        Ok(())
    }
}

fn heard_of(event: Event) -> Option<Heard> {
    match event {
        Event::MessageNew(message) => {
            let body = message.view().body()?;
            let number = |at: usize| Some(u64::from_le_bytes(body.bytes().get(at..at + 8)?.try_into().ok()?));
            Some(Heard::Message(Stamp { number: number(0)?, due_ns: number(8)? }))
        }
        Event::Delivered(_) => Some(Heard::Tick),
        _ => None,
    }
}

impl Peer for ProductPeer {
    fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    fn receive(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Result<()> {
        let mut plaintext = std::mem::take(&mut self.plaintext);
        self.tls.receive(bytes, &mut plaintext).context("TLS")?;
        self.tls.take_outgoing(&mut self.outgoing);
        if self.tls.is_established()
            && let Some(hello) = self.hello.take()
        {
            self.seal(&hello)?;
        }
        let mut framer = std::mem::take(&mut self.framer);
        let mut input = &plaintext[..];
        while let Some(frame) =
            framer.next_frame(Instant(0), &mut input, FRAME_SIZE_MAX).map_err(|_| anyhow::anyhow!("no frame"))?
        {
            let frame = frame::server_frame(frame).map_err(|_| anyhow::anyhow!("no frame"))?;
            self.handle(&frame, heard)?;
        }
        self.framer = framer;
        plaintext.clear();
        self.plaintext = plaintext;
        Ok(())
    }

    fn send(&mut self, stamp: Stamp) -> Result<()> {
        let fresh = ClientMsgId::new(wall_time(), 0);
        self.last_id = if fresh > self.last_id { fresh } else { self.last_id.successor() };
        let numbers = self.draft.body.get_mut(..16).context("a body holds two numbers")?;
        numbers.copy_from_slice(&[stamp.number.to_le_bytes(), stamp.due_ns.to_le_bytes()].concat());
        let frame = self.builder.message_send(self.last_id, 0, &self.draft);
        self.tls.seal(&[&frame::prefix(frame.len()), frame], &mut self.outgoing).context("TLS")
    }

    fn ack(&mut self) -> Result<()> {
        if self.acked == self.received {
            return Ok(());
        }
        self.acked = self.received;
        let frame = self.builder.ack(self.acked);
        self.tls.seal(&[&frame::prefix(frame.len()), frame], &mut self.outgoing).context("TLS")
    }
}

fn wall_time() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
