//! A session with its shell: a clock that a test moves, a disk that writes at once or when told, an application that is
//! done with an event at once or when told, and what was transmitted.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::client::{
    Action, Change, ChangeNumber, ClientEvent, ClientSession, ClientState, ConnectionState, Draft, EventNumber,
};
use protocol::encode::FrameBuilder;
use protocol::frame;
use protocol::ids::{ClientMsgId, Seq};
use protocol::server::Welcome;
use protocol::time::{Instant, Now, WallTime};
use protocol::wire::{self, ClientBody};

use crate::frames::{BOB, conversation, usual_welcome};

pub(crate) const START: Now = Now { monotonic: Instant(1_000_000_000_000), wall: WallTime(1_764_000_000_000) };

pub(crate) struct Device {
    pub(crate) session: ClientSession,
    pub(crate) disk: ClientState,
    pub(crate) now: Now,
    pub(crate) writes_at_once: bool,
    pub(crate) applies_at_once: bool,
    pub(crate) unwritten: VecDeque<(ChangeNumber, Change)>,
    /// With the application, in the order in which it was told.
    pub(crate) unapplied: VecDeque<(EventNumber, ClientEvent)>,
    /// Everything the application was told and has not looked at here.
    pub(crate) events: VecDeque<ClientEvent>,
    pub(crate) transmitted: VecDeque<Vec<u8>>,
    pub(crate) is_dialing: bool,
    pub(crate) disconnects: usize,
}

impl Device {
    pub(crate) fn new() -> Device {
        Device::with_state(ClientState::new(ClientMsgId::new(WallTime(1), 1)))
    }

    pub(crate) fn with_state(disk: ClientState) -> Device {
        Device::with_seed(disk, 42)
    }

    pub(crate) fn with_seed(disk: ClientState, seed: u64) -> Device {
        Device::with_session(ClientSession::new(disk.clone(), "test", seed), disk)
    }

    pub(crate) fn transient() -> Device {
        Device::with_session(ClientSession::transient(42), ClientState::new(ClientMsgId([0; 16])))
    }

    fn with_session(session: ClientSession, disk: ClientState) -> Device {
        Device {
            session,
            disk,
            now: START,
            writes_at_once: true,
            applies_at_once: true,
            unwritten: VecDeque::new(),
            unapplied: VecDeque::new(),
            events: VecDeque::new(),
            transmitted: VecDeque::new(),
            is_dialing: false,
            disconnects: 0,
        }
    }

    /// One that is online, with nothing left to look at.
    pub(crate) fn online() -> Device {
        let mut device = Device::new();
        device.go_online(&usual_welcome(START.wall));
        device
    }

    pub(crate) fn go_online(&mut self, welcome: &Welcome<'_>) {
        self.say_hello();
        self.receive(FrameBuilder::default().welcome(welcome));
        self.events.clear();
        self.transmitted.clear();
    }

    /// Waits for the next attempt and lets it succeed; gives the Hello.
    pub(crate) fn say_hello(&mut self) -> Vec<u8> {
        for _ in 0..100 {
            if self.is_dialing {
                break;
            }
            self.wait_for_timeout();
        }
        assert!(std::mem::take(&mut self.is_dialing), "it does not dial");
        self.session.handle_connected(self.now, "token");
        self.settle();
        let hello = self.transmitted.pop_front().expect("a Hello");
        assert_eq!(body_type(&hello), ClientBody::Hello);
        hello
    }

    pub(crate) fn lose_connection(&mut self) {
        self.session.handle_disconnected(self.now);
        self.settle();
        self.transmitted.clear();
    }

    pub(crate) fn receive(&mut self, frame: &[u8]) {
        self.session.handle_frame(self.now, frame).expect("a valid frame");
        self.settle();
    }

