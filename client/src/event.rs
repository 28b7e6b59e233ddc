//! What an application is told: the session's events without those that only the session needs.

use protocol::client::{Acked, ConnectionState, Draft, EventNumber, Me, Reason, Snapshot};
use protocol::event::{Event as LogEvent, MemberChanged, Message, Receipt};
use protocol::ids::{ClientMsgId, ConversationId, MessageId, Seq, UserId};

use crate::trouble::Trouble;

/// An event, and the ticket with which the application says that it is done with it.
#[derive(Debug)]
pub struct Told {
    /// What happened.
    pub event: Event,
    /// For [`crate::Client::applied`].
    pub ticket: Ticket,
}

/// Names one event. An event whose ticket was never handed in is told again after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub(crate) EventNumber);

/// See each variant.
#[derive(Clone, Debug)]
pub enum Event {
    /// The connection has changed. An application that does not listen misses some, but never `Closed`.
    State(State),
    /// A message is in the outbox on disk. Told again for what is still there when a client starts.
    Queued {
        /// Its name in every later event.
        client_msg_id: ClientMsgId,
        /// The message.
        draft: Draft,
        /// Its name until now: see [`protocol::client::ClientEvent::Queued`].
        replaces: Option<ClientMsgId>,
    },
    /// A message of this device is durable and has its place.
    Acked(Acked),
    /// Somebody else has said something.
    Message(Message),
    /// One has said something oneself, on another device.
    OwnMessage(Message),
    /// Somebody has said something in a channel that is followed. It is not told again after a restart: whoever follows
    /// names where to begin.
    Published(Message),
    /// A device of somebody has everything up to here.
    Delivered(Receipt),
    /// Somebody has opened everything up to here.
    Read(Receipt),
    /// Somebody has begun or stopped to type. Droppable.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        by: UserId,
        /// Begun or stopped.
        active: bool,
    },
    /// A message of this device will not be sent.
    Failed {
        /// Of the message.
        client_msg_id: ClientMsgId,
        /// Why.
        reason: Reason,
    },
    /// Members came, went, or got another role.
    MemberChanged(MemberChanged),
    /// One has read up to here, on this device or another one.
    ReadByMe {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        up_to: Seq,
    },
    /// A message that was told of is erased for everybody: whoever keeps it is asked to let go of it.
    Erased(MessageId),
    /// There is a hole in what was told: what is missing is in the histories. The first event of a new device.
    Snapshot(Snapshot),
}

/// How the connection is.
#[derive(Clone, Debug)]
pub enum State {
    /// It is being made.
    Connecting,
    /// The server serves this client, as whom it says.
    Online(Me),
    /// There is none for now; another attempt follows.
    Offline(Trouble),
    /// There will be none any more. `None`: because the application wished so.
    Closed(Option<Trouble>),
}

impl State {
    /// `trouble`: what the shell knows of a loss for which the server gave no reason.
    pub(crate) fn new(state: ConnectionState, trouble: Option<Trouble>) -> State {
        let of = |reason: Option<Reason>| reason.map(Trouble::Server).or(trouble);
        match state {
            ConnectionState::Connecting => State::Connecting,
            ConnectionState::Online(me) => State::Online(me),
            ConnectionState::Offline(reason) => State::Offline(of(reason).unwrap_or(Trouble::Lost)),
            ConnectionState::Closed(reason) => State::Closed(reason.map(Trouble::Server)),
        }
    }
}

/// What an application is told of an event of the log; `None`: nothing. `is_repeat`: its entry has come before.
pub(crate) fn of_log(event: LogEvent, is_repeat: bool, me: UserId) -> Option<Event> {
    Some(match event {
        LogEvent::Void(Some((conversation, seq))) if is_repeat => Event::Erased(MessageId { conversation, seq }),
        _ if is_repeat => return None,
        LogEvent::MessageNew(message) => {
            let message = Message::from(&message);
            if message.sender == me { Event::OwnMessage(message) } else { Event::Message(message) }
        }
        LogEvent::Delivered(receipt) => Event::Delivered(receipt),
        LogEvent::Read(receipt) => Event::Read(receipt),
        LogEvent::SyncRead { conversation, up_to } => Event::ReadByMe { conversation, up_to },
        LogEvent::MemberChanged(change) => Event::MemberChanged(change),
        LogEvent::Echo { .. } | LogEvent::Void(_) | LogEvent::Unknown(_) => return None,
    })
}

/// `None`: of no interest to an application.
pub(crate) fn of_channel(event: &LogEvent) -> Option<Event> {
    match event {
        LogEvent::MessageNew(message) => Some(Event::Published(Message::from(message))),
        LogEvent::Void(Some((conversation, seq))) => {
            Some(Event::Erased(MessageId { conversation: *conversation, seq: *seq }))
        }
        // Who writes in it hears of that through the log.
        _ => None,
    }
}
