//! The task behind a client: it does what the session says and tells it what has happened.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::Arc;

use protocol::client::{
    Action, Answer, ChangeNumber, ClientEvent, ClientSession, CommandError, ConnectionState, EventNumber, Me, RequestId,
};
use protocol::ids::{ClientMsgId, UserId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::command::{Command, Control, Granted, Reply, Wish};
use crate::connection::Connection;
use crate::event::{Event, State, Ticket, Told, of_channel, of_log};
use crate::link::{Dialer, Happening, Link};
use crate::state_dir::StateError;
use crate::trouble::{RequestError, Trouble};
use crate::writer::Writer;

/// Events that wait for an application that does not listen: from here on it misses what is only for the moment. What
/// has to be told is bounded by the session.
const BACKLOG_MAX: usize = 256;

/// What a client knows without asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) me: Option<Me>,
    pub(crate) outbox_len: usize,
}

/// The driver's ends of the channels.
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) controls: mpsc::UnboundedReceiver<Control>,
    pub(crate) events: mpsc::Sender<Told>,
    pub(crate) status: watch::Sender<Status>,
}

pub(crate) struct Driver {
    session: ClientSession,
    clock: Clock,
    dialer: Dialer,
    link: Link,
    /// Why the connection was lost, when the session did not give the reason.
    trouble: Option<Trouble>,
    writer: Writer,
    /// The last connection, when the session has closed.
    farewell: Option<Box<Connection>>,
    me: UserId,
    questions: BTreeMap<RequestId, Reply>,
    operations: BTreeMap<ClientMsgId, Reply>,
    /// There is no room for it yet.
    held: Option<Command>,
    backlog: VecDeque<Told>,
    is_asked_to_close: bool,
    /// Nobody can wish anything any more.
    is_orphan: bool,
    /// The state could not be written: nothing is done any more.
    has_failed: bool,
    channels: Channels,
}

impl Driver {
    pub(crate) fn new(session: ClientSession, dialer: Dialer, writer: Writer, channels: Channels) -> Driver {
        Driver {
            session,
            clock: Clock::default(),
            dialer,
            link: Link::None,
            trouble: None,
            writer,
            farewell: None,
            me: UserId(0),
            questions: BTreeMap::new(),
            operations: BTreeMap::new(),
            held: None,
            backlog: VecDeque::new(),
            is_asked_to_close: false,
            is_orphan: false,
            has_failed: false,
            channels,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.drain();
            if let Some(connection) = self.farewell.take() {
                connection.say_farewell().await;
            }
            if self.is_over() && (self.backlog.is_empty() || self.is_asked_to_close) {
                break;
            }
            self.wait().await;
        }
        // An application that reads on finds what there is room for.
        while let Some(told) = self.backlog.pop_front() {
            if self.channels.events.try_send(told).is_err() {
                break;
            }
        }
    }

    /// Until one thing has happened, which is taken in.
    async fn wait(&mut self) {
        let due_at = self.session.poll_timeout().filter(|_| !self.has_failed);
        let deadline = due_at.map(|at| self.clock.deadline(at));
        let has_room = self.held.is_none();
        let turn = tokio::select! {
            happening = self.link.next() => Turn::Happening(happening),
            written = self.writer.written() => Turn::Written(written),
            control = self.channels.controls.recv(), if !self.is_orphan => {
                self.is_orphan = control.is_none();
                Turn::Control(control.unwrap_or(Control::Close))
            }
            Some(command) = self.channels.commands.recv(), if has_room => Turn::Command(command),
            permit = self.channels.events.reserve(), if !self.backlog.is_empty() => {
                match permit {
                    Ok(permit) => permit.send(self.backlog.pop_front().expect("it is not empty")),
                    Err(_) => self.backlog.clear(),
                }
                return;
            }
            () = due(deadline) => Turn::Timeout,
        };
        match turn {
            Turn::Happening(happening) => self.take_happening(happening),
            Turn::Written(written) => self.take_written(written),
            Turn::Control(control) => self.take_control(control),
            Turn::Command(command) => self.take_command(command),
            Turn::Timeout => self.session.handle_timeout(self.clock.now()),
        }
    }

    fn is_over(&self) -> bool {
        self.session.is_closed() || self.has_failed
    }

