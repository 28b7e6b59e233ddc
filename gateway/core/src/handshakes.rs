//! The connections that have no Welcome yet, in order of arrival, and among them the strangers: those that have not
//! authenticated.
//!
//! Strangers are bounded in all and by address. At a bound the oldest goes, never the newcomer: whoever holds many silent
//! sockets loses them to people who talk. All have the same time for their handshake, so the first in order is due first.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, Ipv6Addr};

use protocol::server::Hello;
use protocol::time::Instant;

use crate::connection::ConnectionId;

/// Order of arrival; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival(u64);

pub(crate) struct Handshake {
    pub(crate) connection: ConnectionId,
    pub(crate) deadline: Instant,
    /// Once it has come.
    pub(crate) hello: Option<Box<Hello>>,
}

pub(crate) struct Handshakes {
    strangers_max: usize,
    strangers_per_network_max: usize,
    arrivals_count: u64,
    by_arrival: BTreeMap<Arrival, Handshake>,
    /// With their network.
    strangers: BTreeMap<Arrival, IpAddr>,
    strangers_by_network: BTreeMap<IpAddr, BTreeSet<Arrival>>,
}

impl Handshakes {
    pub(crate) fn new(strangers_max: usize, strangers_per_network_max: usize) -> Handshakes {
        Handshakes {
            strangers_max,
            strangers_per_network_max,
            arrivals_count: 0,
            by_arrival: BTreeMap::new(),
            strangers: BTreeMap::new(),
            strangers_by_network: BTreeMap::new(),
        }
    }

    /// For newcomers from now on.
    pub(crate) fn set_limits(&mut self, strangers_max: usize, strangers_per_network_max: usize) {
        self.strangers_max = strangers_max;
        self.strangers_per_network_max = strangers_per_network_max;
    }

    /// The place of the next newcomer.
    pub(crate) fn next_arrival(&mut self) -> Arrival {
        self.arrivals_count += 1;
        Arrival(self.arrivals_count)
    }

    /// Lets a stranger in, and names the one that has to go for it.
    pub(crate) fn admit(
        &mut self,
        arrival: Arrival,
        connection: ConnectionId,
        address: IpAddr,
        deadline: Instant,
    ) -> Option<ConnectionId> {
        let network = network_of(address);
        self.by_arrival.insert(arrival, Handshake { connection, deadline, hello: None });
        self.strangers.insert(arrival, network);
        let of_network = self.strangers_by_network.entry(network).or_default();
        let is_new = of_network.insert(arrival);
        assert!(is_new, "a connection arrives once");
        let evicted = if of_network.len() > self.strangers_per_network_max {
            of_network.first()
        } else if self.strangers.len() > self.strangers_max {
            self.strangers.keys().next()
        } else {
            None
        };
        evicted.map(|arrival| self.by_arrival.get(arrival).expect("every stranger has a handshake").connection)
    }

    /// Lets in who has authenticated elsewhere.
    pub(crate) fn admit_known(
        &mut self,
        arrival: Arrival,
        connection: ConnectionId,
        hello: Box<Hello>,
        deadline: Instant,
    ) {
        self.by_arrival.insert(arrival, Handshake { connection, deadline, hello: Some(hello) });
    }

    pub(crate) fn get(&self, arrival: Arrival) -> Option<&Handshake> {
        self.by_arrival.get(&arrival)
    }

    pub(crate) fn get_mut(&mut self, arrival: Arrival) -> Option<&mut Handshake> {
        self.by_arrival.get_mut(&arrival)
    }

    /// It has authenticated. Its handshake goes on.
    pub(crate) fn is_no_stranger(&mut self, arrival: Arrival) {
        let Some(network) = self.strangers.remove(&arrival) else { return };
        let of_network = self.strangers_by_network.get_mut(&network).expect("every stranger is in its network");
        of_network.remove(&arrival);
        if of_network.is_empty() {
            self.strangers_by_network.remove(&network);
        }
    }

