//! The conversation for a person on a terminal: what is said, with ticks that rise, who types, how the connection is.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use client::{Client, Draft, Events, HistoryPage, HistoryRange, RequestError, State, User};
use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use protocol::event::{Event as LogEvent, Message};
use protocol::ids::{ConversationId, Seq, UserId};
use protocol::limits::USER_LOOKUP_MAX;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::feed::{Feed, Item, News};
use super::find_room;
use super::line_editor::{LineEditor, Stroke};
use super::screen::{Frame, Screen};
use super::transcript::{Style, Transcript};
use super::typing::{OthersTyping, OwnTyping};
use crate::access::Access;
use crate::binary;
use crate::entry::{self, Names};
use crate::local_time::LocalTime;
use crate::mistake::{Exit, Mistake};
use crate::output;
use crate::room::{Room, RoomName};
use crate::signal;
use crate::visit;

/// Entries of a page of the past.
const PAGE_ENTRIES: u16 = 100;
/// Between two frames, at most 50 a second.
const FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// Keys that wait to be looked at.
const KEYS_MAX: usize = 256;
const HINTS: &str = "Enter sends · Alt+Enter breaks the line · PgUp/PgDn scroll · Ctrl+D ends";

/// A page of the past, with the users in it and the title of a group.
struct PastPage {
    page: HistoryPage,
    users: Vec<User>,
    title: String,
}

type Past = Pin<Box<dyn Future<Output = Result<PastPage, RequestError>>>>;

struct View<'a> {
    access: &'a Access,
    title: String,
    client: Client,
    room: Room,
    screen: Screen,
    local_time: LocalTime,
    names: Names,
    me: Option<UserId>,
    own_name: String,
    transcript: Transcript,
    editor: LineEditor,
    own_typing: OwnTyping,
    others_typing: OthersTyping,
    state: String,
    state_style: Style,
    notice: String,
    /// Lines between the bottom of the screen and the end of the conversation.
    scrolled: usize,
    past: Option<Past>,
    has_more_past: bool,
    is_past_asked: bool,
    draw_at: Option<Instant>,
}

/// Until the person ends it, or the client is closed for good.
pub(super) async fn run(
    access: &Access,
    name: &RoomName,
    client: Client,
    mut events: Events,
    local_time: LocalTime,
) -> Result<(), Mistake> {
    let mut signal = std::pin::pin!(signal::interrupt_or_terminate());
    let finding = find_room(access, name, &client, &mut events, |state| {
        if let State::Offline(trouble) = state {
            Mistake::new(Exit::Unavailable, format!("{trouble}; trying again")).tell();
        }
        Ok(())
    });
    let (room, told) = tokio::select! {
        found = finding => found?,
        () = &mut signal => return Ok(()),
    };
    let mut feed = Feed::new(client.clone(), events, room.clone(), told);
    let mut keys = keys();
    let mut view = View::new(access, name, client.clone(), room, local_time)?;
    let result = loop {
        let next_at = view.next_at();
        tokio::select! {
            item = feed.next() => match item {
                Some(item) => if let Err(mistake) = view.show(feed.names(), item).await { break Err(mistake) },
                None => break Err(Mistake::new(Exit::Software, "the client has ended by itself")),
            },
            key = keys.recv() => match key {
                Some(event) => if view.take(event).await { break Ok(()) },
                None => break Err(Mistake::new(Exit::Io, "the terminal is gone")),
            },
            page = read_past(&mut view.past) => view.show_past(page),
            () = until(next_at) => view.timeout().await?,
            () = &mut signal => break Ok(()),
        }
    };
    let unsent_count = client.outbox_len();
    drop(view);
    if unsent_count > 0 {
        let text = format!("{unsent_count} not acked yet: kept in the outbox, and sent when you chat again");
        output::print_line(text.as_bytes())?;
    }
    result
}

