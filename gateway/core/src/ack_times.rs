//! How long senders wait for their answers, measured at the gateway.
//!
//! A request leaves its time under the last bits of its client id and its answer takes it away again. Of two that share a
//! place the later one is measured, so this costs the same whatever clients do; it is never used to decide.

use alloc::boxed::Box;

use protocol::ids::ClientMsgId;
use protocol::time::Instant;

/// Requests under way that can be told apart: at 20,000 a second, 50 ms each. 16 KiB.
const PLACES: usize = 1024;

pub(crate) struct AckTimes(Box<[(u64, Instant); PLACES]>);

impl Default for AckTimes {
    fn default() -> Self {
        AckTimes(Box::new([(0, Instant(0)); PLACES]))
    }
}

impl AckTimes {
    pub(crate) fn requested(&mut self, id: ClientMsgId, now: Instant) {
        let (tag, place) = self.place(id);
        *place = (tag, now);
    }

    /// Since when it has waited, if that is known.
    pub(crate) fn answered(&mut self, id: ClientMsgId) -> Option<Instant> {
        let (tag, place) = self.place(id);
        (place.0 == tag).then(|| core::mem::take(place).1)
    }

    fn place(&mut self, id: ClientMsgId) -> (u64, &mut (u64, Instant)) {
        // The first half of a client id is mostly its time, the second is random and counts up.
        let tag = u128::from_be_bytes(id.0) as u64;
        let place = self.0.get_mut(tag as usize % PLACES).expect("a remainder is less than its divisor");
        (tag, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> ClientMsgId {
        ClientMsgId((1 << 63 | number).to_be_bytes())
    }

    #[test]
    fn each_answer_is_measured_once_and_a_shared_place_belongs_to_the_later_request() {
        let mut times = AckTimes::default();
        times.requested(id(1), Instant(10));
        times.requested(id(2), Instant(20));
        times.requested(id(2 + PLACES as u128), Instant(30));
        assert_eq!(times.answered(id(1)), Some(Instant(10)));
        assert_eq!(times.answered(id(1)), None);
        assert_eq!(times.answered(id(2)), None);
        assert_eq!(times.answered(id(2 + PLACES as u128)), Some(Instant(30)));
    }
}
