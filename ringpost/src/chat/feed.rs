//! What happens in one conversation, in order, with names instead of numbers.
//!
//! A device hears of everything that concerns its user; what is about other conversations is called done unseen. Where
//! the stream has a hole, the first time and after a long absence, what was not read comes from the history first.
//! Invariant: each entry of the conversation is shown once, in order of seq.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use client::{
    Acked, Client, Draft, Event, Events, HistoryPage, HistoryRange, Reason, RequestError, Snapshot, State, Ticket,
    Told, User,
};
use protocol::event::{Event as LogEvent, MemberChanged, Message, Receipt};
use protocol::ids::{ClientMsgId, ConversationId, MessageId, Seq, UserId};
use protocol::limits::{HISTORY_LIMIT_MAX, USER_LOOKUP_MAX};

use crate::entry::{self, Names};
use crate::room::Room;

/// One thing to show. It is called done, with its ticket, when it is shown and flushed.
pub(super) struct Item {
    pub(super) news: News,
    pub(super) ticket: Option<Ticket>,
}

/// See each variant; names are in [`Feed::names`].
pub(super) enum News {
    State(State),
    Queued {
        client_msg_id: ClientMsgId,
        draft: Draft,
        replaces: Option<ClientMsgId>,
    },
    Acked(Acked),
    Failed {
        client_msg_id: ClientMsgId,
        reason: Reason,
    },
    /// Of somebody else, or of another device of one's own.
    Message(Message),
    MemberChanged(MemberChanged),
    Delivered(Receipt),
    Read(Receipt),
    Typing {
        by: UserId,
        active: bool,
    },
    /// It is not to be shown any more.
    Erased(MessageId),
    /// Everything that was missed has been shown.
    CaughtUp,
}

/// What is of the log, and waits for its turn.
enum Held {
    Told(Told),
    /// Of the history.
    Missed(LogEvent),
    /// The rest of what was missed, after one seq and up to another.
    Hole {
        after: Seq,
        head: Seq,
        ticket: Ticket,
    },
}

type Asking<T> = Pin<Box<dyn Future<Output = Result<T, RequestError>>>>;

/// What has to be known before the log goes on.
enum Waiting {
    Nothing,
    /// Who somebody is.
    Names(Vec<UserId>, Asking<Vec<User>>),
    Page {
        head: Seq,
        ticket: Ticket,
        page: Asking<HistoryPage>,
    },
}

pub(super) struct Feed {
    client: Client,
    events: Events,
    room: Room,
    names: Names,
    held: VecDeque<Held>,
    waiting: Waiting,
    ready: VecDeque<Item>,
    shown_up_to: Seq,
}

