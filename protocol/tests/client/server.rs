//! A server small enough to be right: it takes each message once, logs it, and pushes its log. It may lose and refuse.

use std::collections::{BTreeMap, BTreeSet};

use protocol::codes::Code;
use protocol::encode::{FrameBuilder, Refusal};
use protocol::event::Event;
use protocol::ids::{ClientMsgId, Seq, UserSeq};
use protocol::limits::{CLIENT_MSG_ID_AGE_MAX, CLIENT_MSG_ID_AHEAD_MAX};
use protocol::server::Welcome;
use protocol::time::WallTime;
use protocol::wire::{self, ClientBody};

use crate::device::view;
use crate::frames::{DEVICE, conversation, message, message_ack, pull_mode, snapshot, sync_page, usual_welcome};

/// What it does with a message this time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    TakesAndForgetsToSay,
    Loses,
    RefusesForNow,
}

#[derive(Default)]
pub(crate) struct Server {
    /// Event `user_seq - 1`.
    log: Vec<Event>,
    heads: u64,
    places: BTreeMap<ClientMsgId, Seq>,
    /// Texts that were taken, in order.
    pub(crate) texts: Vec<u64>,
    seen: BTreeSet<ClientMsgId>,
    pub(crate) acked: u64,
    pub(crate) read: Seq,
    /// Of the connection: pushed up to here. `None` before its Hello.
    pushed: Option<u64>,
    is_pulled: bool,
}

/// Events of a page.
const PAGE_EVENTS_MAX: usize = 3;

impl Server {
    pub(crate) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    pub(crate) fn event(&self, user_seq: UserSeq) -> &Event {
        &self.log[user_seq.0 as usize - 1]
    }

    pub(crate) fn place_of(&self, id: ClientMsgId) -> Option<Seq> {
        self.places.get(&id).copied()
    }

    pub(crate) fn last_seq(&self) -> Seq {
        Seq(self.heads)
    }

    pub(crate) fn connection_lost(&mut self) {
        (self.pushed, self.is_pulled) = (None, false);
    }

    /// From now on the client asks for what it gets.
    pub(crate) fn begin_pull(&mut self) -> Option<Vec<u8>> {
        self.is_pulled = self.pushed.is_some();
        self.is_pulled.then(|| pull_mode(UserSeq(self.head())))
    }

    /// As after a break between its gateway and its router.
    pub(crate) fn begin_again(&mut self) -> Vec<u8> {
        self.is_pulled = false;
        FrameBuilder::default().resend().to_vec()
    }

    /// Bob says something.
    pub(crate) fn hear_from_bob(&mut self) {
        self.heads += 1;
        self.log.push(message(Seq(self.heads)));
    }

    /// The next events of the log, for a client that is there.
    pub(crate) fn push(&mut self, count_max: u64) -> Option<Vec<u8>> {
        let pushed = self.pushed.filter(|pushed| *pushed < self.head() && !self.is_pulled)?;
        let end = self.head().min(pushed.saturating_add(count_max));
        self.pushed = Some(end);
        let events = &self.log[pushed as usize..end as usize];
        Some(FrameBuilder::default().push(UserSeq(pushed + 1), events).to_vec())
    }

    pub(crate) fn receive(&mut self, now: WallTime, frame: &[u8], mood: Mood) -> Vec<Vec<u8>> {
        let view = view(frame);
        match view.body_type() {
            ClientBody::Hello => self.hello(now, view.body_as_hello().expect("a Hello")),
            ClientBody::MessageSend => self.send(now, view.body_as_message_send().expect("a message"), mood),
            ClientBody::Ack => {
                let acked = view.body_as_ack().expect("an Ack").user_seq();
                assert!(acked <= self.head());
                self.acked = self.acked.max(acked);
                Vec::new()
            }
            ClientBody::MessageRead => {
                let up_to = Seq(view.body_as_message_read().expect("a MessageRead").up_to_seq());
                if up_to > self.read {
                    self.read = up_to;
                    self.log.push(Event::SyncRead { conversation: conversation(), up_to });
                }
                Vec::new()
            }
            ClientBody::SyncGet => {
                let get = view.body_as_sync_get().expect("a SyncGet");
                let after = get.after_user_seq();
                let events: Vec<Event> = self.log.iter().skip(after as usize).take(PAGE_EVENTS_MAX).cloned().collect();
                let pushed = after + events.len() as u64;
                self.pushed = Some(pushed);
                self.is_pulled &= pushed < self.head();
                let events = events.as_slice();
                vec![sync_page(get.request_id(), UserSeq(after + 1), events, UserSeq(self.head()))]
            }
            ClientBody::Ping => vec![FrameBuilder::default().pong(UserSeq(self.head()), now).to_vec()],
            other => panic!("{other:?} is not to come"),
        }
    }

    fn hello(&mut self, now: WallTime, hello: wire::Hello<'_>) -> Vec<Vec<u8>> {
        let resumed = hello.store_incarnation() == 11;
        let welcome = Welcome { resumed, user_head: UserSeq(self.head()), ..usual_welcome(now) };
        assert!(hello.device_id() == DEVICE.0 || hello.install_id().is_some());
        let mut frames = vec![FrameBuilder::default().welcome(&welcome).to_vec()];
        if resumed {
            self.pushed = Some(hello.user_cursor());
            self.acked = self.acked.max(hello.user_cursor());
        } else {
            self.pushed = Some(self.head());
            frames.push(snapshot(UserSeq(self.head()), welcome.user_epoch));
        }
        frames
    }

    fn send(&mut self, now: WallTime, send: wire::MessageSend<'_>, mood: Mood) -> Vec<Vec<u8>> {
        let id = ClientMsgId::from(send.client_msg_id());
        assert!(id.minted_at() >= now.minus(CLIENT_MSG_ID_AGE_MAX), "too old");
        assert!(id.minted_at() <= now.plus(CLIENT_MSG_ID_AHEAD_MAX), "from the future");
        if mood == Mood::Loses {
            return Vec::new();
        }
        assert!(send.attempt() > 0 || !self.seen.contains(&id), "the first attempt is the first one");
        self.seen.insert(id);
        if mood == Mood::RefusesForNow && !self.places.contains_key(&id) {
            let refusal = Refusal {
                code: Code::TryAgain,
                retry_after_ms: 100,
                client_frame: ClientBody::MessageSend,
                client_msg_id: Some(id),
                request_id: 0,
            };
            return vec![FrameBuilder::default().error(refusal).to_vec()];
        }
        let seq = self.take(now, id, &send);
        if mood == Mood::TakesAndForgetsToSay { Vec::new() } else { vec![message_ack(id, seq)] }
    }

    fn take(&mut self, now: WallTime, id: ClientMsgId, send: &wire::MessageSend<'_>) -> Seq {
        if let Some(seq) = self.places.get(&id) {
            return *seq;
        }
        self.heads += 1;
        let (seq, body) = (Seq(self.heads), send.body().expect("a body").bytes());
        self.texts.push(u64::from_le_bytes(body.try_into().expect("8 bytes")));
        self.places.insert(id, seq);
        self.log.push(Event::Echo { client_msg_id: id, conversation: conversation(), seq, server_time: now });
        seq
    }
}
