//! Compares what clients saw with what storage holds, promise by promise. It shares no code with the owners: who may see
//! what, what is missing and what is double it works out by itself from the sequences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use protocol::ids::{ConversationId, DeviceGeneration, DeviceId, Ordinal, Seq, UserId, UserSeq};
use protocol::time::Instant;

use crate::ledger::{DeviceIndex, Ledger, Stream};
use crate::promise::{Broken, Promise};
use crate::script::{DEVICES, TRANSIENTS};
use crate::sighting::{Content, Name, Place, StreamEvent};
use crate::store::Store;
use crate::stored::{self, Stored};

/// How long after the answer to a revoke something may still reach the device.
const CUT_MAX: Duration = Duration::from_secs(5);

/// What the checker looks at when everything has come to rest.
pub struct Evidence<'a> {
    /// Who uses a client, and gets and reads what comes.
    pub people: &'a [UserId],
    /// What clients saw.
    pub ledger: &'a Ledger,
    /// What storage holds.
    pub stored: &'a Stored,
    /// Where each device says that it is.
    pub cursors: &'a BTreeMap<DeviceIndex, UserSeq>,
    /// What users have opened, by what their devices will not forget.
    pub kept_reads: &'a BTreeMap<(UserId, ConversationId), Seq>,
    /// What each user got who asked for the whole history of a conversation.
    pub histories: &'a BTreeMap<(UserId, ConversationId), Vec<(Seq, Content)>>,
}

/// At the moment a client is told that something is durable.
pub fn check_ack(store: &mut dyn Store, name: Name, place: Place) -> Result<(), Broken> {
    let content = stored::content_at(store, place.0, place.1);
    if content.as_ref().and_then(Content::name) == Some(name) {
        return Ok(());
    }
    Err(Broken::new(Promise::P1, format!("{name:?} is acknowledged at {place:?}, where storage holds {content:?}")))
}

/// At the moment a client is given an event of its stream.
pub fn check_event(store: &mut dyn Store, user: UserId, user_seq: UserSeq, event: &StreamEvent) -> Result<(), Broken> {
    let stored = stored::event_at(store, user, user_seq);
    if stored.as_ref().is_some_and(|stored| stored.agrees_with(event)) {
        return Ok(());
    }
    let what = format!("user {user} is given {event:?} at user_seq {user_seq}, where storage holds {stored:?}");
    Err(Broken::new(Promise::P3, what))
}

/// At the moment a client is told of an entry of a channel.
pub fn check_published(store: &mut dyn Store, place: Place, content: &Content) -> Result<(), Broken> {
    let stored = stored::content_at(store, place.0, place.1);
    if stored.as_ref().is_some_and(|stored| stored.agrees_with(content)) {
        return Ok(());
    }
    Err(Broken::new(Promise::P1, format!("{content:?} is published at {place:?}, where storage holds {stored:?}")))
}

/// At the moment a gateway hands something to the socket of a device: one that was revoked is served nothing.
pub fn check_delivery(ledger: &Ledger, device: (DeviceId, DeviceGeneration), at: Instant) -> Result<(), Broken> {
    match ledger.revoked.get(&device) {
        Some(revoked_at) if at.since(*revoked_at) > CUT_MAX => {
            let ((id, generation), late) = (device, at.since(*revoked_at));
            let what = format!("device {id} of generation {generation} is served {late:?} after its revoke");
            Err(Broken::new(Promise::P7, what))
        }
        _ => Ok(()),
    }
}

/// At the moment a device is welcomed: none whose Hello was sent when it was revoked already.
pub fn check_welcome(ledger: &Ledger, device: (DeviceId, DeviceGeneration), hello_at: Instant) -> Result<(), Broken> {
    match ledger.revoked.get(&device) {
        Some(revoked_at) if hello_at > *revoked_at => {
            let (id, generation) = device;
            let what = format!("device {id} comes back under generation {generation}, which is revoked");
            Err(Broken::new(Promise::P7, what))
        }
        _ => Ok(()),
    }
}

