//! A conversation as the server has it, read from its first entry to its last.

use std::time::Duration;

use anyhow::{Context, Result};
use client::{Client, HistoryRange, RequestError};
use protocol::codes::Code;
use protocol::event::{Event, Message};
use protocol::ids::{ConversationId, DeviceId, Seq};
use tokio::time::timeout;

use crate::cast::Cast;
use crate::fact::Content;
use crate::site::Site;

const PAGE_ENTRIES: u16 = 200;
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place as the entry says.
    pub seq: Seq,
    /// `None` for what is no message.
    pub message: Option<Said>,
}

/// A message, and on which device it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where it came from.
    pub device: DeviceId,
    /// What.
    pub content: Content,
}

/// All entries of a conversation, in the order in which they came.
#[derive(Clone, Debug)]
pub struct History {
    /// Which.
    pub conversation: ConversationId,
    /// All of them.
    pub entries: Vec<Entry>,
}

/// Reads all conversations of a cast.
pub fn read_all(site: &Site, cast: &Cast) -> Result<Vec<History>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut histories = Vec::new();
        for room in &cast.rooms {
            let reader = *room.members.first().context("a room with nobody in it")?;
            let (client, _events) = site.transient(reader)?;
            histories.push(read(&client, room.conversation).await?);
            client.close().await;
        }
        Ok(histories)
    })
}

async fn read(client: &Client, conversation: ConversationId) -> Result<History> {
    let mut entries = Vec::new();
    let mut after = Seq(0);
    loop {
        let asked = client.history(conversation, HistoryRange::After(after), PAGE_ENTRIES);
        let page = match timeout(PAGE_TIMEOUT, asked).await.with_context(|| format!("no history after {after}"))? {
            // A direct conversation begins with its first message.
            Err(RequestError::Refused(reason)) if reason.code == Code::ConversationUnknown.number() => {
                return Ok(History { conversation, entries });
            }
            page => page?,
        };
        entries.extend(page.entries.iter().filter_map(entry));
        match entries.last() {
            Some(last) if last.seq < page.head && last.seq > after => after = last.seq,
            _ => return Ok(History { conversation, entries }),
        }
    }
}

fn entry(event: &Event) -> Option<Entry> {
    Some(match event {
        Event::MessageNew(bytes) => {
            let message = Message::from(bytes);
            let checksum = crc32c::crc32c(&message.body);
            let content = Content { client_msg_id: message.client_msg_id, checksum };
            Entry { seq: message.seq, message: Some(Said { device: message.sender_device, content }) }
        }
        Event::MemberChanged(change) => Entry { seq: change.seq, message: None },
        Event::Void(place) => Entry { seq: place.map(|(_, seq)| seq)?, message: None },
        _ => return None,
    })
}
