//! What clients were told and what they saw, written down as it happened. It knows nothing of servers or storage.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{ConversationId, DeviceGeneration, DeviceId, Seq, UserId, UserSeq};
use protocol::time::Instant;

use crate::promise::{Broken, Promise};
use crate::sighting::{Body, Content, Name, Place, StreamEvent};

/// How many streams there can be: one for each device, by its number in the simulation.
pub type DeviceIndex = usize;

/// What one device was given in order of user_seq.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Whose.
    pub user: UserId,
    /// Which device; 0 until it is registered.
    pub device: DeviceId,
    /// The stream begins after this.
    pub base: UserSeq,
    /// From `base + 1` on.
    pub events: Vec<StreamEvent>,
    /// Places whose event was said to be known already.
    pub repeats: BTreeSet<UserSeq>,
}

impl Stream {
    /// The last place it was given.
    pub fn end(&self) -> UserSeq {
        UserSeq(self.base.0 + self.events.len() as u64)
    }

    /// With their places.
    pub fn places(&self) -> impl Iterator<Item = (UserSeq, &StreamEvent)> {
        (self.base.0 + 1..).map(UserSeq).zip(&self.events)
    }
}

/// Everything that clients know.
#[derive(Default)]
pub struct Ledger {
    /// The one group, once it is made.
    pub group: Option<ConversationId>,
    /// The one channel, once it is made.
    pub channel: Option<ConversationId>,
    /// What each app was told of the channel that it follows.
    pub published: BTreeMap<usize, BTreeMap<Seq, Content>>,
    /// What was asked to be sent: where, and the body.
    pub sent: BTreeMap<Name, (ConversationId, Body)>,
    /// What was acknowledged, and where it was said to be.
    pub acked: BTreeMap<Name, Place>,
    /// What was at a place when it was seen first.
    pub seen: BTreeMap<Place, Content>,
    /// Who has seen what, on whichever way.
    pub sightings: BTreeSet<(UserId, Place)>,
    /// Who has noticed which conversations.
    pub glimpses: BTreeSet<(UserId, ConversationId)>,
    /// By device.
    pub streams: BTreeMap<DeviceIndex, Stream>,
    /// How far a user has read, by what its devices said.
    pub read: BTreeMap<(UserId, ConversationId), Seq>,
    /// Requests that were refused because the disk was almost full.
    pub refused_disk_low: u64,
    /// Every device as it was welcomed last.
    pub devices: BTreeMap<DeviceIndex, (DeviceId, DeviceGeneration)>,
    /// What was revoked, and when that was acknowledged, by true time.
    pub revoked: BTreeMap<(DeviceId, DeviceGeneration), Instant>,
    /// What an operator has ordered to be erased, and whether that was said to be done.
    pub erasures: BTreeMap<Place, bool>,
    /// What a user got who last asked for the whole history of a conversation.
    pub histories: BTreeMap<(UserId, ConversationId), Vec<(Seq, Content)>>,
}

impl Ledger {
    /// The app asks its client to send this.
    pub fn send(&mut self, name: Name, conversation: ConversationId, body: Body) {
        self.sent.insert(name, (conversation, body));
    }

    /// The client is told that it is durable and where.
    pub fn ack(&mut self, name: Name, place: Place) -> Result<(), Broken> {
        match self.acked.insert(name, place) {
            Some(earlier) if earlier != place => {
                let what = format!("{name:?} was acknowledged at {earlier:?} and then at {place:?}");
                Err(Broken::new(Promise::P2, what))
            }
            _ => Ok(()),
        }
    }

    /// Something was shown to a user: in a push, a page, or a history.
    pub fn see(&mut self, user: UserId, place: Place, content: &Content) -> Result<(), Broken> {
        self.sightings.insert((user, place));
        if *content == Content::Void && self.may_be_void(place) {
            return Ok(());
        }
        self.check_is_as_sent(place, content)?;
        let known = self.seen.entry(place).or_insert_with(|| content.clone());
        if !known.agrees_with(content) {
            return Err(Broken::new(Promise::P3, format!("{place:?} was {known:?} and then {content:?}")));
        }
        if let (Content::Message { body, .. }, Content::Message { body: Some(new), .. }) = (known, content) {
            body.get_or_insert(*new);
        }
        Ok(())
    }

