//! What was said, as lines of a screen of some width: in order of seq, each with its ticks, then what is not durable yet.

use std::collections::BTreeMap;

use client::{Acked, Draft};
use protocol::event::{MemberChanged, Message, Receipt};
use protocol::ids::{ClientMsgId, Seq, UserId};
use time::Date;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::entry::{MembershipLine, MessageLine, Names};
use crate::local_time::LocalTime;

/// Older ones are forgotten here, and fetched again when somebody scrolls back to them.
const ENTRIES_MAX: usize = 5_000;
/// Longer names are cut in their column.
const NAME_WIDTH_MAX: usize = 14;
/// Ticks and time in front of a name.
const FRONT_WIDTH: usize = 11;

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Faint,
    /// The name of somebody else.
    Name,
    /// One's own.
    OwnName,
    /// Read.
    Lit,
    Alarm,
}

/// A line of the screen.
pub(super) type StyledLine = Vec<(Style, String)>;

struct Entry {
    sender: String,
    is_mine: bool,
    /// Of who came and went.
    is_notice: bool,
    text: String,
    time_ms: u64,
}

struct Outgoing {
    id: ClientMsgId,
    text: String,
    /// Why it was refused.
    failure: Option<String>,
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Transcript {
    entries: BTreeMap<Seq, Entry>,
    outgoing: Vec<Outgoing>,
    delivered: BTreeMap<UserId, Seq>,
    read: BTreeMap<UserId, Seq>,
}

impl Transcript {
    pub(super) fn queued(&mut self, id: ClientMsgId, draft: &Draft, replaces: Option<ClientMsgId>) {
        match self.outgoing.iter_mut().find(|outgoing| outgoing.id == id || Some(outgoing.id) == replaces) {
            Some(known) => known.id = id,
            None => {
                let text = String::from_utf8_lossy(&draft.body).into_owned();
                self.outgoing.push(Outgoing { id, text, failure: None });
            }
        }
    }

    pub(super) fn acked(&mut self, acked: &Acked, own_name: &str) {
        let Some(index) = self.outgoing.iter().position(|outgoing| outgoing.id == acked.client_msg_id) else { return };
        let outgoing = self.outgoing.remove(index);
        let entry = Entry {
            sender: own_name.to_owned(),
            is_mine: true,
            is_notice: false,
            text: outgoing.text,
            time_ms: acked.server_time.0,
        };
        self.insert(acked.seq, entry);
    }

    pub(super) fn failed(&mut self, id: ClientMsgId, reason: &str) {
        if let Some(outgoing) = self.outgoing.iter_mut().find(|outgoing| outgoing.id == id) {
            outgoing.failure = Some(reason.to_owned());
        }
    }

    pub(super) fn message(&mut self, message: &Message, names: &Names, me: Option<UserId>) {
        let line = MessageLine::new(message, names);
        // Whoever speaks has read what was said before.
        if Some(message.sender) != me {
            raise(&mut self.read, message.sender, Seq(message.seq.0 - 1));
        }
        let entry = Entry {
            is_mine: Some(message.sender) == me,
            is_notice: false,
            text: line.shown_text(),
            sender: line.sender,
            time_ms: line.server_time_ms,
        };
        self.insert(message.seq, entry);
    }

    pub(super) fn member_changed(&mut self, change: &MemberChanged, names: &Names) {
        let line = MembershipLine::new(change, names);
        let (text, time_ms) = (line.shown_text(), line.server_time_ms);
        self.insert(change.seq, Entry { sender: String::new(), is_mine: false, is_notice: true, text, time_ms });
    }

    pub(super) fn delivered(&mut self, receipt: &Receipt) {
        raise(&mut self.delivered, receipt.by, receipt.up_to);
    }

    pub(super) fn read(&mut self, receipt: &Receipt) {
        raise(&mut self.read, receipt.by, receipt.up_to);
    }