    /// Time passes, and every timer in between is heeded.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.monotonic + duration;
        while self.session.poll_timeout().is_some_and(|at| at <= end) {
            self.wait_for_timeout();
        }
        self.move_to(end);
    }

    pub(crate) fn wait_for_timeout(&mut self) {
        let at = self.session.poll_timeout().expect("something to wait for");
        self.move_to(self.now.monotonic.max(at));
        self.session.handle_timeout(self.now);
        self.settle();
    }

    fn move_to(&mut self, monotonic: Instant) {
        self.now.wall = self.now.wall.plus(monotonic.since(self.now.monotonic));
        self.now.monotonic = monotonic;
    }

    pub(crate) fn send(&mut self, text: &str) -> ClientMsgId {
        let draft = Draft::text(conversation(), Some(BOB), text);
        let id = self.session.send_message(self.now, &draft).expect("there is room");
        self.settle();
        id
    }

    pub(crate) fn read(&mut self, up_to: Seq) {
        self.session.mark_read(self.now, conversation(), up_to).expect("it is a device");
        self.settle();
    }

    pub(crate) fn write_all(&mut self) {
        while !self.unwritten.is_empty() {
            self.write_next();
        }
    }

    pub(crate) fn write_next(&mut self) {
        let (number, change) = self.unwritten.pop_front().expect("something to be written");
        self.disk.apply(&change);
        self.session.handle_persisted(self.now, number);
        self.settle();
    }

    pub(crate) fn apply_next(&mut self) {
        let (number, _) = self.unapplied.pop_front().expect("something to be done with");
        self.session.handle_applied(self.now, number);
        self.settle();
    }

    /// The shell does as it is told.
    pub(crate) fn settle(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => self.is_dialing = true,
                Action::Transmit(frame) => self.transmitted.push_back(frame),
                Action::Disconnect => {
                    self.is_dialing = false;
                    self.disconnects += 1;
                }
                Action::Persist(number, change) if self.writes_at_once => {
                    self.disk.apply(&change);
                    self.session.handle_persisted(self.now, number);
                }
                Action::Persist(number, change) => self.unwritten.push_back((number, change)),
                Action::Event(number, event) => {
                    self.events.push_back(event.clone());
                    if self.applies_at_once || matches!(event, ClientEvent::State(_)) {
                        self.session.handle_applied(self.now, number);
                    } else {
                        self.unapplied.push_back((number, event));
                    }
                }
            }
        }
    }

    /// The next frame must be a message; gives its id and which attempt it is.
    #[track_caller]
    pub(crate) fn expect_send(&mut self) -> (ClientMsgId, u16) {
        let frame = self.transmitted.pop_front().expect("a message was sent");
        let send = frame::client_frame(&frame).expect("verifies").body_as_message_send().expect("a message");
        (send.client_msg_id().into(), send.attempt())
    }

    /// The next frame must be of this type.
    #[track_caller]
    pub(crate) fn expect_frame(&mut self, body: ClientBody) -> Vec<u8> {
        let frame = self.transmitted.pop_front().expect("a frame was sent");
        assert_eq!(body_type(&frame), body);
        frame
    }

    #[track_caller]
    pub(crate) fn expect_ack(&mut self, user_seq: u64) {
        let frame = self.expect_frame(ClientBody::Ack);
        assert_eq!(view(&frame).body_as_ack().expect("an Ack").user_seq(), user_seq);
    }

    #[track_caller]
    pub(crate) fn expect_nothing_sent(&self) {
        let types: Vec<ClientBody> = self.transmitted.iter().map(|frame| body_type(frame)).collect();
        assert!(types.is_empty(), "{types:?}");
    }

    #[track_caller]
    pub(crate) fn expect_event(&mut self) -> ClientEvent {
        self.events.pop_front().expect("an event")
    }

    /// The next event about the connection, if there is one.
    pub(crate) fn next_state(&mut self) -> Option<ConnectionState> {
        while let Some(event) = self.events.pop_front() {
            if let ClientEvent::State(state) = event {
                return Some(state);
            }
        }
        None
    }
}

pub(crate) fn view(frame: &[u8]) -> wire::ClientFrame<'_> {
    frame::client_frame(frame).expect("a client sends valid frames")
}

pub(crate) fn body_type(frame: &[u8]) -> ClientBody {
    view(frame).body_type()
}
