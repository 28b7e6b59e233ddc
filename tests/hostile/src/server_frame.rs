//! Target `server_frame`: a server that sends anything at any moment to a client's session.
//!
//! The input is a run of steps: frames made of bytes, whatever a shell and an application may do, and restarts from what
//! is on disk. Nothing may panic, what the client sends a server would take, the application gets every place of the log
//! once and in order, and what is written can be written.
//!
//! A frame may name what its sender cannot know: see [`PLACEHOLDERS`].

use std::time::Duration;

use protocol::client::{
    Action, Change, ChangeNumber, ClientEvent, ClientSession, ClientState, Draft, EventNumber, HistoryRange,
    MemberDraft,
};
use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::frame;
use protocol::ids::{ClientMsgId, ConversationId, Seq, UserId, UserSeq};
use protocol::server::{ServerSession, Step};
use protocol::time::{Instant, Now};
use protocol::wire::{self, ClientBody, ConversationKind, MembershipAction, Role, ServerBody};

use crate::golden;
use crate::input::Input;
use crate::seed::Seed;
use crate::server::START;
use crate::verify;

const STEPS_MAX: usize = 192;

/// In a frame of the input these bytes stand for the id that the client has sent last, the question that it has asked
/// last, and the place that its log goes on with.
pub const PLACEHOLDERS: (&[u8; 16], &[u8; 4], &[u8; 8]) = (b"the-last-sent-id", b"ask!", b"next-seq");

const FRAME: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;
const TIMEOUT: u8 = 3;
const PASS: u8 = 4;
const PERSISTED: u8 = 5;
const APPLIED: u8 = 6;
const SEND: u8 = 7;
const OPERATION: u8 = 8;
const READ: u8 = 9;
const ASK: u8 = 10;
const TYPING: u8 = 11;
const RESTART: u8 = 12;
const CLOSE: u8 = 13;
const STEP_KINDS: u8 = 14;

/// What the fuzzer calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut device = Device::new(input.flag());
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            return;
        }
        device.step(&mut input);
        device.settle();
    }
}

/// A session with its shell, its disk and its application.
struct Device {
    session: ClientSession,
    is_transient: bool,
    now: Now,
    disk: ClientState,
    unwritten: Vec<(ChangeNumber, Change)>,
    unapplied: Vec<EventNumber>,
    is_dialing: bool,
    /// Takes what the client sends on this connection.
    server: ServerSession,
    last_id: ClientMsgId,
    last_question: u32,
    /// The last place of the log that the application was told.
    told: UserSeq,
    /// What comes next on a new connection is for its server to say.
    may_jump: bool,
}

