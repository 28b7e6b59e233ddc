//! The way of a message, as steps that each tier notes: when it came, had its place, was durable, was answered, and went to
//! each device.
//!
//! A step says who and when, never what. Both tiers note the same messages, whatever they are configured to keep. Not
//! here: where steps are kept, and for how long they really are.

use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::{ClientMsgId, DeviceId, UserId};
use crate::time::Instant;

/// Steps that wait for whoever keeps them; it comes each turn, so more only gather while it is being read. 3 MiB.
const STEPS_WAITING_MAX: usize = 65_536;

/// Which messages are traced, and how long their steps are kept. Another one takes a new start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// One of so many is traced, chosen by its id, so that tiers with the same number trace the same. 1: every one, the
    /// default; 0: none.
    pub one_in: u32,
    /// Memory for the steps of a gateway shard or of a router. At the bound the oldest steps go. 16 MiB by default: the
    /// last 87,000 messages between two people in a router.
    pub bytes_max: usize,
    /// Older steps go, 24 hours by default.
    pub kept: Duration,
}

impl Default for TraceConfig {
    fn default() -> Self {
        TraceConfig { one_in: 1, bytes_max: 16 << 20, kept: Duration::from_secs(24 * 60 * 60) }
    }
}

/// What has happened to a message. In the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A gateway has it in full, from this device.
    Received,
    /// A router has given it its place in the conversation.
    Placed,
    /// A router has found that it has its place already.
    Known,
    /// It is durable.
    Durable,
    /// A router has sent it to the gateway of this device.
    Sent,
    /// A gateway has given the answer to the sender's socket.
    Acked,
    /// A gateway has given a refusal to the sender's socket.
    Refused,
    /// A gateway has given it to the socket of this device.
    Pushed,
    /// A router knows that this device has stored it.
    Stored,
}

impl Stage {
    /// For people and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Received => "received",
            Stage::Placed => "placed",
            Stage::Known => "known",
            Stage::Durable => "durable",
            Stage::Sent => "sent",
            Stage::Acked => "acked",
            Stage::Refused => "refused",
            Stage::Pushed => "pushed",
            Stage::Stored => "stored",
        }
    }
}

/// One step of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// What its sender calls it.
    pub id: ClientMsgId,
    /// When.
    pub at: Instant,
    /// Whose device.
    pub user: UserId,
    /// Which device; 0 for a transient session.
    pub device: DeviceId,
    /// With which it was refused, or 0.
    pub code: u16,
    /// What has happened.
    pub stage: Stage,
}

const _: () = assert!(size_of::<TraceStep>() == 48);

/// What a core has noted since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct TraceNotes {
    one_in: u32,
    steps: Vec<TraceStep>,
    noted_count: u64,
    lost_count: u64,
}

impl TraceNotes {
    /// For this share of all messages.
    pub fn new(config: &TraceConfig) -> TraceNotes {
        TraceNotes { one_in: config.one_in, ..TraceNotes::default() }
    }

    /// Whether this message is traced.
    pub fn takes(&self, id: ClientMsgId) -> bool {
        match self.one_in {
            0 => false,
            1 => true,
            one_in => {
                let id = u128::from_be_bytes(id.0);
                // Ids of one client may count up, so their last bits alone would choose whole clients.
                let mixed = ((id >> 64) as u64 ^ id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                mixed.is_multiple_of(u64::from(one_in))
            }
        }
    }

    /// One step of a message that is traced.
    pub fn note(&mut self, step: TraceStep) {
        if !self.takes(step.id) {
            return;
        }
        self.noted_count += 1;
        if self.steps.len() < STEPS_WAITING_MAX {
            self.steps.push(step);
        } else {
            self.lost_count += 1;
        }
    }

    /// What waits, in order.
    pub fn steps(&self) -> &[TraceStep] {
        &self.steps
    }

    /// It has been taken.
    pub fn clear(&mut self) {
        self.steps.clear();
    }

    /// Steps noted, and those of them for which there was no room, since the beginning.
    pub fn counts(&self) -> (u64, u64) {
        (self.noted_count, self.lost_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: u128) -> TraceStep {
        let id = ClientMsgId((0x0190_0000_0000_7000_8000_u128 << 48 | number).to_be_bytes());
        TraceStep { id, at: Instant(1), user: UserId(1), device: DeviceId(1), code: 0, stage: Stage::Received }
    }

    #[test]
    fn a_share_of_the_messages_is_traced_and_the_same_in_every_tier() {
        let mut tiers = [(); 2].map(|()| TraceNotes::new(&TraceConfig { one_in: 10, ..TraceConfig::default() }));
        for number in 0..10_000 {
            tiers.iter_mut().for_each(|notes| notes.note(step(number)));
        }
        let [one, other] = &tiers;
        assert_eq!(one.steps(), other.steps());
        assert!((800..1_200).contains(&one.steps().len()), "{}", one.steps().len());
    }

    #[test]
    fn none_is_none_and_what_has_no_room_is_counted() {
        let mut off = TraceNotes::new(&TraceConfig { one_in: 0, ..TraceConfig::default() });
        off.note(step(1));
        assert_eq!((off.steps().len(), off.counts()), (0, (0, 0)));
        let mut notes = TraceNotes::new(&TraceConfig::default());
        (0..STEPS_WAITING_MAX as u128 + 2).for_each(|number| notes.note(step(number)));
        assert_eq!(notes.steps().len(), STEPS_WAITING_MAX);
        notes.clear();
        notes.note(step(1));
        assert_eq!((notes.steps().len(), notes.counts()), (1, (STEPS_WAITING_MAX as u64 + 3, 2)));
    }
}
