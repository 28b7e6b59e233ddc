//! Which senders are told that somebody has got, or read, what they have said.
//!
//! What a device has got names its senders, since its user's log does. A read mark does not: who has sent since the
//! conversation was loaded is known here, and who did before is told by the entries. In a small conversation everybody is
//! told instead, rather once too often: receipts are cumulative.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use protocol::event::Receipt;
use protocol::ids::{Seq, UserId};
use protocol::wire::Role;
use storage_api::{Entry, Request};

use super::Conversation;
use crate::context::Context;
use crate::mail::{Purpose, ToUser, Told};

/// In a conversation of so many members, telling all of them costs less than reading who has sent something.
const SMALL_MEMBERS_MAX: usize = 8;
/// Entries that are read at a time.
const SENDERS_READ_MAX: usize = 256;

impl Conversation {
    pub(super) fn is_small(&self) -> bool {
        self.members.count() <= SMALL_MEMBERS_MAX
    }

    /// Whether the store reads entries for it now.
    pub(super) fn receipt(&mut self, context: &mut Context, told: Told) -> bool {
        let told = Told { up_to: told.up_to.min(self.durable_head), ..told };
        let known = self.receipts.entry((told.user, told.kind)).or_default();
        if told.up_to <= *known || self.members.last_visible(told.user, told.up_to) == Seq(0) {
            return false;
        }
        let before = core::mem::replace(known, told.up_to);
        if let Some(senders) = &told.senders {
            self.tell_senders(context, &told, senders.iter().copied());
            return false;
        }
        if before < self.loaded_head && self.is_small() {
            self.tell_senders(context, &told, self.members.present().map(|row| row.user));
            return false;
        }
        let recent = self.last_sent.iter().filter(|(_, sent)| **sent > before).map(|(sender, _)| *sender);
        self.tell_senders(context, &told, recent);
        if before >= self.loaded_head {
            return false;
        }
        let up_to = told.up_to.min(self.loaded_head);
        self.read_senders(context, told, before.next(), up_to);
        true
    }

    /// Whether the store reads on.
    pub(super) fn senders_read(&self, context: &mut Context, told: Told, from: Seq, entries: &[Arc<Entry>]) -> bool {
        let senders: BTreeSet<UserId> = entries.iter().filter_map(|entry| Some(entry.identity()?.sender)).collect();
        self.tell_senders(context, &told, senders.into_iter());
        let first = entries.first().map_or(from, |entry| entry.key.seq);
        if first > from {
            self.read_senders(context, told, from, Seq(first.0 - 1));
        }
        first > from
    }

    fn read_senders(&self, context: &mut Context, told: Told, from: Seq, to: Seq) {
        let request = Request::ReadEntries {
            conversation: self.id,
            from,
            to,
            newest_first: true,
            count_max: SENDERS_READ_MAX,
            bytes_max: 1024 * 1024,
        };
        context.ask(request, Purpose::Senders { conversation: self.id, told, from });
    }

    fn tell_senders(&self, context: &mut Context, told: &Told, senders: impl Iterator<Item = UserId>) {
        for sender in senders.filter(|sender| *sender != told.user && self.members.role(*sender) != Role::None) {
            let receipt = Receipt { conversation: self.id, up_to: told.up_to, by: told.user };
            context.tell_user(sender, ToUser::Receipt { kind: told.kind, receipt, ticket: told.ticket.clone() });
        }
    }
}