    pub(super) fn erased(&mut self, seq: Seq) {
        if let Some(entry) = self.entries.get_mut(&seq) {
            "(erased)".clone_into(&mut entry.text);
        }
    }

    /// The first that is here.
    pub(super) fn first_seq(&self) -> Option<Seq> {
        self.entries.keys().next().copied()
    }

    /// Everything, top to bottom.
    pub(super) fn lines(&self, width: usize, local_time: LocalTime) -> Vec<StyledLine> {
        let names = self.entries.values().map(|entry| entry.sender.width());
        let name_width = names.max().unwrap_or_default().min(NAME_WIDTH_MAX);
        let mut lines = Vec::new();
        let mut date: Option<Date> = None;
        for (seq, entry) in &self.entries {
            let its_date = local_time.date(entry.time_ms);
            if date.replace(its_date) != Some(its_date) {
                lines.push(vec![(Style::Faint, format!("── {its_date} ──"))]);
            }
            let time = local_time.minute(entry.time_ms);
            if entry.is_notice {
                let front = vec![(Style::Faint, format!("    {time}  "))];
                put(&mut lines, width, front, FRONT_WIDTH, Style::Faint, &entry.text);
                continue;
            }
            let (tick_style, ticks) = if entry.is_mine { self.ticks(*seq) } else { (Style::Plain, "") };
            let name_style = if entry.is_mine { Style::OwnName } else { Style::Name };
            let front = vec![
                (tick_style, padded(ticks, 4)),
                (Style::Faint, format!("{time}  ")),
                (name_style, padded(&entry.sender, name_width + 2)),
            ];
            put(&mut lines, width, front, FRONT_WIDTH + name_width + 2, Style::Plain, &entry.text);
        }
        for outgoing in &self.outgoing {
            let (style, mark) = if outgoing.failure.is_some() { (Style::Alarm, "✗") } else { (Style::Faint, "·") };
            let indent = FRONT_WIDTH + name_width + 2;
            put(&mut lines, width, vec![(style, padded(mark, indent))], indent, Style::Faint, &outgoing.text);
            if let Some(failure) = &outgoing.failure {
                put(&mut lines, width, vec![(style, padded("", indent))], indent, Style::Alarm, failure);
            }
        }
        lines
    }

    /// ✓ durable, ✓✓ on a device of somebody, ✓✓✓ read by somebody.
    fn ticks(&self, seq: Seq) -> (Style, &'static str) {
        let has = |receipts: &BTreeMap<UserId, Seq>| receipts.values().any(|up_to| *up_to >= seq);
        if has(&self.read) {
            (Style::Lit, "✓✓✓")
        } else if has(&self.delivered) {
            (Style::Faint, "✓✓")
        } else {
            (Style::Faint, "✓")
        }
    }

    fn insert(&mut self, seq: Seq, entry: Entry) {
        self.entries.entry(seq).or_insert(entry);
        if self.entries.len() > ENTRIES_MAX {
            self.entries.pop_first();
        }
    }
}

fn raise(receipts: &mut BTreeMap<UserId, Seq>, by: UserId, up_to: Seq) {
    let known = receipts.entry(by).or_default();
    *known = (*known).max(up_to);
}

/// A text behind its front, wrapped at words; what follows is indented.
fn put(lines: &mut Vec<StyledLine>, width: usize, front: StyledLine, indent: usize, style: Style, text: &str) {
    let mut front = Some(front);
    let room = width.saturating_sub(indent).max(8);
    for paragraph in text.split('\n') {
        for part in wrapped(paragraph, room) {
            let mut line = front.take().unwrap_or_else(|| vec![(Style::Plain, padded("", indent))]);
            line.push((style, part));
            lines.push(line);
        }
    }
}

/// At least one part, none wider than `room` columns, without control characters.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut part, mut part_width) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        let word = crate::output::harmless(word);
        if part_width + word.trim_end().width() > room && part_width > 0 {
            parts.push(std::mem::take(&mut part));
            part_width = 0;
        }
        for c in word.chars() {
            let width = c.width().unwrap_or_default();
            if part_width + width > room {
                parts.push(std::mem::take(&mut part));
                part_width = 0;
            }
            part.push(c);
            part_width += width;
        }
    }
    parts.push(part);
    parts
}

