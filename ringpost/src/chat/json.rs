//! The conversation for scripts: a line in is a message, a line out is an event.
//!
//! An event is written and flushed before it is called done, so that a script which is killed is told again, and misses
//! nothing. A message counts as read when its event is written.

use std::future::pending;

use client::{Client, CommandError, Draft, Events, RequestError, State};
use protocol::event::Receipt;
use serde::Serialize;

use super::feed::{Feed, Item, News};
use super::find_room;
use crate::access::Access;
use crate::entry::{AckedLine, MessageLine, Names};
use crate::lines::Lines;
use crate::mistake::{Exit, Mistake};
use crate::output::print_json;
use crate::room::RoomName;
use crate::signal;
use crate::visit;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    State {
        state: &'static str,
        reason: Option<String>,
    },
    Queued {
        client_msg_id: String,
        conversation: String,
        text: String,
        /// Its id until now.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    Acked(AckedLine),
    Message(MessageLine),
    Delivered(ReceiptLine),
    Read(ReceiptLine),
    Typing {
        by: String,
        active: bool,
    },
    Erased {
        conversation: String,
        seq: u64,
    },
    Failed {
        client_msg_id: String,
        code: u16,
        message: String,
    },
}

#[derive(Serialize)]
struct ReceiptLine {
    conversation: String,
    up_to_seq: u64,
    by: String,
}

/// Until the end of the input, once all of it is acked; or until a signal, with what is left kept in the outbox.
pub(super) async fn run(access: &Access, name: &RoomName, client: Client, mut events: Events) -> Result<(), Mistake> {
    let mut signal = std::pin::pin!(signal::interrupt_or_terminate());
    let finding = find_room(access, name, &client, &mut events, |state| print_json(&state_line(state)));
    let (room, told) = tokio::select! {
        found = finding => found?,
        () = &mut signal => return Ok(()),
    };
    let mut feed = Feed::new(client.clone(), events, room.clone(), told);
    let mut lines = Lines::of_standard_input();
    let mut ending = None;
    loop {
        tokio::select! {
            item = feed.next() => {
                let Some(item) = item else {
                    return Err(Mistake::new(Exit::Software, "the client has ended by itself"));
                };
                show(&client, feed.names(), item).await?;
            }
            line = lines.next(), if ending.is_none() && visit::has_room(&client) => match line {
                Ok(Some(text)) => {
                    match client.send(Draft::text(room.conversation, room.peer, &text)).await {
                        // Its last event says why.
                        Err(RequestError::Command(CommandError::Closed)) => {}
                        sent => drop(sent?),
                    }
                }
                Ok(None) => ending = Some(Ok(())),
                Err(mistake) => ending = Some(Err(mistake)),
            },
            () = everything_answered(&client), if ending.is_some() && !feed.has_more_at_hand() => return ending.unwrap_or(Ok(())),
            () = &mut signal => return Ok(()),
        }
    }
}

/// Never where the client has closed before: its last event says why.
async fn everything_answered(client: &Client) {
    client.outbox_empty().await;
    if client.outbox_len() > 0 {
        pending().await
    }
}

async fn show(client: &Client, names: &Names, item: Item) -> Result<(), Mistake> {
    let Item { news, ticket } = item;
    if let Some(line) = line_of(client, names, &news).await {
        print_json(&line)?;
    }
    if let News::Message(message) = &news {
        client.mark_read(message.conversation, message.seq).await?;
    }
    ticket.into_iter().for_each(|ticket| client.applied(ticket));
    match news {
        News::State(State::Closed(Some(trouble))) => Err(Mistake::from(&trouble)),
        _ => Ok(()),
    }
}

async fn line_of(client: &Client, names: &Names, news: &News) -> Option<Line> {
    Some(match news {
        News::State(state) => state_line(state),
        News::Queued { client_msg_id, draft, replaces } => Line::Queued {
            client_msg_id: client_msg_id.to_string(),
            conversation: draft.conversation.to_string(),
            text: String::from_utf8_lossy(&draft.body).into_owned(),
            replaces: replaces.map(|id| id.to_string()),
        },
        News::Acked(acked) => Line::Acked(AckedLine::from(acked)),
        News::Message(message) if client.me().await.is_some_and(|me| me.user == message.sender) => return None,
        News::Message(message) => Line::Message(MessageLine::new(message, names)),
        News::Delivered(receipt) => Line::Delivered(receipt_line(receipt, names)),
        News::Read(receipt) => Line::Read(receipt_line(receipt, names)),
        News::Typing { by, active } => Line::Typing { by: names.of(*by), active: *active },
        News::Erased(message) => Line::Erased { conversation: message.conversation.to_string(), seq: message.seq.0 },
        News::Failed { client_msg_id, reason } => {
            Line::Failed { client_msg_id: client_msg_id.to_string(), code: reason.code, message: reason.text.clone() }
        }
        News::MemberChanged(_) | News::CaughtUp => return None,
    })
}

fn state_line(state: &State) -> Line {
    let (state, reason) = match state {
        State::Connecting => ("connecting", None),
        State::Online(_) => ("online", None),
        State::Offline(trouble) => ("offline", Some(trouble.to_string())),
        State::Closed(trouble) => ("closed", trouble.as_ref().map(ToString::to_string)),
    };
    Line::State { state, reason }
}

fn receipt_line(receipt: &Receipt, names: &Names) -> ReceiptLine {
    ReceiptLine { conversation: receipt.conversation.to_string(), up_to_seq: receipt.up_to.0, by: names.of(receipt.by) }
}
