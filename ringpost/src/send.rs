//! `send`: messages, and the certainty that they are durable.
//!
//! Exit code 0 only when every message was acked. What was not is named, with how to repeat it: under its own id it is
//! there once in the end, however often it is repeated.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use client::{Acked, Client, CommandError, Draft, Event, Events, Identity, RequestError, StateDir, Told};
use protocol::ids::ClientMsgId;
use protocol::limits::BODY_SIZE_MAX;
use tokio::io::Stdin;
use tokio::time::{Instant, sleep_until};

use crate::access::Access;
use crate::binary::{self, quoted};
use crate::command_line::SendArguments;
use crate::entry::AckedLine;
use crate::lines::Lines;
use crate::mistake::{Exit, Mistake};
use crate::output::{print_json, print_line};
use crate::room::{Room, RoomName};
use crate::visit::{self, Reach};

pub(crate) fn run(arguments: &SendArguments) -> Result<(), Mistake> {
    let input = input_of(arguments)?;
    let access = Access::of(&arguments.access)?;
    let identity = match &arguments.state_dir {
        Some(path) => Identity::Device { state_dir: StateDir::open(path)?, name: "send".to_owned() },
        None => Identity::Transient,
    };
    visit::runtime()?.block_on(async {
        let (client, events) = visit::connect(&access, identity)?;
        let mut sender = Sender::new(&access, arguments, client.clone(), events);
        let result = sender.run(input).await;
        client.close().await;
        result
    })
}

/// Where the messages come from.
enum Input {
    Text(String),
    Lines(Lines<Stdin>),
    /// Everything was taken, or is not to be taken any more.
    Done,
}

fn input_of(arguments: &SendArguments) -> Result<Input, Mistake> {
    let [text] = &arguments.text[..] else {
        let whole = quoted(&arguments.text.join(" "));
        let count = arguments.text.len();
        return Err(Mistake::new(Exit::Usage, format!("one TEXT is a message, not {count}: quote it, as in {whole}")));
    };
    match text.as_str() {
        "-" if arguments.client_msg_id.is_some() => {
            Err(Mistake::new(Exit::Usage, "--client-msg-id names one message: give its TEXT instead of `-`"))
        }
        "-" => Ok(Input::Lines(Lines::of_standard_input())),
        text if text.len() > BODY_SIZE_MAX => {
            let size = text.len();
            Err(Mistake::new(Exit::Data, format!("a message has at most {BODY_SIZE_MAX} bytes, and this one {size}")))
        }
        text => Ok(Input::Text(text.to_owned())),
    }
}

impl Input {
    /// The next message; never after the last.
    async fn next(&mut self) -> Result<Option<String>, Mistake> {
        match self {
            Input::Text(text) => {
                let text = std::mem::take(text);
                *self = Input::Done;
                Ok(Some(text))
            }
            Input::Lines(lines) => {
                let line = lines.next().await;
                if !matches!(line, Ok(Some(_))) {
                    *self = Input::Done;
                }
                line
            }
            Input::Done => pending().await,
        }
    }
}

struct Sender<'a> {
    access: &'a Access,
    arguments: &'a SendArguments,
    client: Client,
    events: Events,
    reach: Reach,
    /// Oldest first; what the outbox of a device still had is among them.
    awaited: VecDeque<(ClientMsgId, String)>,
    /// The first thing that went wrong.
    mistake: Option<Mistake>,
}

