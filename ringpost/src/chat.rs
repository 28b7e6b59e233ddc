//! `chat`: one conversation, live, as a device of its user: for scripts line by line, for people on a terminal.

mod feed;
mod json;
mod line_editor;
mod screen;
mod terminal;
mod transcript;
mod typing;

use std::io::IsTerminal;
use std::path::PathBuf;

use client::{Client, Event, Events, Identity, State, StateDir, Told};

use crate::access::Access;
use crate::command_line::ChatArguments;
use crate::local_time::LocalTime;
use crate::mistake::{Exit, Mistake};
use crate::room::{Room, RoomName};
use crate::visit;

pub(crate) fn run(arguments: &ChatArguments) -> Result<(), Mistake> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !arguments.json && !is_terminal {
        let text = "standard input and output are not a terminal: --json talks line by line";
        return Err(Mistake::new(Exit::Usage, text));
    }
    let local_time = LocalTime::here();
    let access = Access::of(&arguments.access)?;
    let state_dir = StateDir::open(&state_path(arguments, &access)?)?;
    let identity = Identity::Device { state_dir, name: access.device_name() };
    let name = RoomName::from(&arguments.room);
    visit::runtime()?.block_on(async {
        let (client, events) = visit::connect(&access, identity)?;
        let result = if arguments.json {
            json::run(&access, &name, client.clone(), events).await
        } else {
            terminal::run(&access, &name, client.clone(), events, local_time).await
        };
        client.close().await;
        result
    })
}

fn state_path(arguments: &ChatArguments, access: &Access) -> Result<PathBuf, Mistake> {
    match (&arguments.state_dir, access.name()) {
        (Some(path), _) => Ok(path.clone()),
        (None, Some(name)) => Ok(access.data_dir().client_state(name)),
        (None, None) => {
            let text =
                "a chat is a device, which keeps its id and its outbox somewhere: name a folder with --state-dir";
            Err(Mistake::new(Exit::Usage, text))
        }
    }
}

/// The conversation by its name: from what lies beside the server, or else by asking, which takes a connection. What
/// happens meanwhile is shown as far as it is about the connection, and kept.
async fn find_room(
    access: &Access,
    name: &RoomName,
    client: &Client,
    events: &mut Events,
    mut show: impl FnMut(&State) -> Result<(), Mistake>,
) -> Result<(Room, Vec<Told>), Mistake> {
    if let Some(room) = name.find_beside(access) {
        return Ok((room?, Vec::new()));
    }
    let mut kept = Vec::new();
    let mut finding = std::pin::pin!(name.find(client));
    loop {
        tokio::select! {
            biased;
            room = &mut finding => return Ok((room?, kept)),
            told = events.next() => match told {
                Some(Told { event: Event::State(state), .. }) => {
                    show(&state)?;
                    if let State::Closed(Some(trouble)) = &state {
                        return Err(Mistake::from(trouble));
                    }
                }
                Some(told) => kept.push(told),
                None => return Err(Mistake::new(Exit::Software, "the client has ended by itself")),
            },
        }
    }
}
