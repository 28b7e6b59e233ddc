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
struct Arrival(u64);

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
    arrivals: BTreeMap<ConnectionId, Arrival>,
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
            arrivals: BTreeMap::new(),
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

    /// Lets a stranger in, and names the one that has to go for it.
    pub(crate) fn admit(
        &mut self,
        connection: ConnectionId,
        address: IpAddr,
        deadline: Instant,
    ) -> Option<ConnectionId> {
        let network = network_of(address);
        let arrival = self.next_arrival(connection);
        self.by_arrival.insert(arrival, Handshake { connection, deadline, hello: None });
        self.strangers.insert(arrival, network);
        let of_network = self.strangers_by_network.entry(network).or_default();
        of_network.insert(arrival);
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
    pub(crate) fn admit_known(&mut self, connection: ConnectionId, hello: Box<Hello>, deadline: Instant) {
        let arrival = self.next_arrival(connection);
        self.by_arrival.insert(arrival, Handshake { connection, deadline, hello: Some(hello) });
    }

    /// Later than all others.
    fn next_arrival(&mut self, connection: ConnectionId) -> Arrival {
        self.arrivals_count += 1;
        let arrival = Arrival(self.arrivals_count);
        let previous = self.arrivals.insert(connection, arrival);
        assert!(previous.is_none(), "a connection arrives once");
        arrival
    }

    pub(crate) fn get(&self, connection: ConnectionId) -> Option<&Handshake> {
        self.by_arrival.get(self.arrivals.get(&connection)?)
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Handshake> {
        self.by_arrival.get_mut(self.arrivals.get(&connection)?)
    }

    /// It has authenticated. Its handshake goes on.
    pub(crate) fn is_no_stranger(&mut self, connection: ConnectionId) {
        let Some(arrival) = self.arrivals.get(&connection).copied() else { return };
        let Some(network) = self.strangers.remove(&arrival) else { return };
        let of_network = self.strangers_by_network.get_mut(&network).expect("every stranger is in its network");
        of_network.remove(&arrival);
        if of_network.is_empty() {
            self.strangers_by_network.remove(&network);
        }
    }

    /// Its handshake is over, well or not. `None` when it was over already.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<Handshake> {
        self.is_no_stranger(connection);
        self.by_arrival.remove(&self.arrivals.remove(&connection)?)
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
    use super::*;

    fn id(index: u32) -> ConnectionId {
        ConnectionId { index, generation: 1 }
    }

    fn admit(handshakes: &mut Handshakes, index: u32, address: &str) -> Option<u32> {
        let address = address.parse().expect("an address");
        let evicted = handshakes.admit(id(index), address, Instant(u64::from(index)))?;
        handshakes.remove(evicted).expect("it was admitted");
        Some(evicted.index)
    }

    #[test]
    fn the_oldest_of_a_network_goes_and_others_stay() {
        let mut handshakes = Handshakes::new(100, 2);
        assert_eq!(admit(&mut handshakes, 1, "192.0.2.9"), None);
        assert_eq!(admit(&mut handshakes, 2, "192.0.2.1"), None);
        assert_eq!(admit(&mut handshakes, 3, "192.0.2.1"), None);
        assert_eq!(admit(&mut handshakes, 4, "::ffff:192.0.2.1"), Some(2));
        assert_eq!(admit(&mut handshakes, 5, "2001:db8:0:1::1"), None);
        assert_eq!(admit(&mut handshakes, 6, "2001:db8:0:1::2"), None);
        assert_eq!(admit(&mut handshakes, 7, "2001:db8:0:2::3"), None);
        assert_eq!(admit(&mut handshakes, 8, "2001:db8:0:1::3"), Some(5));
    }

    #[test]
    fn the_oldest_of_all_goes_when_the_total_is_reached() {
        let mut handshakes = Handshakes::new(2, 2);
        assert_eq!(admit(&mut handshakes, 1, "192.0.2.1"), None);
        assert_eq!(admit(&mut handshakes, 2, "192.0.2.2"), None);
        assert_eq!(admit(&mut handshakes, 3, "192.0.2.3"), Some(1));
    }

    #[test]
    fn who_has_authenticated_makes_room_and_keeps_its_deadline() {
        let mut handshakes = Handshakes::new(1, 1);
        for index in 1..50 {
            assert_eq!(admit(&mut handshakes, index, "192.0.2.1"), None);
            handshakes.is_no_stranger(id(index));
        }
        assert_eq!(handshakes.first().map(|first| first.deadline), Some(Instant(1)));
        assert_eq!(handshakes.known().count(), 49);
        (1..50).for_each(|index| assert!(handshakes.remove(id(index)).is_some()));
        assert!(handshakes.remove(id(1)).is_none() && handshakes.arrivals.is_empty());
        assert!(handshakes.strangers_by_network.is_empty() && handshakes.strangers.is_empty());
    }
}
