//! What the index holds of one conversation.

use std::collections::BTreeMap;

use protocol::ids::{ConversationId, Epoch, Ordinal, Seq, UserId};
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{ConversationRow, Entry, EntryBody, MEMBER_SPANS_MAX, MemberRow, ReceiptRow, Span};
use storage_log::{Place, SegmentNumber};

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) epoch: Epoch,
    pub(crate) ordinal: Ordinal,
}

/// A seq that was never written: a record has a length.
const HOLE: Slot =
    Slot { place: Place { segment: SegmentNumber(0), offset: 0, length: 0 }, epoch: Epoch(0), ordinal: Ordinal(0) };

const _: () = assert!(size_of::<Slot>() == 32, "the index pays this for every entry");

pub(crate) struct Conversation {
    /// Of seq 1 and on.
    slots: Vec<Slot>,
    kind: ConversationKind,
    title: String,
    members: BTreeMap<UserId, MemberRow>,
    read: BTreeMap<UserId, Seq>,
}

impl Default for Conversation {
    fn default() -> Self {
        Conversation {
            slots: Vec::new(),
            kind: ConversationKind::Direct,
            title: String::new(),
            members: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }
}

impl Conversation {
    pub(crate) fn apply(&mut self, place: Place, entry: &Entry) {
        let index = index_of(entry.key.seq);
        if index >= self.slots.len() {
            self.slots.resize(index + 1, HOLE);
        }
        let slot = &mut self.slots[index];
        if slot.place.length > 0 && slot.epoch > entry.epoch {
            return;
        }
        *slot = Slot { place, epoch: entry.epoch, ordinal: entry.ordinal };
        self.follow(entry);
    }

    pub(crate) fn read_up_to(&mut self, user: UserId, seq: Seq) {
        let read = self.read.entry(user).or_default();
        *read = (*read).max(seq);
    }

    pub(crate) fn slot(&self, seq: Seq) -> Option<Slot> {
        let slot = self.slots.get(usize::try_from(seq.0.checked_sub(1)?).ok()?)?;
        (slot.place.length > 0).then_some(*slot)
    }

    /// In order of seq; those that are there.
    pub(crate) fn slots(&self, from: Seq, to: Seq) -> impl DoubleEndedIterator<Item = (Seq, Slot)> + '_ {
        let to = index_of(to.max(Seq(1))).min(self.slots.len().saturating_sub(1));
        let from = index_of(from.max(Seq(1)));
        let range = self.slots.get(from..=to).unwrap_or_default();
        let numbered = range.iter().enumerate().map(move |(offset, slot)| (Seq((from + offset) as u64 + 1), *slot));
        numbered.filter(|(_, slot)| slot.place.length > 0)
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.slots.len() as u64)
    }

    pub(crate) fn kind(&self) -> ConversationKind {
        self.kind
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Of a direct conversation.
    pub(crate) fn peer_of(&self, user: UserId) -> Option<UserId> {
        let is_direct = self.kind == ConversationKind::Direct;
        self.members.keys().copied().find(|member| *member != user).filter(|_| is_direct)
    }

    /// Every member's log holds everything that is for it up to here. `held`: what a member's log holds of this
    /// conversation.
    pub(crate) fn fanned(&self, held: impl Fn(UserId) -> Seq) -> Seq {
        let head = self.head();
        let lacking = self.members.values().filter_map(|member| {
            let held = held(member.user);
            let last = member.spans.last().and_then(|span| span.left).unwrap_or(head);
            (held < last).then_some(held)
        });
        lacking.min().unwrap_or(head)
    }

    pub(crate) fn row(&self, fanned: Seq) -> Option<ConversationRow> {
        let last = self.slots.last()?;
        Some(ConversationRow {
            kind: self.kind,
            title: self.title.clone(),
            head: self.head(),
            head_ordinal: last.ordinal,
            head_epoch: last.epoch,
            members: self.members.values().cloned().collect(),
            receipts: self.read.iter().map(|(user, read)| ReceiptRow { user: *user, read: *read }).collect(),
            fanned,
        })
    }

    /// What follows from an entry for those who are in it.
    fn follow(&mut self, entry: &Entry) {
        let seq = entry.key.seq;
        match &entry.body {
            EntryBody::Void => {}
            EntryBody::Message(message) => {
                let view = message.view();
                if view.direct_peer() != 0 && self.members.is_empty() {
                    for user in [view.sender(), view.direct_peer()] {
                        self.enter(UserId(user), Seq(1), Role::Member);
                    }
                }
            }
            EntryBody::Membership(change) => {
                if change.action == MembershipAction::Created {
                    self.kind = change.kind;
                    self.title.clone_from(&change.title);
                }
                for &user in &change.users {
                    match change.action {
                        MembershipAction::Created if user == change.actor => self.enter(user, seq, Role::Owner),
                        MembershipAction::Created | MembershipAction::Added => self.enter(user, seq, change.role),
                        MembershipAction::Removed | MembershipAction::Left => self.leave(user, seq),
                        _ => {
                            if let Some(member) = self.members.get_mut(&user).filter(|member| is_in(member)) {
                                member.role = change.role;
                            }
                        }
                    }
                }
            }
        }
    }

    fn enter(&mut self, user: UserId, join: Seq, role: Role) {
        let member = self.members.entry(user).or_insert(MemberRow { user, role, spans: Vec::new() });
        if is_in(member) {
            return;
        }
        member.role = role;
        member.spans.push(Span { join, left: None });
        let forgotten_count = member.spans.len().saturating_sub(MEMBER_SPANS_MAX);
        member.spans.drain(..forgotten_count);
    }

    fn leave(&mut self, user: UserId, left: Seq) {
        let Some(member) = self.members.get_mut(&user).filter(|member| is_in(member)) else { return };
        member.role = Role::None;
        if let Some(span) = member.spans.last_mut() {
            span.left = Some(left);
        }
    }
}

fn is_in(member: &MemberRow) -> bool {
    member.spans.last().is_some_and(|span| span.left.is_none())
}

fn index_of(seq: Seq) -> usize {
    assert!(seq.0 > 0, "places are given from 1");
    usize::try_from(seq.0 - 1).unwrap_or(usize::MAX)
}

/// The id of a conversation with what the index holds of it.
pub(crate) type Conversations = std::collections::HashMap<ConversationId, Conversation>;