impl Feed {
    /// `told`: what was heard before the room was known.
    pub(super) fn new(client: Client, events: Events, room: Room, told: Vec<Told>) -> Feed {
        let mut feed = Feed {
            client,
            events,
            room,
            names: Names::default(),
            held: VecDeque::new(),
            waiting: Waiting::Nothing,
            ready: VecDeque::new(),
            shown_up_to: Seq(0),
        };
        told.into_iter().for_each(|told| feed.sort(told));
        feed
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether the next item is there already: what has been shown counts as read once the last of it is done with.
    pub(super) fn has_more_at_hand(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next thing; `None` after the client has closed. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Item> {
        loop {
            self.advance();
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            tokio::select! {
                answered = answer(&mut self.waiting) => self.learn(answered),
                told = self.events.next() => self.sort(told?),
            }
        }
    }

    /// What is of the log keeps its order; the rest does not wait for it.
    fn sort(&mut self, told: Told) {
        let Told { event, ticket } = told;
        let news = match event {
            Event::State(state) => {
                if let State::Online(me) = &state {
                    self.names.learn(me.user, &me.handle);
                }
                News::State(state)
            }
            Event::Queued { client_msg_id, draft, replaces } => News::Queued { client_msg_id, draft, replaces },
            Event::Acked(acked) => News::Acked(acked),
            Event::Failed { client_msg_id, reason } => News::Failed { client_msg_id, reason },
            event => return self.held.push_back(Held::Told(Told { event, ticket })),
        };
        self.ready.push_back(Item { news, ticket: Some(ticket) });
    }

    /// Takes from the held ones what can be shown.
    fn advance(&mut self) {
        while matches!(self.waiting, Waiting::Nothing) {
            let Some(held) = self.held.front() else { return };
            let unknown = self.names.unknown(held.users());
            if !unknown.is_empty() {
                return self.ask_names(unknown);
            }
            match self.held.pop_front() {
                Some(Held::Told(told)) => self.take(told),
                Some(Held::Missed(event)) => self.take_missed(event),
                Some(Held::Hole { after, head, ticket }) if after < head => self.ask_page(after, head, ticket),
                Some(Held::Hole { ticket, .. }) => {
                    self.ready.push_back(Item { news: News::CaughtUp, ticket: Some(ticket) });
                }
                None => return,
            }
        }
    }

    fn take(&mut self, Told { event, ticket }: Told) {
        let here = self.room.conversation;
        let news = match event {
            Event::Message(message) | Event::OwnMessage(message) if self.is_next(message.conversation, message.seq) => {
                News::Message(message)
            }
            Event::MemberChanged(change) if self.is_next(change.conversation, change.seq) => {
                News::MemberChanged(change)
            }
            Event::Delivered(receipt) if receipt.conversation == here => News::Delivered(receipt),
            Event::Read(receipt) if receipt.conversation == here => News::Read(receipt),
            Event::Typing { conversation, by, active } if conversation == here => News::Typing { by, active },
            Event::Erased(message) if message.conversation == here => News::Erased(message),
            Event::Snapshot(snapshot) => {
                let (read, head) = extent_of(&snapshot, here);
                return self.held.push_front(Held::Hole { after: read.max(self.shown_up_to), head, ticket });
            }
            _ => return self.client.applied(ticket),
        };
        self.ready.push_back(Item { news, ticket: Some(ticket) });
    }

    fn take_missed(&mut self, event: LogEvent) {
        let news = match event {
            LogEvent::MessageNew(message) => News::Message(Message::from(&message)),
            LogEvent::MemberChanged(change) => News::MemberChanged(change),
            _ => return,
        };
        self.ready.push_back(Item { news, ticket: None });
    }

    /// An entry of this conversation that has not been shown; now it is.
    fn is_next(&mut self, conversation: ConversationId, seq: Seq) -> bool {
        let is_next = conversation == self.room.conversation && seq > self.shown_up_to;
        if is_next {
            self.shown_up_to = seq;
        }
        is_next
    }

    fn ask_names(&mut self, mut ids: Vec<UserId>) {
        ids.truncate(USER_LOOKUP_MAX);
        let (client, asked) = (self.client.clone(), ids.clone());
        self.waiting = Waiting::Names(ids, Box::pin(async move { client.look_up(&[], &asked).await }));
    }

    fn ask_page(&mut self, after: Seq, head: Seq, ticket: Ticket) {
        let (client, conversation) = (self.client.clone(), self.room.conversation);
        let range = HistoryRange::After(after);
        let page = Box::pin(async move { client.history(conversation, range, HISTORY_LIMIT_MAX).await });
        self.waiting = Waiting::Page { head, ticket, page };
    }

    fn learn(&mut self, answer: Answer) {
        match (std::mem::replace(&mut self.waiting, Waiting::Nothing), answer) {
            (Waiting::Names(asked, _), Answer::Users(users)) => {
                // Who cannot be asked for is shown by number.
                self.names.learn_all(&asked, users.unwrap_or_default());
            }
            (Waiting::Page { head, ticket, .. }, Answer::Page(Ok(page))) => self.take_page(head, ticket, page),
            // Who may not look any more has nothing to be shown.
            (Waiting::Page { head, ticket, .. }, Answer::Page(Err(_))) => {
                self.held.push_front(Held::Hole { after: head, head, ticket });
            }
            _ => unreachable!("an answer is of the kind of its question"),
        }
    }

    /// The page goes first, then the rest of the hole, then what the stream has brought since. A page without an entry
    /// is the last one: what the snapshot has promised beyond it is on its way in the stream.
    fn take_page(&mut self, head: Seq, ticket: Ticket, page: HistoryPage) {
        let last = page.entries.iter().filter_map(LogEvent::entry_seq).max();
        self.shown_up_to = self.shown_up_to.max(last.unwrap_or_default());
        self.held.push_front(Held::Hole { after: last.unwrap_or(head), head, ticket });
        page.entries.into_iter().rev().for_each(|event| self.held.push_front(Held::Missed(event)));
    }
}

impl Held {
    /// Who has to have a name before it is shown.
    fn users(&self) -> Vec<UserId> {
        match self {
            Held::Hole { .. } => Vec::new(),
            Held::Missed(event) => entry::users_of(event),
            Held::Told(told) => match &told.event {
                Event::Message(message) => vec![message.sender],
                Event::MemberChanged(change) => change.users.iter().copied().chain([change.actor]).collect(),
                Event::Delivered(receipt) | Event::Read(receipt) => vec![receipt.by],
                Event::Typing { by, .. } => vec![*by],
                _ => Vec::new(),
            },
        }
    }
}

enum Answer {
    Users(Result<Vec<User>, RequestError>),
    Page(Result<HistoryPage, RequestError>),
}

async fn answer(waiting: &mut Waiting) -> Answer {
    match waiting {
        Waiting::Nothing => pending().await,
        Waiting::Names(_, asking) => Answer::Users(asking.await),
        Waiting::Page { page, .. } => Answer::Page(page.await),
    }
}

/// Read up to where, and said up to where.
fn extent_of(snapshot: &Snapshot, conversation: ConversationId) -> (Seq, Seq) {
    let summary = snapshot.conversations.iter().find(|summary| summary.conversation == conversation);
    summary.map_or((Seq(0), Seq(0)), |summary| (summary.read, summary.head))
}