    /// Its handshake is over, well or not. `None` when it was over already.
    pub(crate) fn remove(&mut self, arrival: Arrival) -> Option<Handshake> {
        self.is_no_stranger(arrival);
        self.by_arrival.remove(&arrival)
    }

    pub(crate) fn count(&self) -> usize {
        self.by_arrival.len()
    }

    /// The one that is due first.
    pub(crate) fn first(&self) -> Option<&Handshake> {
        self.by_arrival.values().next()
    }

    /// Those that have authenticated, in order.
    pub(crate) fn known(&self) -> impl Iterator<Item = ConnectionId> {
        let is_known = |(arrival, _): &(&Arrival, &Handshake)| !self.strangers.contains_key(arrival);
        self.by_arrival.iter().filter(is_known).map(|(_, handshake)| handshake.connection)
    }
}

/// What one customer has: an IPv4 address, or an IPv6 network of 64 bits.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn id(index: u32) -> ConnectionId {
        ConnectionId { index, generation: 1 }
    }

    fn admit(handshakes: &mut Handshakes, index: u32, address: &str) -> (Arrival, Option<u32>) {
        let arrival = handshakes.next_arrival();
        let address = address.parse().expect("an address");
        let evicted = handshakes.admit(arrival, id(index), address, Instant(u64::from(index)));
        if let Some(evicted) = evicted {
            let handshakes_of_evicted = handshakes.by_arrival.iter().find(|(_, other)| other.connection == evicted);
            let arrival = *handshakes_of_evicted.expect("it was admitted").0;
            handshakes.remove(arrival);
        }
        (arrival, evicted.map(|evicted| evicted.index))
    }

    #[test]
    fn the_oldest_of_a_network_goes_and_others_stay() {
        let mut handshakes = Handshakes::new(100, 2);
        assert_eq!(admit(&mut handshakes, 1, "192.0.2.9").1, None);
        assert_eq!(admit(&mut handshakes, 2, "192.0.2.1").1, None);
        assert_eq!(admit(&mut handshakes, 3, "192.0.2.1").1, None);
        assert_eq!(admit(&mut handshakes, 4, "::ffff:192.0.2.1").1, Some(2));
        assert_eq!(admit(&mut handshakes, 5, "2001:db8:0:1::1").1, None);
        assert_eq!(admit(&mut handshakes, 6, "2001:db8:0:1::2").1, None);
        assert_eq!(admit(&mut handshakes, 7, "2001:db8:0:2::3").1, None);
        assert_eq!(admit(&mut handshakes, 8, "2001:db8:0:1::3").1, Some(5));
    }

    #[test]
    fn the_oldest_of_all_goes_when_the_total_is_reached() {
        let mut handshakes = Handshakes::new(2, 2);
        assert_eq!(admit(&mut handshakes, 1, "192.0.2.1").1, None);
        assert_eq!(admit(&mut handshakes, 2, "192.0.2.2").1, None);
        assert_eq!(admit(&mut handshakes, 3, "192.0.2.3").1, Some(1));
    }

    #[test]
    fn who_has_authenticated_makes_room_and_keeps_its_deadline() {
        let mut handshakes = Handshakes::new(1, 1);
        let arrivals: Vec<_> = (1..50)
            .map(|index| {
                let (arrival, evicted) = admit(&mut handshakes, index, "192.0.2.1");
                assert_eq!(evicted, None);
                handshakes.is_no_stranger(arrival);
                arrival
            })
            .collect();
        assert_eq!(handshakes.first().map(|first| first.deadline), Some(Instant(1)));
        assert_eq!(handshakes.known().count(), 49);
        arrivals.iter().for_each(|arrival| assert!(handshakes.remove(*arrival).is_some()));
        assert!(handshakes.remove(*arrivals.first().expect("49 of them")).is_none());
        assert!(handshakes.strangers_by_network.is_empty() && handshakes.strangers.is_empty());
    }
}
