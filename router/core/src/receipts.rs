//! Receipts on their way to a sender: the newest of each reader and conversation, at most one an interval.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use protocol::event::Receipt;
use protocol::ids::{ConversationId, Seq, UserId};
use protocol::time::Instant;

use crate::mail::{ReceiptKind, Ticket};

type Key = (ConversationId, UserId, ReceiptKind);

struct Gate {
    /// The last one that went through.
    passed: Seq,
    waiting: Option<(Seq, Vec<Ticket>)>,
}

/// A sender in a large group has a gate for every reader, so none is searched for.
#[derive(Default)]
pub(crate) struct ReceiptGates {
    gates: BTreeMap<Key, Gate>,
    by_opening: BTreeSet<(Instant, Key)>,
}

/// A receipt that may be written now, with the tickets it carries.
pub(crate) type Passed = (ReceiptKind, Receipt, Vec<Ticket>);

impl ReceiptGates {
    /// `None`: it waits, or is no news.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        interval: Duration,
        kind: ReceiptKind,
        receipt: Receipt,
        ticket: Ticket,
    ) -> Option<Passed> {
        let key = (receipt.conversation, receipt.by, kind);
        let Some(gate) = self.gates.get_mut(&key) else {
            self.close(key, now + interval, receipt.up_to);
            return Some((kind, receipt, alloc::vec![ticket]));
        };
        if receipt.up_to > gate.passed {
            let (up_to, tickets) = gate.waiting.get_or_insert_with(|| (receipt.up_to, Vec::new()));
            *up_to = (*up_to).max(receipt.up_to);
            tickets.push(ticket);
        }
        None
    }

    /// The next one whose interval is over. Gates with nothing behind them are forgotten.
    pub(crate) fn due(&mut self, now: Instant, interval: Duration) -> Option<Passed> {
        while self.next_due().is_some_and(|opens_at| opens_at <= now) {
            let (_, key) = self.by_opening.pop_first().expect("there is a next one");
            let gate = self.gates.remove(&key).expect("every gate opens once");
            if let Some((up_to, tickets)) = gate.waiting {
                self.close(key, now + interval, up_to);
                let (conversation, by, kind) = key;
                return Some((kind, Receipt { conversation, up_to, by }, tickets));
            }
        }
        None
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.by_opening.first().map(|(opens_at, _)| *opens_at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }

    fn close(&mut self, key: Key, opens_at: Instant, passed: Seq) {
        self.gates.insert(key, Gate { passed, waiting: None });
        self.by_opening.insert((opens_at, key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_passes_at_once_and_the_newest_of_the_rest_an_interval_later() {
        let mut gates = ReceiptGates::default();
        let interval = Duration::from_secs(1);
        let receipt = |seq| Receipt { conversation: ConversationId([0; 16]), up_to: Seq(seq), by: UserId(1) };
        let mut offer =
            |seq| gates.offer(Instant(0), interval, ReceiptKind::Read, receipt(seq), Ticket::default()).is_some();
        assert!(offer(1));
        assert!(!offer(2) && !offer(4) && !offer(3));
        assert!(gates.due(Instant(999_999_999), interval).is_none());
        let due = gates.due(Instant(1_000_000_000), interval);
        assert_eq!(due.map(|(_, receipt, _)| receipt.up_to), Some(Seq(4)));
        assert!(gates.due(Instant(2_000_000_000), interval).is_none());
        assert!(gates.is_empty());
    }
}
