//! Entries of a conversation on standard output, for people or as JSON, with the names of who is in them.

use client::Client;
use protocol::event::{Event, Message};
use protocol::ids::UserId;

use crate::entry::{self, EntryLine, MessageLine, Names};
use crate::local_time::LocalTime;
use crate::mistake::Mistake;
use crate::output::{harmless, print_json, print_line};
use crate::visit;

/// See the file's head.
pub(crate) struct Printer {
    as_json: bool,
    names: Names,
    local_time: LocalTime,
}

impl Printer {
    pub(crate) fn new(as_json: bool) -> Printer {
        Printer { as_json, names: Names::default(), local_time: LocalTime::here() }
    }

    /// Entries of a history.
    pub(crate) async fn print(&mut self, client: &Client, events: &[&Event]) -> Result<(), Mistake> {
        self.learn(client, events.iter().flat_map(|event| entry::users_of(event))).await?;
        let lines = events.iter().filter_map(|event| EntryLine::new(event, &self.names));
        lines.collect::<Vec<_>>().iter().try_for_each(|line| self.print_line(line))
    }

    /// What has just been said.
    pub(crate) async fn print_message(&mut self, client: &Client, message: &Message) -> Result<(), Mistake> {
        self.learn(client, [message.sender]).await?;
        self.print_line(&EntryLine::Message(MessageLine::new(message, &self.names)))
    }

    async fn learn(&mut self, client: &Client, users: impl IntoIterator<Item = UserId>) -> Result<(), Mistake> {
        let unknown = self.names.unknown(users);
        self.names.learn_all(&unknown, visit::users_by_id(client, &unknown).await?);
        Ok(())
    }

    fn print_line(&self, line: &EntryLine) -> Result<(), Mistake> {
        if self.as_json { print_json(line) } else { print_line(self.for_a_person(line).as_bytes()) }
    }

    fn for_a_person(&self, line: &EntryLine) -> String {
        match line {
            EntryLine::Message(line) => {
                let time = self.local_time.date_and_minute(line.server_time_ms);
                harmless(&format!("{:>6}  {time}  {}: {}", line.seq, line.sender, line.shown_text()))
            }
            EntryLine::Membership(line) => {
                let time = self.local_time.date_and_minute(line.server_time_ms);
                harmless(&format!("{:>6}  {time}  * {}", line.seq, line.shown_text()))
            }
            EntryLine::Void(line) => format!("{:>6}  (holds nothing)", line.seq),
        }
    }
}