    /// Somebody has ordered it: from then on a device may be shown the message or nothing, until it is done.
    pub fn may_be_void(&self, place: Place) -> bool {
        self.erasures.contains_key(&place)
    }

    /// What is shown of a message is what its sender wrote.
    fn check_is_as_sent(&self, place: Place, content: &Content) -> Result<(), Broken> {
        let Content::Message { name, body: Some(shown) } = content else { return Ok(()) };
        match self.sent.get(name) {
            Some((conversation, sent)) if sent != shown || *conversation != place.0 => {
                let what =
                    format!("{name:?} was sent to {conversation} as {sent:?} and is shown at {place:?} as {shown:?}");
                Err(Broken::new(Promise::P10, what))
            }
            _ => Ok(()),
        }
    }

    /// The device's stream goes on after this place, whatever was before.
    pub fn rebase(&mut self, index: DeviceIndex, base: UserSeq) {
        let stream = self.streams.entry(index).or_default();
        (stream.base, stream.events, stream.repeats) = (base, Vec::new(), BTreeSet::new());
    }

    /// The device takes an event of its stream. `is_repeat`: its app is told that it has this entry already.
    pub fn apply(
        &mut self,
        index: DeviceIndex,
        user_seq: UserSeq,
        event: StreamEvent,
        is_repeat: bool,
    ) -> Result<(), Broken> {
        let erased = event.place().filter(|place| self.may_be_void(*place));
        let stream = self.streams.entry(index).or_default();
        let at = || format!("device {} of user {} at user_seq {user_seq}", stream.device, stream.user);
        let Some(offset) = user_seq.0.checked_sub(stream.base.0 + 1) else {
            return Err(Broken::new(Promise::P3, format!("{} is given what came before its beginning", at())));
        };
        match stream.events.get(offset as usize) {
            Some(earlier) if !earlier.agrees_with(&event) && (erased.is_none() || earlier.place() != erased) => {
                Err(Broken::new(Promise::P3, format!("{} was given {earlier:?} and then {event:?}", at())))
            }
            Some(_) => Ok(()),
            None if offset as usize == stream.events.len() => {
                stream.events.push(event);
                if is_repeat {
                    stream.repeats.insert(user_seq);
                }
                Ok(())
            }
            None => Err(Broken::new(Promise::P5, format!("{} was given nothing since {}", at(), stream.end()))),
        }
    }

    /// An app that follows the channel is told of an entry: the next one, or one that was told before and is erased.
    pub fn publish(&mut self, client: usize, place: Place, content: Content) -> Result<(), Broken> {
        let is_erased = content == Content::Void && self.may_be_void(place);
        let told = self.published.entry(client).or_default();
        let last = told.keys().next_back().copied().unwrap_or_default();
        if place.1 <= last && !is_erased {
            let what = format!("client {client} is told of {place:?} of the channel after {last}");
            return Err(Broken::new(Promise::P3, what));
        }
        told.insert(place.1, content);
        Ok(())
    }

    /// The last entry of the channel that an app was told of.
    pub fn published_to(&self, client: usize) -> Seq {
        self.published.get(&client).and_then(|told| told.keys().next_back().copied()).unwrap_or_default()
    }

    /// Everywhere that anybody knows of.
    pub fn conversations(&self) -> impl Iterator<Item = ConversationId> + '_ {
        let sent = self.sent.values().map(|(conversation, _)| *conversation);
        let acked = self.acked.values().map(|(conversation, _)| *conversation);
        let seen = self.seen.keys().map(|(conversation, _)| *conversation);
        sent.chain(acked).chain(seen)
    }

    /// The user has opened a conversation up to here.
    pub fn mark_read(&mut self, user: UserId, place: Place) {
        let read = self.read.entry((user, place.0)).or_default();
        *read = (*read).max(place.1);
    }
}