/// A thread of its own, since a terminal is waited for and cannot be asked.
fn keys() -> mpsc::Receiver<TerminalEvent> {
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn read_past(past: &mut Option<Past>) -> Result<PastPage, RequestError> {
    match past {
        Some(asking) => {
            let page = asking.await;
            *past = None;
            page
        }
        None => pending().await,
    }
}

impl<'a> View<'a> {
    fn new(
        access: &'a Access,
        name: &RoomName,
        client: Client,
        room: Room,
        local_time: LocalTime,
    ) -> Result<View<'a>, Mistake> {
        let screen = Screen::take_over()
            .map_err(|error| Mistake::new(Exit::Io, format!("cannot use this terminal: {error}")))?;
        Ok(View {
            access,
            title: match name {
                RoomName::With(name) => name.clone(),
                RoomName::Group(group) => format!("group {group}"),
            },
            client,
            room,
            screen,
            local_time,
            names: Names::default(),
            me: None,
            own_name: access.name().unwrap_or("me").to_owned(),
            transcript: Transcript::default(),
            editor: LineEditor::default(),
            own_typing: OwnTyping::default(),
            others_typing: OthersTyping::default(),
            state: "connecting".to_owned(),
            state_style: Style::Faint,
            notice: String::new(),
            scrolled: 0,
            past: None,
            has_more_past: true,
            is_past_asked: false,
            draw_at: Some(Instant::now()),
        })
    }

    async fn show(&mut self, names: &Names, item: Item) -> Result<(), Mistake> {
        let Item { news, ticket } = item;
        match news {
            News::State(State::Closed(Some(trouble))) => return Err(Mistake::from(&trouble)),
            News::State(state) => self.show_state(state),
            News::Queued { client_msg_id, draft, replaces } if draft.conversation == self.room.conversation => {
                self.transcript.queued(client_msg_id, &draft, replaces);
            }
            News::Acked(acked) => self.transcript.acked(&acked, &self.own_name),
            News::Failed { client_msg_id, reason } => self.transcript.failed(client_msg_id, &reason.text),
            News::Message(message) => {
                self.transcript.message(&message, names, self.me);
                self.others_typing.said(message.sender);
                self.mark_read(message.conversation, message.seq).await?;
            }
            News::MemberChanged(change) => {
                self.transcript.member_changed(&change, names);
                self.mark_read(change.conversation, change.seq).await?;
            }
            News::Delivered(receipt) => self.transcript.delivered(&receipt),
            News::Read(receipt) => self.transcript.read(&receipt),
            News::Erased(message) => self.transcript.erased(message.seq),
            News::Typing { by, active } => {
                self.others_typing.hear(Instant::now(), by, &names.of(by), active);
            }
            News::Queued { .. } | News::CaughtUp => {}
        }
        self.draw_soon();
        // What is not on the screen yet is in the history, whatever happens to this process.
        ticket.into_iter().for_each(|ticket| self.client.applied(ticket));
        Ok(())
    }

    async fn mark_read(&self, conversation: ConversationId, seq: Seq) -> Result<(), Mistake> {
        self.client.mark_read(conversation, seq).await.map_err(Mistake::from)
    }

    fn show_state(&mut self, state: State) {
        (self.state, self.state_style) = match state {
            State::Connecting => ("connecting".to_owned(), Style::Faint),
            State::Online(me) => {
                (self.me, self.own_name) = (Some(me.user), me.handle.clone());
                self.names.learn(me.user, &me.handle);
                self.notice.clear();
                if !std::mem::replace(&mut self.is_past_asked, true) {
                    self.ask_past(HistoryRange::Newest);
                }
                ("● online".to_owned(), Style::OwnName)
            }
            State::Offline(trouble) => {
                let (server, binary) = (self.access.server(), binary::path());
                self.notice = format!("trying again; `{binary} dev` starts a server ({server}: {trouble})");
                ("○ offline".to_owned(), Style::Alarm)
            }
            State::Closed(_) => ("closed".to_owned(), Style::Alarm),
        };
    }

    fn ask_past(&mut self, range: HistoryRange) {
        let (client, conversation, known) = (self.client.clone(), self.room.conversation, self.names.clone());
        let is_group = self.room.peer.is_none();
        self.past = Some(Box::pin(async move {
            let page = client.history(conversation, range, PAGE_ENTRIES).await?;
            let mut unknown = known.unknown(page.entries.iter().flat_map(entry::users_of));
            unknown.truncate(USER_LOOKUP_MAX);
            let users = if unknown.is_empty() { Vec::new() } else { client.look_up(&[], &unknown).await? };
            let members = if is_group { client.members(conversation).await.ok() } else { None };
            let title = members.map(|members| members.title).unwrap_or_default();
            Ok(PastPage { page, users, title })
        }));
    }

    fn show_past(&mut self, page: Result<PastPage, RequestError>) {
        self.draw_soon();
        match page {
            Ok(PastPage { page, users, title }) => {
                if !title.is_empty() {
                    self.title = title;
                }
                self.names.learn_all(&[], users);
                let first = page.entries.iter().filter_map(LogEvent::entry_seq).min();
                self.has_more_past = first.is_some_and(|first| first > Seq(1));
                for event in &page.entries {
                    match event {
                        LogEvent::MessageNew(message) => {
                            self.transcript.message(&Message::from(message), &self.names, self.me);
                        }
                        LogEvent::MemberChanged(change) => self.transcript.member_changed(change, &self.names),
                        _ => {}
                    }
                }
            }
            Err(RequestError::Refused(reason)) if self.room.is_empty_because_of(&reason) => self.has_more_past = false,
            Err(error) => {
                self.has_more_past = false;
                self.notice = Mistake::from(&error).to_string();
            }
        }
    }

    /// True: the person has had enough.
    async fn take(&mut self, event: TerminalEvent) -> bool {
        self.draw_soon();
        match event {
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => return self.press(key).await,
            TerminalEvent::Paste(text) => {
                self.editor.insert(&text);
                self.typed().await;
            }
            _ => {}
        }
        false
    }

    async fn press(&mut self, key: KeyEvent) -> bool {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        let (_, rows) = self.screen.room();
        match key.code {
            KeyCode::Char('c') if is_control => return true,
            KeyCode::Char('d') if is_control && self.editor.text().is_empty() => return true,
            KeyCode::PageUp => self.scroll_back(rows.saturating_sub(1)),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_sub(rows.saturating_sub(1)),
            _ if key.code == KeyCode::Enter && !visit::has_room(&self.client) => {
                self.notice = "too much waits for the server: press Enter again later".to_owned();
            }
            _ => match self.editor.press(key) {
                Stroke::Edited => self.typed().await,
                Stroke::Sent(text) => self.send(text).await,
                Stroke::Moved | Stroke::Other => {}
            },
        }
        false
    }

    fn scroll_back(&mut self, lines: usize) {
        self.scrolled += lines;
        let (columns, rows) = self.screen.room();
        let total = self.transcript.lines(columns, self.local_time).len();
        let is_at_top = self.scrolled + rows >= total;
        self.scrolled = self.scrolled.min(total.saturating_sub(rows));
        if is_at_top && self.has_more_past && self.past.is_none() {
            self.ask_past(self.transcript.first_seq().map_or(HistoryRange::Newest, HistoryRange::Before));
        }
    }

    async fn typed(&mut self) {
        if self.editor.text().is_empty() {
            self.tell_stopped().await;
        } else if self.own_typing.key(Instant::now()) {
            // Whether it arrives makes no difference to anybody.
            let _ = self.client.typing(self.room.conversation, true).await;
        }
    }

    async fn tell_stopped(&mut self) {
        if self.own_typing.stop() {
            let _ = self.client.typing(self.room.conversation, false).await;
        }
    }

    async fn send(&mut self, text: String) {
        self.tell_stopped().await;
        self.scrolled = 0;
        if text.trim().is_empty() {
            return;
        }
        let draft = Draft::text(self.room.conversation, self.room.peer, &text);
        if let Err(error) = self.client.send(draft).await {
            self.notice = Mistake::from(&error).to_string();
        }
    }

    fn next_at(&self) -> Option<Instant> {
        [self.draw_at, self.own_typing.idle_at(), self.others_typing.next_at()].into_iter().flatten().min()
    }

    async fn timeout(&mut self) -> Result<(), Mistake> {
        let now = Instant::now();
        if self.own_typing.timeout(now) {
            let _ = self.client.typing(self.room.conversation, false).await;
        }
        if self.others_typing.next_at().is_some_and(|at| at <= now) {
            self.others_typing.timeout(now);
            self.draw_soon();
        }
        if self.draw_at.is_some_and(|at| at <= now) {
            self.draw_at = None;
            self.draw().map_err(|error| Mistake::new(Exit::Io, format!("cannot draw: {error}")))?;
        }
        Ok(())
    }

    fn draw_soon(&mut self) {
        self.draw_at.get_or_insert_with(|| Instant::now() + FRAME_INTERVAL);
    }

    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = self.screen.room();
        let lines = self.transcript.lines(columns, self.local_time);
        self.scrolled = self.scrolled.min(lines.len().saturating_sub(rows));
        let end = lines.len() - self.scrolled;
        let typing = self.others_typing.text();
        let (status, status_style) = match (self.notice.as_str(), typing.as_str()) {
            ("", "") => (HINTS, Style::Faint),
            ("", typing) => (typing, Style::Name),
            (notice, _) => (notice, Style::Alarm),
        };
        self.screen.draw(&Frame {
            title: &self.title,
            state: &self.state,
            state_style: self.state_style,
            lines: lines.get(end.saturating_sub(rows)..end).unwrap_or_default(),
            status,
            status_style,
            input: self.editor.text(),
            before_cursor: self.editor.before_cursor(),
        })
    }
}
