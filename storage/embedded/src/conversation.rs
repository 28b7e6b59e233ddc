//! What is kept in memory of one conversation: everything but its entries.

use protocol::ids::{Epoch, Ordinal, Seq, UserId};
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{ConversationRow, Entry, EntryBody, MEMBER_SPANS_MAX, MemberRow, ReceiptRow, Span};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) kind: ConversationKind,
    pub(crate) title: String,
    /// Of the last entry: its place, its count, under which ownership it was written. 0: there is none yet.
    pub(crate) head: Seq,
    pub(crate) head_ordinal: Ordinal,
    pub(crate) head_epoch: Epoch,
    /// In order of user, as is the next one. Vectors, since most conversations have two members.
    pub(crate) members: Vec<MemberRow>,
    pub(crate) read: Vec<ReceiptRow>,
}

impl Default for Conversation {
    fn default() -> Self {
        Conversation {
            kind: ConversationKind::Direct,
            title: String::new(),
            head: Seq(0),
            head_ordinal: Ordinal(0),
            head_epoch: Epoch(0),
            members: Vec::new(),
            read: Vec::new(),
        }
    }
}

impl Conversation {
    /// True: the entry is new. On one log entries come in order, and one that comes again is what it was.
    pub(crate) fn apply(&mut self, entry: &Entry) -> bool {
        let is_new = entry.key.seq > self.head;
        if is_new || (entry.key.seq == self.head && entry.epoch > self.head_epoch) {
            (self.head, self.head_ordinal, self.head_epoch) = (entry.key.seq, entry.ordinal, entry.epoch);
        }
        if is_new {
            self.follow(entry);
        }
        is_new
    }

    pub(crate) fn read_up_to(&mut self, user: UserId, seq: Seq) {
        match self.read.binary_search_by_key(&user, |row| row.user) {
            Ok(index) => self.read[index].read = self.read[index].read.max(seq),
            Err(index) => insert_tightly(&mut self.read, index, ReceiptRow { user, read: seq }),
        }
    }

    /// Of a direct conversation.
    pub(crate) fn peer_of(&self, user: UserId) -> Option<UserId> {
        let is_direct = self.kind == ConversationKind::Direct;
        self.members.iter().map(|member| member.user).find(|member| *member != user).filter(|_| is_direct)
    }

    /// Every member's log holds everything that is for it up to here. `held`: what a member's log holds of this
    /// conversation.
    pub(crate) fn fanned(&self, held: impl Fn(UserId) -> Seq) -> Seq {
        let lacking = self.members.iter().filter_map(|member| {
            let held = held(member.user);
            let last = member.spans.last().and_then(|span| span.left).unwrap_or(self.head);
            (held < last).then_some(held)
        });
        lacking.min().unwrap_or(self.head)
    }

    /// `None`: somebody has read in it, and it has no entry.
    pub(crate) fn row(&self, fanned: Seq) -> Option<ConversationRow> {
        (self.head > Seq(0)).then(|| ConversationRow {
            kind: self.kind,
            title: self.title.clone(),
            head: self.head,
            head_ordinal: self.head_ordinal,
            head_epoch: self.head_epoch,
            members: self.members.clone(),
            receipts: self.read.clone(),
            fanned,
        })
    }

    /// What follows from an entry for those who are in it.
    fn follow(&mut self, entry: &Entry) {
        let seq = entry.key.seq;
        match &entry.body {
            EntryBody::Void => {}
            EntryBody::Message(message) => {
                if !self.members.is_empty() {
                    return;
                }
                let head = message.head();
                if let Some(peer) = head.direct_peer {
                    for user in [head.sender, peer] {
                        self.enter(user, Seq(1), Role::Member);
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
                            if let Some(member) = self.member(user).filter(|member| is_in(member)) {
                                member.role = change.role;
                            }
                        }
                    }
                }
            }
        }
    }

    fn member(&mut self, user: UserId) -> Option<&mut MemberRow> {
        let index = self.members.binary_search_by_key(&user, |member| member.user).ok()?;
        self.members.get_mut(index)
    }

    fn enter(&mut self, user: UserId, join: Seq, role: Role) {
        let index = match self.members.binary_search_by_key(&user, |member| member.user) {
            Ok(index) => index,
            Err(index) => {
                insert_tightly(&mut self.members, index, MemberRow { user, role, spans: Vec::with_capacity(1) });
                index
            }
        };
        let member = &mut self.members[index];
        if is_in(member) {
            return;
        }
        member.role = role;
        member.spans.push(Span { join, left: None });
        let forgotten_count = member.spans.len().saturating_sub(MEMBER_SPANS_MAX);
        member.spans.drain(..forgotten_count);
    }

    fn leave(&mut self, user: UserId, left: Seq) {
        let Some(member) = self.member(user).filter(|member| is_in(member)) else { return };
        member.role = Role::None;
        if let Some(span) = member.spans.last_mut() {
            span.left = Some(left);
        }
    }
}

fn is_in(member: &MemberRow) -> bool {
    member.spans.last().is_some_and(|span| span.left.is_none())
}

/// Without the room for four that a vector takes at first: there are millions of these, and most have two.
fn insert_tightly<T>(things: &mut Vec<T>, index: usize, thing: T) {
    if things.len() < 4 {
        things.reserve_exact(1);
    }
    things.insert(index, thing);
}