impl Device {
    fn new(is_transient: bool) -> Device {
        let disk = ClientState::new(ClientMsgId::new(START.wall, 1));
        let session =
            if is_transient { ClientSession::transient(7) } else { ClientSession::new(disk.clone(), "it", 7) };
        Device {
            session,
            is_transient,
            now: START,
            disk,
            unwritten: Vec::new(),
            unapplied: Vec::new(),
            is_dialing: false,
            server: ServerSession::new(START.monotonic),
            last_id: ClientMsgId([0; 16]),
            last_question: 0,
            told: UserSeq(0),
            may_jump: true,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        match input.u8() % STEP_KINDS {
            FRAME => self.receive(input.bytes()),
            CONNECTED if self.is_dialing => {
                (self.is_dialing, self.may_jump) = (false, true);
                self.server = ServerSession::new(now.monotonic);
                self.session.handle_connected(now, "token");
            }
            DISCONNECTED => {
                self.is_dialing = false;
                self.session.handle_disconnected(now);
            }
            TIMEOUT => {
                if let Some(at) = self.session.poll_timeout() {
                    self.move_to(at.max(now.monotonic));
                    self.session.handle_timeout(self.now);
                }
            }
            PASS => {
                self.move_to(now.monotonic + Duration::from_millis(u64::from(input.u16())));
                self.session.handle_timeout(self.now);
            }
            PERSISTED => self.write(usize::from(input.u8())),
            APPLIED => {
                let choice = usize::from(input.u8());
                if !self.unapplied.is_empty() {
                    let number = self.unapplied.remove(choice % self.unapplied.len());
                    self.session.handle_applied(now, number);
                }
            }
            RESTART if !self.is_transient => {
                self.session = ClientSession::new(self.disk.clone(), "it", 7);
                (self.unwritten, self.unapplied) = (Vec::new(), Vec::new());
                self.is_dialing = false;
                (self.told, self.may_jump) = (self.disk.position.user_seq, true);
            }
            CLOSE => self.session.close(now),
            kind => self.command(kind, input),
        }
    }

    /// What an application wants. Whatever is refused is refused.
    fn command(&mut self, kind: u8, input: &mut Input<'_>) {
        let (now, choice) = (self.now, input.u8());
        let conversation = ConversationId([choice % 3; 16]);
        let users = vec![UserId(2); usize::from(choice % 35)];
        let _is_taken = match kind {
            SEND => {
                let mut draft = Draft::text(conversation, Some(UserId(2)), &"x".repeat(usize::from(input.u8())));
                draft.client_msg_id = input.flag().then(|| ClientMsgId::new(START.wall, u128::from(choice)));
                self.session.send_message(now, &draft).err()
            }
            OPERATION if choice % 2 == 0 => {
                self.session.conversation_create(now, ConversationKind::Channel, "title", &users).err()
            }
            OPERATION => {
                let draft = MemberDraft { conversation, action: MembershipAction::Added, users, role: Role::Member };
                self.session.member_change(now, &draft).err()
            }
            READ => self.session.mark_read(now, conversation, Seq(input.u64())).err(),
            ASK => match choice % 4 {
                0 => self.session.follow(now, &[(conversation, Seq(input.u64()))]).err(),
                3 => self.session.history(now, conversation, HistoryRange::After(Seq(input.u64())), 10).err(),
                1 => self.session.members(now, conversation).err(),
                _ => self.session.user_lookup(now, &["bob".to_owned()], &users).err(),
            },
            TYPING => {
                self.session.typing(conversation, choice % 2 == 0);
                None
            }
            _ => None,
        };
    }

    fn receive(&mut self, frame: &[u8]) {
        let (id, question, place) = PLACEHOLDERS;
        let next = self.told.0.wrapping_add(1);
        let frame = replaced(frame, id, &self.last_id.0);
        let frame = replaced(&frame, question, &self.last_question.to_le_bytes());
        let frame = replaced(&frame, place, &next.to_le_bytes());
        let verified = verify::server_frame(&frame).map(|_| ());
        let taken = self.session.handle_frame(self.now, &frame);
        // More may be wrong than the frame's own buffer, never less.
        assert!(taken.is_err() || verified.is_ok(), "a frame that does not verify was taken");
    }

    fn move_to(&mut self, monotonic: Instant) {
        self.now = Now { monotonic, wall: self.now.wall.plus(monotonic.since(self.now.monotonic)) };
    }

    /// So many changes are on disk, with one sync.
    fn write(&mut self, count: usize) {
        let written: Vec<_> = self.unwritten.drain(..count.min(self.unwritten.len())).collect();
        written.iter().for_each(|(_, change)| self.disk.apply(change));
        if let Some((number, _)) = written.last() {
            self.session.handle_persisted(self.now, *number);
        }
    }

    /// The shell does as it is told.
    fn settle(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => {
                    assert!(!self.is_dialing, "one connection at a time");
                    self.is_dialing = true;
                }
                Action::Disconnect => self.is_dialing = false,
                Action::Persist(number, change) => {
                    assert!(!self.is_transient, "a transient session keeps nothing");
                    self.unwritten.push((number, change));
                }
                Action::Transmit(frame) => self.transmitted(&frame),
                Action::Event(number, event) => {
                    self.tell(&event);
                    self.unapplied.push(number);
                }
            }
        }
    }

    /// A server takes it: neither is it closed for it nor is a field out of its range.
    fn transmitted(&mut self, bytes: &[u8]) {
        let frame = frame::client_frame(bytes).expect("a client sends valid frames");
        if frame.body_type() == ClientBody::Hello {
            let step = self.server.handle_frame(self.now, bytes, true);
            assert!(matches!(step, Step::Authenticate { .. }), "{step:?}");
            self.server.handle_authenticated();
            self.server.handle_opened();
            return;
        }
        let step = self.server.handle_frame(self.now, bytes, true);
        // Ids may have become too old, or a server may have lied about the time.
        assert!(!matches!(step, Step::Close(_) | Step::Skip), "{step:?}");
        let send = frame.body_as_message_send().map(|send| ClientMsgId::from(send.client_msg_id()));
        let id = send.or(frame.client_op_id().map(ClientMsgId::from));
        self.last_id = id.unwrap_or(self.last_id);
        let question = [
            frame.body_as_sync_get().map(|get| get.request_id()),
            frame.body_as_history_get().map(|get| get.request_id()),
            frame.body_as_members_get().map(|get| get.request_id()),
            frame.body_as_user_lookup().map(|lookup| lookup.request_id()),
        ];
        self.last_question = question.into_iter().flatten().next().unwrap_or(self.last_question);
    }

    fn tell(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::Stream { user_seq, .. } => {
                let is_next = self.told.0.checked_add(1) == Some(user_seq.0);
                assert!(std::mem::take(&mut self.may_jump) || is_next, "{user_seq} after {}", self.told);
                self.told = *user_seq;
            }
            ClientEvent::Snapshot(snapshot) => self.told = snapshot.position.user_seq,
            _ => {}
        }
    }
}

