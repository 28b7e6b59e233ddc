//! Server time as a client knows it, and ids minted from it.

use crate::ids::ClientMsgId;
use crate::time::{Instant, Now, WallTime};

use super::random::Random;

/// Goes on from what the server said last by the monotonic clock, so that steps of the wall clock do not matter. Before
/// the server has said anything it is the wall clock.
#[derive(Default)]
pub(super) struct ServerClock {
    heard: Option<(Instant, WallTime)>,
}

impl ServerClock {
    pub(super) fn hear(&mut self, now: Now, server_time: WallTime) {
        self.heard = Some((now.monotonic, server_time));
    }

    pub(super) fn is_known(&self) -> bool {
        self.heard.is_some()
    }

    /// `None` until the server has said what time it is.
    pub(super) fn known(&self, now: Now) -> Option<WallTime> {
        self.heard.map(|(at, server_time)| server_time.plus(now.monotonic.since(at)))
    }

    /// An id of now, above `floor`.
    pub(super) fn mint(&self, now: Now, floor: Option<ClientMsgId>, random: &mut Random) -> ClientMsgId {
        let fresh = ClientMsgId::new(self.known(now).unwrap_or(now.wall), random.draw_u128());
        match floor {
            Some(floor) if floor >= fresh => floor.successor(),
            _ => fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn ids_rise_whatever_the_wall_clock_does_and_follow_the_server_once_it_is_known() {
        let (mut clock, mut random) = (ServerClock::default(), Random::new(1));
        let at = |seconds: u64, wall| Now { monotonic: Instant::default() + Duration::from_secs(seconds), wall };
        let first = clock.mint(at(1, WallTime(5_000)), None, &mut random);
        assert_eq!(first.minted_at(), WallTime(5_000));
        let second = clock.mint(at(2, WallTime(1_000)), Some(first), &mut random);
        assert!(second > first);
        assert_eq!(clock.known(at(2, WallTime(1_000))), None);
        clock.hear(at(3, WallTime(1_000)), WallTime(9_000));
        assert_eq!(clock.mint(at(4, WallTime(77)), Some(second), &mut random).minted_at(), WallTime(10_000));
    }
}