impl<'a> Sender<'a> {
    fn new(access: &'a Access, arguments: &'a SendArguments, client: Client, events: Events) -> Sender<'a> {
        Sender { access, arguments, client, events, reach: Reach::default(), awaited: VecDeque::new(), mistake: None }
    }

    async fn run(&mut self, mut input: Input) -> Result<(), Mistake> {
        let room = self.find_room().await?;
        let patience = Duration::from_secs(self.arguments.timeout);
        let mut deadline = Instant::now() + patience;
        loop {
            let is_done = matches!(input, Input::Done);
            let has_room = visit::has_room(&self.client);
            let is_awaiting = is_done || !self.awaited.is_empty();
            tokio::select! {
                told = self.events.next() => {
                    if self.hear(told).await? {
                        deadline = Instant::now() + patience;
                    }
                }
                line = input.next(), if has_room => match line {
                    Ok(Some(text)) => {
                        if self.awaited.is_empty() {
                            deadline = Instant::now() + patience;
                        }
                        self.send(&room, text).await?;
                    }
                    Ok(None) => {}
                    Err(mistake) => self.note(mistake),
                },
                () = self.client.outbox_empty(), if is_done && self.awaited.is_empty() => {
                    return self.mistake.take().map_or(Ok(()), Err);
                }
                () = sleep_until(deadline), if is_awaiting => return Err(self.give_up()),
            }
        }
    }

    /// Nothing can be sent before it is known where to.
    async fn find_room(&mut self) -> Result<Room, Mistake> {
        let name = RoomName::from(&self.arguments.room);
        if let Some(room) = name.find_beside(self.access) {
            return room;
        }
        let client = self.client.clone();
        let mut finding = std::pin::pin!(name.find(&client));
        loop {
            tokio::select! {
                biased;
                room = &mut finding => return room,
                told = self.events.next() => drop(self.hear(told).await?),
            }
        }
    }

    async fn send(&mut self, room: &Room, text: String) -> Result<(), Mistake> {
        let draft =
            Draft { client_msg_id: self.arguments.client_msg_id, ..Draft::text(room.conversation, room.peer, &text) };
        match self.client.send(draft).await {
            Ok(id) => self.awaited.push_back((id, text)),
            // The outbox has it from the time before, and sends it.
            Err(RequestError::Command(CommandError::ClientIdInvalid))
                if self.arguments.client_msg_id.is_some_and(ClientMsgId::is_uuid_v7) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether something was acked or refused.
    async fn hear(&mut self, told: Option<Told>) -> Result<bool, Mistake> {
        let Some(Told { event, ticket }) = told else {
            return Err(Mistake::new(Exit::Software, "the client has ended by itself"));
        };
        let mut is_progress = false;
        match event {
            Event::State(state) => self.reach.check(self.access, state)?,
            Event::Queued { client_msg_id, replaces: Some(former), .. } => {
                let renamed = self.awaited.iter_mut().find(|(id, _)| *id == former);
                renamed.into_iter().for_each(|(id, _)| *id = client_msg_id);
            }
            Event::Acked(acked) => {
                self.awaited.retain(|(id, _)| *id != acked.client_msg_id);
                self.print(&acked)?;
                is_progress = true;
            }
            Event::Failed { client_msg_id, reason } => {
                self.awaited.retain(|(id, _)| *id != client_msg_id);
                self.note(Mistake::from(&reason).about(&format!("{client_msg_id} was refused")));
                is_progress = true;
            }
            _ => {}
        }
        self.client.applied(ticket);
        Ok(is_progress)
    }

    fn print(&self, acked: &Acked) -> Result<(), Mistake> {
        let line = AckedLine::from(acked);
        if self.arguments.json {
            return print_json(&line);
        }
        print_line(format!("✓ {}  {} ({})", line.client_msg_id, line.message_id, line.durability).as_bytes())
    }

    /// The first one counts; the others are told as they come.
    fn note(&mut self, mistake: Mistake) {
        if let Some(earlier) = self.mistake.replace(mistake) {
            earlier.tell();
        }
    }

    fn give_up(&self) -> Mistake {
        let seconds = self.arguments.timeout;
        if self.arguments.state_dir.is_some() {
            let ids: Vec<String> = self.awaited.iter().map(|(id, _)| id.to_string()).collect();
            let text = format!(
                "no ack within {seconds} s for {}: kept in the outbox, and sent when --state-dir is used again",
                ids.join(", ")
            );
            return Mistake::new(Exit::TryAgain, text);
        }
        let mut unacked: Vec<String> = self.awaited.iter().map(|(id, text)| self.repeat(*id, text)).collect();
        let last =
            unacked.pop().unwrap_or_else(|| format!("the server did not let us in within {seconds} s: try again"));
        unacked.into_iter().for_each(|text| Mistake::new(Exit::TryAgain, text).tell());
        Mistake::new(Exit::TryAgain, last)
    }

    fn repeat(&self, id: ClientMsgId, text: &str) -> String {
        let (seconds, binary) = (self.arguments.timeout, binary::path());
        let room = RoomName::from(&self.arguments.room).flag();
        let (access, text) = (self.arguments.access.words(), quoted(text));
        format!(
            "no ack within {seconds} s for {id}; repeat it with `{binary} send{access} {room} --client-msg-id {id} {text}`"
        )
    }
}