/// `bytes` with every `from` exchanged for `to`.
fn replaced<const SIZE: usize>(bytes: &[u8], from: &[u8; SIZE], to: &[u8; SIZE]) -> Vec<u8> {
    let mut replaced = bytes.to_vec();
    let places: Vec<usize> =
        bytes.windows(SIZE).enumerate().filter(|(_, window)| window == from).map(|it| it.0).collect();
    for place in places {
        let target = replaced.iter_mut().skip(place).take(SIZE);
        target.zip(to).for_each(|(target, byte)| *target = *byte);
    }
    replaced
}

/// Every frame that a server has, to a session that waits for it.
pub fn seeds() -> Vec<Seed> {
    let frame = |frame: &[u8]| {
        let size = u16::try_from(frame.len()).expect("a golden frame is small").to_le_bytes();
        [&[FRAME][..], &size, frame].concat()
    };
    let frames: Vec<_> = ["ServerBody", "EventBody"]
        .into_iter()
        .flat_map(golden::frames)
        .map(|(name, bytes)| (name, asked_for(&bytes)))
        .collect();
    let welcome = &frames.iter().find(|(name, _)| name.ends_with("-Welcome")).expect("there is one").1;
    let online = [&[0, TIMEOUT, CONNECTED][..], &frame(welcome), &[PERSISTED, 9]].concat();
    let busy =
        [SEND, 1, 9, 0, OPERATION, 2, OPERATION, 1, ASK, 0, 1, 0, 0, 0, 0, 0, 0, 0, ASK, 1, ASK, 2, PERSISTED, 9];
    let calm = [APPLIED, 0, APPLIED, 0, PASS, 200, 0, PERSISTED, 9, TIMEOUT, DISCONNECTED, TIMEOUT, RESTART, CLOSE];
    let mut seeds: Vec<Seed> = frames
        .iter()
        .map(|(name, bytes)| {
            // The question or the message that it answers is the last one.
            let asks = [READ, 1, 3, 0, 0, 0, 0, 0, 0, 0, TYPING, 1];
            Seed::new(name, &[&online[..], &busy, &asks, &frame(bytes), &frame(bytes), &calm].concat())
        })
        .collect();
    seeds.push(Seed::new("offline", &[&[0][..], &busy, &[TIMEOUT, CONNECTED], &frame(welcome), &busy, &calm].concat()));
    let ends: Vec<u8> = ends_of_the_log().iter().flat_map(|bytes| frame(bytes)).collect();
    seeds.push(Seed::new("ends-of-the-log", &[&online[..], &ends, &calm].concat()));
    seeds.push(Seed::new("transient", &[&[1, TIMEOUT, CONNECTED][..], &frame(welcome), &busy, &calm].concat()));
    seeds
}

/// Events and a Snapshot where there is no place after them.
fn ends_of_the_log() -> [Vec<u8>; 4] {
    let events = [Event::Void(None), Event::Void(None)];
    let push = |first| FrameBuilder::default().push(UserSeq(first), &events).to_vec();
    let snapshot = |fbb: &mut flatbuffers::FlatBufferBuilder<'static>| {
        let args = wire::SnapshotArgs { user_seq: u64::MAX, ..Default::default() };
        (ServerBody::Snapshot, wire::Snapshot::create(fbb, &args).as_union_value())
    };
    let snapshot = FrameBuilder::default().server(snapshot).to_vec();
    [push(u64::MAX), snapshot, push(u64::MAX - 1), push(0)]
}

/// A golden frame that answers whatever this session has asked and goes on where its log is.
fn asked_for(bytes: &[u8]) -> Vec<u8> {
    let frame = frame::server_frame(bytes).expect("a golden frame verifies");
    let id = [
        frame.body_as_message_ack().map(|ack| ack.client_msg_id().0),
        frame.body_as_op_ack().map(|ack| ack.client_op_id().0),
    ];
    let question = [
        frame.body_as_sync_page().map(|page| page.request_id()),
        frame.body_as_history_page().map(|page| page.request_id()),
        frame.body_as_members_page().map(|page| page.request_id()),
        frame.body_as_user_page().map(|page| page.request_id()),
        frame.body_as_error().map(|error| error.request_id()),
    ];
    let place = [
        frame.body_as_push().map(|push| push.first_user_seq()),
        frame.body_as_sync_page().map(|page| page.first_user_seq()),
    ];
    let mut bytes = bytes.to_vec();
    if let Some(id) = id.into_iter().flatten().next() {
        bytes = replaced(&bytes, &id, PLACEHOLDERS.0);
    }
    if let Some(question) = question.into_iter().flatten().next() {
        bytes = replaced(&bytes, &question.to_le_bytes(), PLACEHOLDERS.1);
    }
    if let Some(place) = place.into_iter().flatten().next() {
        bytes = replaced(&bytes, &place.to_le_bytes(), PLACEHOLDERS.2);
    }
    bytes
}
