//! Who is in a conversation and may see which entries. Permission is decided here and nowhere else.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use protocol::event::MemberChanged;
use protocol::ids::{Seq, UserId};
use protocol::wire::{MembershipAction, Role};
use storage_api::{MEMBER_SPANS_MAX, MemberRow, Span};

#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    by_user: BTreeMap<UserId, MemberRow>,
}

impl Members {
    pub(crate) fn new(rows: Vec<MemberRow>) -> Members {
        Members { by_user: rows.into_iter().map(|row| (row.user, row)).collect() }
    }

    /// The two of a direct conversation: in it from its first entry on.
    pub(crate) fn of_direct(users: [UserId; 2]) -> Members {
        let row = |user| MemberRow { user, role: Role::Member, spans: alloc::vec![Span { join: Seq(1), left: None }] };
        Members::new(users.map(row).into())
    }

    pub(crate) fn present_count(&self) -> usize {
        self.present().count()
    }

    pub(crate) fn present(&self) -> impl Iterator<Item = &MemberRow> {
        self.by_user.values().filter(|row| is_present(row))
    }

    /// Whether this user is or was in it.
    pub(crate) fn knows(&self, user: UserId) -> bool {
        self.by_user.contains_key(&user)
    }

    /// How many are or were in it.
    pub(crate) fn count(&self) -> usize {
        self.by_user.len()
    }

    /// Everybody who is or was in it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &MemberRow> {
        self.by_user.values()
    }

    /// `Role::None` for everybody who is not in it now.
    pub(crate) fn role(&self, user: UserId) -> Role {
        self.by_user.get(&user).filter(|row| is_present(row)).map_or(Role::None, |row| row.role)
    }

    /// Everybody for whom the entry at `seq` is, each with the last one before it that was.
    pub(crate) fn readers(&self, seq: Seq) -> impl Iterator<Item = (UserId, Seq)> {
        let readers = self.by_user.values().filter(move |row| row.spans.iter().any(|span| contains(span, seq)));
        readers.map(move |row| (row.user, last_visible(&row.spans, Seq(seq.0 - 1))))
    }

    /// Whether the entry at `seq` is for this user: serves push, pull and history alike.
    pub(crate) fn visible_to(&self, user: UserId, seq: Seq) -> bool {
        self.by_user.get(&user).is_some_and(|row| row.spans.iter().any(|span| contains(span, seq)))
    }

    /// The last entry at or before `seq` that is for this user; 0 for none.
    pub(crate) fn last_visible(&self, user: UserId, seq: Seq) -> Seq {
        let spans = self.by_user.get(&user).map(|row| row.spans.as_slice()).unwrap_or_default();
        last_visible(spans, seq)
    }

    /// Somebody is gone without an entry that says so.
    pub(crate) fn lose(&mut self, user: UserId, last: Seq) {
        if let Some(row) = self.by_user.get_mut(&user) {
            row.role = Role::None;
            row.spans.iter_mut().for_each(|span| span.left = span.left.or(Some(last)));
        }
    }

    /// Follows an entry of the sequence.
    pub(crate) fn apply(&mut self, seq: Seq, change: &MemberChanged) {
        for &user in &change.users {
            match change.action {
                MembershipAction::Created | MembershipAction::Added => {
                    let creator = change.action == MembershipAction::Created && user == change.actor;
                    let role = if creator { Role::Owner } else { Role::Member };
                    let row = self.by_user.entry(user).or_insert_with(|| MemberRow { user, role, spans: Vec::new() });
                    if row.spans.last().is_some_and(|span| span.left.is_none()) {
                        continue;
                    }
                    row.role = role;
                    row.spans.push(Span { join: seq, left: None });
                    if row.spans.len() > MEMBER_SPANS_MAX {
                        row.spans.remove(0);
                    }
                }
                MembershipAction::Removed | MembershipAction::Left => {
                    let Some(row) = self.by_user.get_mut(&user) else { continue };
                    row.role = Role::None;
                    if let Some(span) = row.spans.last_mut().filter(|span| span.left.is_none()) {
                        span.left = Some(seq);
                    }
                }
                MembershipAction::RoleChanged => {
                    let Some(row) = self.by_user.get_mut(&user).filter(|row| is_present(row)) else { continue };
                    row.role = change.role;
                }
                _ => {}
            }
        }
    }
}

fn is_present(row: &MemberRow) -> bool {
    row.spans.last().is_some_and(|span| span.left.is_none())
}

fn last_visible(spans: &[Span], seq: Seq) -> Seq {
    let ends = spans.iter().filter(|span| span.join <= seq).map(|span| span.left.unwrap_or(seq).min(seq));
    ends.max().unwrap_or_default()
}

fn contains(span: &Span, seq: Seq) -> bool {
    span.join <= seq && span.left.is_none_or(|left| seq <= left)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal};
    use protocol::time::WallTime;
    use protocol::wire::ConversationKind;

    use super::*;

    fn change(action: MembershipAction, users: &[u64]) -> MemberChanged {
        MemberChanged {
            conversation: ConversationId([1; 16]),
            seq: Seq(0),
            ordinal: Ordinal(0),
            action,
            actor: UserId(1),
            actor_device: DeviceId(1),
            users: users.iter().map(|user| UserId(*user)).collect(),
            role: Role::Member,
            kind: ConversationKind::Group,
            title: String::new(),
            client_op_id: ClientMsgId([0; 16]),
            server_time: WallTime(0),
        }
    }

    #[test]
    fn a_member_sees_its_stints_with_both_ends_and_nothing_between() {
        let mut members = Members::default();
        members.apply(Seq(1), &change(MembershipAction::Created, &[1, 2]));
        members.apply(Seq(5), &change(MembershipAction::Removed, &[2]));
        members.apply(Seq(9), &change(MembershipAction::Added, &[2]));
        let seen: Vec<u64> = (1..=10).filter(|seq| members.visible_to(UserId(2), Seq(*seq))).collect();
        assert_eq!(seen, [1, 2, 3, 4, 5, 9, 10]);
        assert_eq!(members.last_visible(UserId(2), Seq(8)), Seq(5));
        assert_eq!(members.last_visible(UserId(3), Seq(8)), Seq(0));
        assert_eq!(members.role(UserId(1)), Role::Owner);
    }
}
