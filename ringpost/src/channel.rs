//! `channel`: makes channels, and prints what is said in one as long as it is wanted.

use client::{Client, Event, Events, HistoryRange, Identity, Told};
use protocol::ids::{ConversationId, Seq};

use crate::access::Access;
use crate::command_line::{ChannelVerb, FollowArguments};
use crate::group;
use crate::mistake::{Exit, Mistake};
use crate::printer::Printer;
use crate::signal::interrupt_or_terminate;
use crate::visit::{self, Reach};

pub(crate) fn run(verb: &ChannelVerb) -> Result<(), Mistake> {
    match verb {
        ChannelVerb::Create(arguments) => {
            group::create(arguments, async |client, title, members| client.create_channel(title, members).await)
        }
        ChannelVerb::Follow(arguments) => follow(arguments),
    }
}

fn follow(arguments: &FollowArguments) -> Result<(), Mistake> {
    let access = Access::of(&arguments.access)?;
    visit::runtime()?.block_on(async {
        let (client, events) = visit::connect(&access, Identity::Transient)?;
        let result = tokio::select! {
            result = print_published(&access, arguments, &client, events) => result,
            () = interrupt_or_terminate() => Ok(()),
        };
        client.close().await;
        result
    })
}

/// Until as many were printed as are wanted, or for ever.
async fn print_published(
    access: &Access,
    arguments: &FollowArguments,
    client: &Client,
    mut events: Events,
) -> Result<(), Mistake> {
    let (mut printer, mut reach) = (Printer::new(arguments.json), Reach::default());
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut begun = std::pin::pin!(begin(client, arguments.channel, arguments.after.map(Seq)));
    let mut has_begun = false;
    while left > 0 {
        tokio::select! {
            result = &mut begun, if !has_begun => (has_begun, ()) = (true, result?),
            told = events.next() => match told {
                Some(Told { event: Event::State(state), .. }) => reach.check(access, state)?,
                Some(Told { event: Event::Published(message), ticket }) => {
                    printer.print_message(client, &message).await?;
                    client.applied(ticket);
                    left -= 1;
                }
                Some(told) => client.applied(told.ticket),
                None => return Err(Mistake::new(Exit::Software, "the client has ended by itself")),
            },
        }
    }
    Ok(())
}

async fn begin(client: &Client, channel: ConversationId, after: Option<Seq>) -> Result<(), Mistake> {
    let after = match after {
        Some(after) => after,
        None => visit::answer(client.history(channel, HistoryRange::Newest, 1)).await?.head,
    };
    visit::answer(client.follow(&[(channel, after)])).await
}
