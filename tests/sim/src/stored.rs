//! What storage holds, as the checker reads it: sequences, logs, and who was in a conversation when.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use protocol::ids::{ConversationId, Ordinal, Seq, UserId, UserSeq};
use protocol::wire::MembershipAction;
use storage_api::{Request, Response};

use crate::sighting::{Content, StreamEvent};
use crate::store::Store;

/// One sequence, without what is missing.
pub type Sequence = BTreeMap<Seq, (Ordinal, Content)>;

/// A copy of everything that counts.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Each sequence.
    pub conversations: BTreeMap<ConversationId, Sequence>,
    /// The two users of each direct one.
    pub direct: BTreeMap<ConversationId, [UserId; 2]>,
    /// Each user's log from user_seq 1 on.
    pub logs: BTreeMap<UserId, Vec<StreamEvent>>,
}

impl Stored {
    /// Reads these conversations and users.
    pub fn read(store: &mut dyn Store, conversations: &[ConversationId], users: &[UserId]) -> Stored {
        let pairs =
            users.iter().flat_map(|one| users.iter().map(|other| [*one, *other])).filter(|[one, other]| one < other);
        Stored {
            conversations: conversations.iter().map(|id| (*id, sequence(store, *id))).collect(),
            direct: pairs.map(|pair| (ConversationId::direct(pair[0], pair[1]), pair)).collect(),
            logs: users.iter().map(|user| (*user, log(store, *user, UserSeq(0), usize::MAX))).collect(),
        }
    }

    /// What is at this place of a conversation.
    pub fn content(&self, conversation: ConversationId, seq: Seq) -> Option<&Content> {
        self.conversations.get(&conversation)?.get(&seq).map(|(_, content)| content)
    }

    /// The stints of a user in a conversation, by the entries of the sequence itself: what lies in them is for the user.
    pub fn stints(&self, conversation: ConversationId, user: UserId) -> Vec<RangeInclusive<Seq>> {
        const FOR_EVER: Seq = Seq(u64::MAX);
        if let Some(pair) = self.direct.get(&conversation) {
            return if pair.contains(&user) { vec![Seq(1)..=FOR_EVER] } else { Vec::new() };
        }
        let mut stints: Vec<RangeInclusive<Seq>> = Vec::new();
        for (seq, (_, content)) in self.conversations.get(&conversation).into_iter().flatten() {
            let Content::Membership { action, users, .. } = content else { continue };
            let is_in = stints.last().is_some_and(|stint| *stint.end() == FOR_EVER);
            match *action {
                _ if !users.contains(&user) => {}
                MembershipAction::Created | MembershipAction::Added if !is_in => stints.push(*seq..=FOR_EVER),
                MembershipAction::Removed | MembershipAction::Left if is_in => {
                    let stint = stints.pop().expect("the user is in");
                    stints.push(*stint.start()..=*seq);
                }
                _ => {}
            }
        }
        stints
    }

    /// What a user may see of a conversation and what holds something, in order.
    pub fn visible(&self, conversation: ConversationId, user: UserId) -> impl Iterator<Item = (Seq, &Content)> {
        let stints = self.stints(conversation, user);
        let entries = self.conversations.get(&conversation).into_iter().flatten();
        let visible = entries.filter(move |(seq, _)| stints.iter().any(|stint| stint.contains(seq)));
        visible.map(|(seq, (_, content))| (*seq, content)).filter(|(_, content)| **content != Content::Void)
    }

    /// The whole of a conversation.
    pub fn all(&self, conversation: ConversationId) -> impl Iterator<Item = (Seq, &Content)> {
        let entries = self.conversations.get(&conversation).into_iter().flatten();
        entries.map(|(seq, (_, content))| (*seq, content))
    }

    /// Since when a user is in a conversation, while it is.
    pub fn member_since(&self, conversation: ConversationId, user: UserId) -> Option<Seq> {
        let stints = self.stints(conversation, user);
        stints.last().filter(|stint| *stint.end() == Seq(u64::MAX)).map(|stint| *stint.start())
    }
}

/// The whole sequence of a conversation.
fn sequence(store: &mut dyn Store, conversation: ConversationId) -> Sequence {
    let (from, to) = (Seq(1), Seq(u64::MAX));
    let entries = entries(store, conversation, from, to);
    entries.into_iter().map(|(seq, ordinal, content)| (seq, (ordinal, content))).collect()
}

/// What is durable at one place now.
pub fn content_at(store: &mut dyn Store, conversation: ConversationId, seq: Seq) -> Option<Content> {
    entries(store, conversation, seq, seq).pop().map(|(.., content)| content)
}

/// What is durable at one place of a user's log now.
pub fn event_at(store: &mut dyn Store, user: UserId, user_seq: UserSeq) -> Option<StreamEvent> {
    log(store, user, UserSeq(user_seq.0 - 1), 1).pop()
}

fn entries(store: &mut dyn Store, conversation: ConversationId, from: Seq, to: Seq) -> Vec<(Seq, Ordinal, Content)> {
    let (count_max, bytes_max) = (usize::MAX, usize::MAX);
    let request = Request::ReadEntries { conversation, from, to, newest_first: false, count_max, bytes_max };
    let Response::Entries(entries) = store.look(&request) else { panic!("entries were asked for") };
    entries.iter().map(|entry| (entry.key.seq, entry.ordinal, Content::of_entry(entry))).collect()
}

fn log(store: &mut dyn Store, user: UserId, after: UserSeq, count_max: usize) -> Vec<StreamEvent> {
    let request = Request::ReadUserLog { user, after, count_max, bytes_max: usize::MAX };
    let Response::UserLog(events) = store.look(&request) else { panic!("a user's log was asked for") };
    events.iter().map(|logged| StreamEvent::stored(&logged.event, logged.entry.as_deref())).collect()
}
