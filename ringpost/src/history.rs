//! `history`: what was said in a conversation, page by page, however long it is.

use std::collections::VecDeque;

use client::{Client, HistoryPage, HistoryRange, RequestError};
use protocol::event::Event;
use protocol::ids::Seq;
use protocol::limits::HISTORY_LIMIT_MAX;

use crate::access::Access;
use crate::command_line::HistoryArguments;
use crate::mistake::Mistake;
use crate::printer::Printer;
use crate::room::{Room, RoomName};
use crate::visit;

/// What of it is wanted.
struct Wanted {
    count_max: usize,
    after: Seq,
    all_kinds: bool,
}

impl Wanted {
    fn is_wanted(&self, event: &Event) -> bool {
        matches!(event, Event::MessageNew(_))
            || self.all_kinds && matches!(event, Event::MemberChanged(_) | Event::Void(Some(_)))
    }
}

pub(crate) fn run(arguments: &HistoryArguments) -> Result<(), Mistake> {
    let access = Access::of(&arguments.access)?;
    let name = RoomName::from(&arguments.room);
    let wanted = Wanted {
        count_max: arguments.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        after: Seq(arguments.after.unwrap_or(0)),
        all_kinds: arguments.all,
    };
    let mut printer = Printer::new(arguments.json);
    visit::ask(&access, async |client| {
        let room = name.find(client).await?;
        let newest_only = arguments.limit.is_some() && arguments.after.is_none();
        if newest_only {
            return print_newest(client, &room, &wanted, &mut printer).await;
        }
        print_from(client, &room, &wanted, &mut printer).await
    })
}

async fn print_from(client: &Client, room: &Room, wanted: &Wanted, printer: &mut Printer) -> Result<(), Mistake> {
    let (mut after, mut printed_count) = (wanted.after, 0);
    while printed_count < wanted.count_max {
        let Some(page) = page(client, room, HistoryRange::After(after)).await? else { break };
        let shown: Vec<&Event> = page.entries.iter().filter(|event| wanted.is_wanted(event)).collect();
        let shown = shown.get(..shown.len().min(wanted.count_max - printed_count)).unwrap_or_default();
        printer.print(client, shown).await?;
        printed_count += shown.len();
        match page.entries.iter().filter_map(Event::entry_seq).max() {
            Some(last) if last < page.head => after = last,
            _ => break,
        }
    }
    Ok(())
}

/// Read backwards, so they are held until the first of them is known.
async fn print_newest(client: &Client, room: &Room, wanted: &Wanted, printer: &mut Printer) -> Result<(), Mistake> {
    let mut newest: VecDeque<Event> = VecDeque::new();
    let mut range = HistoryRange::Newest;
    while newest.len() < wanted.count_max {
        let Some(page) = page(client, room, range).await? else { break };
        let first = page.entries.iter().filter_map(Event::entry_seq).min();
        let shown = page.entries.into_iter().filter(|event| wanted.is_wanted(event)).rev();
        for event in shown.take(wanted.count_max - newest.len()) {
            newest.push_front(event);
        }
        match first {
            Some(first) if first > Seq(1) => range = HistoryRange::Before(first),
            _ => break,
        }
    }
    let newest: Vec<&Event> = newest.iter().collect();
    printer.print(client, &newest).await
}

/// `None`: nothing was ever said between two users.
async fn page(client: &Client, room: &Room, range: HistoryRange) -> Result<Option<HistoryPage>, Mistake> {
    visit::answer(async {
        match client.history(room.conversation, range, HISTORY_LIMIT_MAX).await {
            Err(RequestError::Refused(reason)) if room.is_empty_because_of(&reason) => Ok(None),
            answered => answered.map(Some),
        }
    })
    .await
}
