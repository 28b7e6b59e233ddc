//! Receipts on their way to a sender: the newest of each reader and conversation, at most one an interval.

use alloc::collections::BTreeMap;
use core::time::Duration;

use protocol::event::Receipt;
use protocol::ids::{ConversationId, Seq, UserId};
use protocol::time::Instant;

use crate::mail::{ReceiptKind, Ticket};

type Key = (ConversationId, UserId, ReceiptKind);

struct Gate {
    opens_at: Instant,
    /// The last one that went through.
    passed: Seq,
    waiting: Option<(Seq, alloc::vec::Vec<Ticket>)>,
}

#[derive(Default)]
pub(crate) struct ReceiptGates {
    gates: BTreeMap<Key, Gate>,
}

/// A receipt that may be written now, with the tickets it carries.
pub(crate) type Passed = (ReceiptKind, Receipt, alloc::vec::Vec<Ticket>);

impl ReceiptGates {
    /// `None`: it waits, or is no news.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        interval: Duration,
        kind: ReceiptKind,
        receipt: Receipt,
        ticket: Option<Ticket>,
    ) -> Option<Passed> {
        let key = (receipt.conversation, receipt.by, kind);
        let Some(gate) = self.gates.get_mut(&key) else {
            self.gates.insert(key, Gate { opens_at: now + interval, passed: receipt.up_to, waiting: None });
            return Some((kind, receipt, ticket.into_iter().collect()));
        };
        if receipt.up_to > gate.passed {
            let (up_to, tickets) = gate.waiting.get_or_insert_with(|| (receipt.up_to, alloc::vec::Vec::new()));
            *up_to = (*up_to).max(receipt.up_to);
            tickets.extend(ticket);
        }
        None
    }

    /// The next one whose interval is over. Gates with nothing behind them are forgotten.
    pub(crate) fn due(&mut self, now: Instant, interval: Duration) -> Option<Passed> {
        self.gates.retain(|_, gate| gate.opens_at > now || gate.waiting.is_some());
        let (&(conversation, by, kind), gate) =
            self.gates.iter_mut().find(|(_, gate)| gate.opens_at <= now && gate.waiting.is_some())?;
        let (up_to, tickets) = gate.waiting.take()?;
        gate.opens_at = now + interval;
        gate.passed = up_to;
        Some((kind, Receipt { conversation, up_to, by }, tickets))
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.gates.values().map(|gate| gate.opens_at).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.gates.is_empty()
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
        let mut offer = |seq| gates.offer(Instant(0), interval, ReceiptKind::Read, receipt(seq), None).is_some();
        assert!(offer(1));
        assert!(!offer(2) && !offer(4) && !offer(3));
        assert!(gates.due(Instant(999_999_999), interval).is_none());
        let due = gates.due(Instant(1_000_000_000), interval);
        assert_eq!(due.map(|(_, receipt, _)| receipt.up_to), Some(Seq(4)));
        assert!(gates.due(Instant(2_000_000_000), interval).is_none());
        assert!(gates.is_empty());
    }
}