impl Evidence<'_> {
    /// When everything is at rest: the first promise found broken. What is lost, and who is let in where it does not
    /// belong, breaks others too, so these come first.
    pub fn check_rest(&self) -> Result<(), Broken> {
        self.check_acked()?;
        self.check_strangers()?;
        self.check_doubles()?;
        self.check_sequences()?;
        self.check_streams()?;
        self.check_everybody_has_everything()?;
        self.check_followers()?;
        self.check_ticks(Tick::Delivered)?;
        self.check_ticks(Tick::Read(self.kept_reads))
    }

    /// Whoever follows the channel was told of every message in it.
    fn check_followers(&self) -> Result<(), Broken> {
        let Some(channel) = self.ledger.channel else { return Ok(()) };
        let is_message = |(seq, content): &(Seq, &Content)| {
            matches!(content, Content::Message { .. }) && !self.ledger.may_be_void((channel, *seq))
        };
        let messages: Vec<(Seq, &Content)> = self.stored.all(channel).filter(is_message).collect();
        let nothing = BTreeMap::new();
        for client in 0..DEVICES.len() + TRANSIENTS.len() {
            let told = self.ledger.published.get(&client).unwrap_or(&nothing);
            let missing =
                messages.iter().find(|(seq, content)| !told.get(seq).is_some_and(|it| it.agrees_with(content)));
            if let Some((seq, content)) = missing {
                let what = format!("client {client} was not told of {content:?} at {seq} of the channel it follows");
                return Err(Broken::new(Promise::P4, what));
            }
        }
        Ok(())
    }

    /// After everybody has opened everything once more and asked for every history: all of it.
    pub fn check(&self) -> Result<(), Broken> {
        self.check_rest()?;
        self.check_ticks(Tick::Read(&self.ledger.read))?;
        self.check_histories()
    }

    fn check_strangers(&self) -> Result<(), Broken> {
        for (user, (conversation, seq)) in &self.ledger.sightings {
            let is_membership = matches!(self.stored.content(*conversation, *seq), Some(Content::Membership { .. }));
            if self.ledger.channel == Some(*conversation) && !is_membership {
                continue;
            }
            let stints = self.stored.stints(*conversation, *user);
            if !stints.iter().any(|stint| stint.contains(seq)) {
                let what = format!("user {user} saw {conversation}/{seq} and was in that conversation for {stints:?}");
                return Err(Broken::new(Promise::P6, what));
            }
        }
        let ticks = self.ledger.streams.values().flat_map(|stream| {
            let heights = [Tick::Delivered, Tick::Read(&BTreeMap::new())].map(|tick| heights(&stream.events, tick));
            heights.into_iter().flat_map(BTreeMap::into_keys).map(|(conversation, _)| (stream.user, conversation))
        });
        for (user, conversation) in self.ledger.glimpses.iter().copied().chain(ticks) {
            if self.ledger.channel != Some(conversation) && self.stored.stints(conversation, user).is_empty() {
                let what = format!("user {user} noticed {conversation} and was never in it");
                return Err(Broken::new(Promise::P6, what));
            }
        }
        Ok(())
    }

    /// Whether both can have been shown of a place, one after the other.
    fn agree(&self, place: Place, one: &Content, other: &Content) -> bool {
        let has_void = [one, other].contains(&&Content::Void);
        one.agrees_with(other) || (has_void && self.ledger.may_be_void(place))
    }

    fn check_doubles(&self) -> Result<(), Broken> {
        let in_storage = self.stored.conversations.iter().flat_map(|(conversation, sequence)| {
            sequence.iter().map(|(seq, (_, content))| ((*conversation, *seq), content))
        });
        check_names_are_unique("storage", in_storage)?;
        for stream in self.ledger.streams.values() {
            let entries = stream.events.iter().filter_map(|event| match event {
                StreamEvent::Entry(place, content) => Some((*place, content)),
                _ => None,
            });
            check_names_are_unique(&format!("the stream of device {}", stream.device), entries)?;
        }
        Ok(())
    }

    /// At any time when the store has just been read: what is acknowledged is there, and what was erased is not.
    pub fn check_acked(&self) -> Result<(), Broken> {
        for (place @ (conversation, seq), _) in self.ledger.erasures.iter().filter(|(_, is_done)| **is_done) {
            let content = self.stored.content(*conversation, *seq);
            if content.is_some_and(|content| *content != Content::Void) {
                return Err(Broken::new(Promise::P1, format!("{place:?} was erased, and storage holds {content:?}")));
            }
        }
        for (name, (conversation, seq)) in &self.ledger.acked {
            let content = self.stored.content(*conversation, *seq);
            let is_kept = match (content, self.ledger.sent.get(name)) {
                (Some(Content::Void), _) if self.ledger.may_be_void((*conversation, *seq)) => true,
                (Some(Content::Message { name: stored, body }), Some((_, sent))) => {
                    stored == name && body.as_ref() == Some(sent)
                }
                (Some(other), None) => other.name() == Some(*name),
                _ => false,
            };
            if !is_kept {
                let what =
                    format!("{name:?} was acknowledged at {conversation}/{seq}, where storage holds {content:?}");
                return Err(Broken::new(Promise::P1, what));
            }
        }
        Ok(())
    }

    fn check_sequences(&self) -> Result<(), Broken> {
        for (conversation, sequence) in &self.stored.conversations {
            let mut last_ordinal = Ordinal(0);
            for ((seq, (ordinal, content)), expected) in sequence.iter().zip(1..) {
                if seq.0 != expected {
                    return Err(Broken::new(Promise::P3, format!("{conversation} has nothing at {expected}")));
                }
                if *content == Content::Void {
                    continue;
                }
                let rises = u64::from(matches!(content, Content::Message { .. }));
                if ordinal.0 < last_ordinal.0 + rises {
                    let what = format!("{conversation}/{seq} has ordinal {ordinal} after {last_ordinal}");
                    return Err(Broken::new(Promise::P3, what));
                }
                last_ordinal = *ordinal;
            }
        }
        for ((conversation, seq), seen) in &self.ledger.seen {
            let stored = self.stored.content(*conversation, *seq);
            if !stored.is_some_and(|stored| self.agree((*conversation, *seq), stored, seen)) {
                let what = format!("{conversation}/{seq} was seen as {seen:?}, and storage holds {stored:?}");
                return Err(Broken::new(Promise::P3, what));
            }
        }
        Ok(())
    }

    fn check_streams(&self) -> Result<(), Broken> {
        for (index, cursor) in self.cursors {
            let Some(stream) = self.ledger.streams.get(index) else { continue };
            if *cursor > stream.end() {
                let what =
                    format!("device {} is at {cursor} and was given nothing after {}", stream.device, stream.end());
                return Err(Broken::new(Promise::P5, what));
            }
            let log = self.stored.logs.get(&stream.user).map_or(&[][..], Vec::as_slice);
            for (user_seq, event) in stream.places() {
                let stored = log.get(user_seq.0 as usize - 1);
                let is_one = |stored: &StreamEvent| match (stored, event) {
                    (StreamEvent::Entry(place, one), StreamEvent::Entry(other_place, other)) => {
                        place == other_place && self.agree(*place, one, other)
                    }
                    _ => stored.agrees_with(event),
                };
                if !stored.is_some_and(is_one) {
                    let device = stream.device;
                    let what = format!("device {device} was given {event:?} at {user_seq}, storage holds {stored:?}");
                    return Err(Broken::new(Promise::P5, what));
                }
            }
            self.check_order(stream)?;
        }
        Ok(())
    }

    /// What a device sees for the first time of a conversation is always later than all it has seen of it, and only what it
    /// sees again is called a repeat. That a message is erased comes whenever it comes.
    fn check_order(&self, stream: &Stream) -> Result<(), Broken> {
        let mut seen: BTreeMap<ConversationId, Vec<Seq>> = BTreeMap::new();
        for (user_seq, event) in stream.places() {
            let StreamEvent::Entry((conversation, seq), content) = event else { continue };
            if *content == Content::Void && self.ledger.may_be_void((*conversation, *seq)) {
                continue;
            }
            let seqs = seen.entry(*conversation).or_default();
            let is_repeat = seqs.binary_search(seq).is_ok();
            let device = stream.device;
            if !is_repeat && seqs.last().is_some_and(|last| last > seq) {
                let what = format!("device {device} got {conversation}/{seq} at {user_seq}, after later ones");
                return Err(Broken::new(Promise::P3, what));
            }
            if is_repeat != stream.repeats.contains(&user_seq) {
                let what =
                    format!("device {device} got {conversation}/{seq} at {user_seq} and took it for the other kind");
                return Err(Broken::new(Promise::P3, what));
            }
            if !is_repeat {
                seqs.push(*seq);
            }
        }
        Ok(())
    }

    fn check_everybody_has_everything(&self) -> Result<(), Broken> {
        for (user, log) in &self.stored.logs {
            let logged: BTreeSet<Place> = log.iter().filter_map(StreamEvent::place).collect();
            for conversation in self.stored.conversations.keys() {
                for (seq, _) in self.stored.visible(*conversation, *user) {
                    if !logged.contains(&(*conversation, seq)) {
                        let what = format!("{conversation}/{seq} is not in the log of user {user}, a member");
                        return Err(Broken::new(Promise::P4, what));
                    }
                }
            }
            let mut devices = self.ledger.streams.values().filter(|stream| stream.user == *user);
            if let Some(stream) = devices.find(|stream| stream.end().0 != log.len() as u64) {
                let what = format!("device {} was given up to {} of {}", stream.device, stream.end(), log.len());
                return Err(Broken::new(Promise::P4, what));
            }
        }
        Ok(())
    }

    /// Whoever is in a conversation together with a sender has told it how far they are in what it sent.
    fn check_ticks(&self, tick: Tick<'_>) -> Result<(), Broken> {
        for (sender, log) in &self.stored.logs {
            let told = heights(log, tick);
            for (conversation, sequence) in &self.stored.conversations {
                let Some(sender_since) = self.stored.member_since(*conversation, *sender) else { continue };
                for reader in self.people.iter().filter(|reader| *reader != sender) {
                    let Some(reader_since) = self.stored.member_since(*conversation, *reader) else { continue };
                    let key = (*conversation, *reader);
                    let up_to = match tick {
                        Tick::Delivered => Seq(u64::MAX),
                        Tick::Read(reads) => reads.get(&(*reader, *conversation)).copied().unwrap_or_default(),
                    };
                    let in_common = sequence.range(sender_since.max(reader_since)..);
                    let sent = in_common.filter(|(_, (_, content))| is_message_of(content, *sender));
                    let due = sent.map(|(seq, _)| seq).filter(|seq| **seq <= up_to).max();
                    if due > told.get(&key) {
                        let told = told.get(&key);
                        let what = format!(
                            "user {sender} sent {conversation}/{due:?}, and is told that user {reader} has {tick} {told:?}"
                        );
                        return Err(Broken::new(Promise::P4, what));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_histories(&self) -> Result<(), Broken> {
        for user in self.people {
            for conversation in self.stored.conversations.keys() {
                let history = self.histories.get(&(*user, *conversation)).map_or(&[][..], Vec::as_slice);
                if !history.is_sorted_by(|(one, _), (other, _)| one < other) {
                    let what = format!("the history of {conversation} for user {user} is out of order");
                    return Err(Broken::new(Promise::P3, what));
                }
                let is_done = |seq: &Seq| self.ledger.erasures.get(&(*conversation, *seq)) == Some(&true);
                if let Some((seq, content)) =
                    history.iter().find(|(seq, content)| *content != Content::Void && is_done(seq))
                {
                    let what = format!("{conversation}/{seq} was erased, and user {user} is shown {content:?}");
                    return Err(Broken::new(Promise::P1, what));
                }
                let shown: BTreeMap<Seq, &Content> = history.iter().map(|(seq, content)| (*seq, content)).collect();
                for (seq, content) in self.stored.visible(*conversation, *user) {
                    if !shown.get(&seq).is_some_and(|shown| shown.agrees_with(content)) {
                        let what = format!("{conversation}/{seq} is not in the history that user {user} got");
                        return Err(Broken::new(Promise::P4, what));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a sender learns of its messages.
#[derive(Clone, Copy)]
enum Tick<'a> {
    Delivered,
    /// How far everybody has read.
    Read(&'a BTreeMap<(UserId, ConversationId), Seq>),
}

impl fmt::Display for Tick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tick::Delivered => "received",
            Tick::Read(_) => "read",
        })
    }
}

/// How far the others are in each conversation, by what a user was told.
fn heights(events: &[StreamEvent], tick: Tick<'_>) -> BTreeMap<(ConversationId, UserId), Seq> {
    let mut heights = BTreeMap::new();
    for event in events {
        let receipt = match (event, tick) {
            (StreamEvent::Delivered(receipt), Tick::Delivered) | (StreamEvent::Read(receipt), Tick::Read(_)) => receipt,
            _ => continue,
        };
        let height = heights.entry((receipt.conversation, receipt.by)).or_default();
        *height = receipt.up_to.max(*height);
    }
    heights
}

fn is_message_of(content: &Content, user: UserId) -> bool {
    matches!(content, Content::Message { name, .. } if name.sender == user)
}

fn check_names_are_unique<'a>(whose: &str, entries: impl Iterator<Item = (Place, &'a Content)>) -> Result<(), Broken> {
    let mut places: BTreeMap<(ConversationId, Name), Place> = BTreeMap::new();
    for (place, content) in entries {
        let Some(name) = content.name() else { continue };
        let first = *places.entry((place.0, name)).or_insert(place);
        if first != place {
            let what = format!("{name:?} is at {first:?} and at {place:?} in {whose}");
            return Err(Broken::new(Promise::P2, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