/// Exactly so many columns: filled up, or cut.
fn padded(text: &str, columns: usize) -> String {
    let mut padded = String::new();
    let mut width = 0;
    for c in crate::output::harmless(text).chars() {
        let next = width + c.width().unwrap_or_default();
        if next > columns.saturating_sub(1) && columns > 0 {
            break;
        }
        padded.push(c);
        width = next;
    }
    padded.extend(std::iter::repeat_n(' ', columns.saturating_sub(width)));
    padded
}

#[cfg(test)]
mod tests {
    use protocol::ids::{ConversationId, DeviceId, Ordinal};
    use protocol::time::WallTime;
    use protocol::wire::{Durability, Encryption};

    use super::*;

    const HERE: ConversationId = ConversationId([1; 16]);
    const ME: UserId = UserId(1);

    fn id(number: u128) -> ClientMsgId {
        ClientMsgId::new(WallTime(1_764_000_000_000), number)
    }

    fn message(seq: u64, sender: UserId, text: &str) -> Message {
        Message {
            conversation: HERE,
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            direct_peer: None,
            sender,
            sender_device: DeviceId(1),
            client_msg_id: id(u128::from(seq)),
            server_time: WallTime(1_764_000_000_000),
            content_type: "text/plain".into(),
            encryption: Encryption::None,
            body: text.as_bytes().to_vec(),
            reply_to: None,
            mentions: Vec::new(),
            expires_in_s: 0,
        }
    }

    fn shown(transcript: &Transcript, width: usize) -> Vec<String> {
        let lines = transcript.lines(width, LocalTime::here());
        lines.iter().map(|line| line.iter().map(|(_, text)| text.as_str()).collect()).collect()
    }

    #[test]
    fn a_message_goes_from_queued_to_durable_to_delivered_to_read() {
        let mut transcript = Transcript::default();
        transcript.queued(id(9), &Draft::text(HERE, None, "hello"), None);
        assert!(shown(&transcript, 60)[0].starts_with('·'));
        let acked = Acked {
            client_msg_id: id(9),
            conversation: HERE,
            seq: Seq(4),
            server_time: WallTime(1_764_000_000_000),
            durability: Durability::Fsync,
        };
        transcript.acked(&acked, "alice");
        let ticks = |transcript: &Transcript| shown(transcript, 60)[1].chars().filter(|c| *c == '✓').count();
        assert_eq!(ticks(&transcript), 1);
        let receipt = Receipt { conversation: HERE, up_to: Seq(4), by: UserId(2) };
        transcript.delivered(&receipt);
        assert_eq!(ticks(&transcript), 2);
        transcript.read(&receipt);
        assert_eq!(ticks(&transcript), 3);
    }

    #[test]
    fn entries_stand_in_order_of_seq_however_they_came_and_once() {
        let mut names = Names::default();
        names.learn(UserId(2), "bob");
        let mut transcript = Transcript::default();
        for seq in [3, 1, 2, 3] {
            transcript.message(&message(seq, UserId(2), &format!("text {seq}")), &names, Some(ME));
        }
        let lines = shown(&transcript, 60);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!((1..=3).all(|seq| lines[seq].ends_with(&format!("bob  text {seq}"))), "{lines:?}");
    }

    #[test]
    fn long_and_wide_texts_are_wrapped_within_the_width() {
        assert_eq!(wrapped("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("日本語です", 4), ["日本", "語で", "す"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("a\u{1b}[31mb", 80), ["a [31mb"]);
    }
}