    /// Does what the session wants until it wants nothing more.
    fn drain(&mut self) {
        while !self.has_failed {
            while let Some(action) = self.session.poll_action() {
                self.perform(action);
            }
            match self.held.take() {
                Some(command) => self.take_command(command),
                None => break,
            }
            if self.held.is_some() {
                break;
            }
        }
        self.writer.start();
        let outbox_len = self.session.outbox_len();
        self.channels
            .status
            .send_if_modified(|status| std::mem::replace(&mut status.outbox_len, outbox_len) != outbox_len);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect => self.link = self.dialer.dial(),
            Action::Transmit(frame) => {
                if let Link::Up(connection) = &mut self.link
                    && let Err(trouble) = connection.send(&frame)
                {
                    self.lose_connection(trouble);
                }
            }
            Action::Disconnect => match std::mem::replace(&mut self.link, Link::None) {
                Link::Up(connection) if self.session.is_closed() => self.farewell = Some(connection),
                Link::Up(connection) => connection.give_up(),
                Link::Dialing(_) | Link::None => {}
            },
            Action::Persist(number, change) => self.writer.push(number, change),
            Action::Event(number, event) => self.hear(number, event),
        }
    }

    fn take_happening(&mut self, happening: Happening) {
        match happening {
            Happening::Dialed(dialed) => self.link = self.dialer.secure(dialed),
            Happening::Moved => self.take_frames(None),
            Happening::Failed(trouble) => self.take_frames(Some(trouble)),
        }
    }

    /// `end`: nothing comes after them, for this reason.
    fn take_frames(&mut self, end: Option<Trouble>) {
        let now = self.clock.now();
        let mut end = end;
        if let Link::Up(connection) = &mut self.link {
            if let Some(access_token) = connection.take_access_token() {
                self.session.handle_connected(now, &access_token);
            }
            let session = &mut self.session;
            let mut invalid = None;
            let cut = connection.take_frames(now.monotonic, |frame| {
                invalid = session.handle_frame(now, frame).err().or(invalid);
            });
            self.trouble = invalid.map(Trouble::Frame).or(self.trouble.take());
            end = cut.err().or(end).or_else(|| connection.is_at_end().then_some(Trouble::Lost));
        }
        if let Some(trouble) = end {
            // What the frames had the session do comes first; it may have been to disconnect.
            self.drain();
            if !matches!(self.link, Link::None) {
                self.lose_connection(trouble);
            }
        }
    }

    fn lose_connection(&mut self, trouble: Trouble) {
        self.link = Link::None;
        self.trouble = Some(trouble);
        self.session.handle_disconnected(self.clock.now());
    }

    fn take_written(&mut self, written: Result<ChangeNumber, StateError>) {
        match written {
            Ok(up_to) => self.session.handle_persisted(self.clock.now(), up_to),
            Err(error) => self.fail(Trouble::State(Arc::new(error))),
        }
    }

    /// What is not on disk may not be told or acked, so nothing is.
    fn fail(&mut self, trouble: Trouble) {
        self.has_failed = true;
        self.link = Link::None;
        self.held = None;
        self.questions.clear();
        self.operations.clear();
        self.tell(EventNumber(0), Event::State(State::Closed(Some(trouble))));
    }

    fn take_control(&mut self, control: Control) {
        match control {
            Control::Applied(Ticket(number)) => self.session.handle_applied(self.clock.now(), number),
            Control::Close => {
                self.is_asked_to_close = true;
                self.session.close(self.clock.now());
            }
        }
    }

    fn take_command(&mut self, command: Command) {
        let Command { wish, reply } = command;
        if self.has_failed {
            return;
        }
        match self.fulfil(&wish) {
            Ok(Pending::Granted(granted)) => answer(reply, Ok(granted)),
            Ok(Pending::Question(request_id)) => drop(self.questions.insert(request_id, reply)),
            Ok(Pending::Operation(id)) => drop(self.operations.insert(id, reply)),
            Err(CommandError::OutboxFull | CommandError::RequestsFull) => self.held = Some(Command { wish, reply }),
            Err(error) => answer(reply, Err(error.into())),
        }
    }

    fn fulfil(&mut self, wish: &Wish) -> Result<Pending, CommandError> {
        let now = self.clock.now();
        let session = &mut self.session;
        match wish {
            Wish::Send(draft) => session.send_message(now, draft).map(|id| Pending::Granted(Granted::Queued(id))),
            Wish::CreateConversation { kind, title, members } => {
                session.conversation_create(now, *kind, title, members).map(Pending::Operation)
            }
            Wish::ChangeMembers(draft) => session.member_change(now, draft).map(Pending::Operation),
            Wish::MarkRead(conversation, up_to) => {
                session.mark_read(now, *conversation, *up_to).map(|()| Pending::Granted(Granted::Done))
            }
            Wish::Typing(conversation, active) => {
                session.typing(*conversation, *active);
                Ok(Pending::Granted(Granted::Done))
            }
            Wish::History { conversation, range, limit } => {
                session.history(now, *conversation, *range, *limit).map(Pending::Question)
            }
            Wish::Follow(channels) => session.follow(now, channels).map(Pending::Question),
            Wish::Members(conversation) => session.members(now, *conversation).map(Pending::Question),
            Wish::LookUp { handles, ids } => session.user_lookup(now, handles, ids).map(Pending::Question),
            Wish::Devices => session.devices(now).map(Pending::Question),
            Wish::RevokeDevice(device, generation) => {
                session.device_revoke(now, *device, *generation).map(Pending::Operation)
            }
        }
    }

    fn hear(&mut self, number: EventNumber, event: ClientEvent) {
        match event {
            ClientEvent::State(state) => self.hear_state(number, state),
            ClientEvent::Queued { client_msg_id, draft, replaces } => {
                self.tell(number, Event::Queued { client_msg_id, draft, replaces });
            }
            ClientEvent::Acked(acked) => self.tell(number, Event::Acked(acked)),
            ClientEvent::OpDone { client_op_id, place } => {
                self.answer_operation(client_op_id, Ok(Granted::Operated(place)));
                self.session.handle_applied(self.clock.now(), number);
            }
            ClientEvent::OpRenamed { from, to } => {
                let reply = self.operations.remove(&from);
                self.operations.extend(reply.map(|reply| (to, reply)));
            }
            ClientEvent::Failed { client_msg_id, reason } if self.operations.contains_key(&client_msg_id) => {
                self.answer_operation(client_msg_id, Err(RequestError::Refused(reason)));
                self.session.handle_applied(self.clock.now(), number);
            }
            ClientEvent::Failed { client_msg_id, reason } => self.tell(number, Event::Failed { client_msg_id, reason }),
            ClientEvent::Stream { event, is_repeat, .. } => match of_log(event, is_repeat, self.me) {
                Some(event) => self.tell(number, event),
                None => self.session.handle_applied(self.clock.now(), number),
            },
            ClientEvent::Channel { event, .. } => match of_channel(&event) {
                Some(event) => self.tell(number, event),
                None => self.session.handle_applied(self.clock.now(), number),
            },
            ClientEvent::Snapshot(snapshot) => self.tell(number, Event::Snapshot(snapshot)),
            ClientEvent::Typing { conversation, by, active } => {
                self.tell_for_the_moment(number, Event::Typing { conversation, by, active });
            }
            ClientEvent::Answer(request_id, given) => {
                if let Some(reply) = self.questions.remove(&request_id) {
                    answer(
                        reply,
                        match given {
                            Answer::Refused(reason) => Err(RequestError::Refused(reason)),
                            given => Ok(Granted::Answered(given)),
                        },
                    );
                }
            }
        }
    }

    fn hear_state(&mut self, number: EventNumber, state: ConnectionState) {
        if let ConnectionState::Online(me) = &state {
            self.me = me.user;
            let me = Some(me.clone());
            self.channels.status.send_if_modified(|status| std::mem::replace(&mut status.me, me.clone()) != me);
        }
        if let ConnectionState::Closed(_) = &state {
            self.questions.clear();
            self.operations.clear();
            return self.tell(number, Event::State(State::new(state, None)));
        }
        let state = State::new(state, self.trouble.take());
        self.tell_for_the_moment(number, Event::State(state));
    }

    fn answer_operation(&mut self, id: ClientMsgId, given: Result<Granted, RequestError>) {
        if let Some(reply) = self.operations.remove(&id) {
            answer(reply, given);
        }
    }

    fn tell(&mut self, number: EventNumber, event: Event) {
        self.backlog.push_back(Told { event, ticket: Ticket(number) });
    }

    fn tell_for_the_moment(&mut self, number: EventNumber, event: Event) {
        if self.backlog.len() < BACKLOG_MAX {
            self.tell(number, event);
        }
    }
}

/// One thing that has happened.
enum Turn {
    Happening(Happening),
    Written(Result<ChangeNumber, StateError>),
    Control(Control),
    Command(Command),
    Timeout,
}

/// Never, without a deadline.
async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// How far a wish is.
enum Pending {
    Granted(Granted),
    Question(RequestId),
    Operation(ClientMsgId),
}

/// Whoever asked may have gone.
fn answer(reply: Reply, given: Result<Granted, RequestError>) {
    drop(reply.send(given));
}
