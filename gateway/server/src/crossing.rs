//! The way of connections from shard thread to shard thread, to the home of their users.
//!
//! A connection on its way has a descriptor of the process, of which there are few, so it leaves only with a berth: there are
//! [`BERTHS`] on the way to each shard. A berth is given back by whoever drops it, wherever the connection has come.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use gateway_core::MovedConnection;

use crate::connection::Connection;
use crate::doorbell::Doorbell;

/// Connections on their way to one shard. It takes in all that have come with each turn, so in a storm these are some
/// 10,000 a second even where a turn takes as long as 50 ms.
pub(crate) const BERTHS: u32 = 512;

/// A connection between two shards.
pub(crate) struct Migrant {
    pub(crate) stream: TcpStream,
    pub(crate) luggage: Luggage,
}

/// What there is of it besides its socket.
pub(crate) struct Luggage {
    pub(crate) connection: Connection,
    pub(crate) moved: MovedConnection,
    pub(crate) berth: Berth,
}

/// The right to be on the way to a shard.
pub(crate) struct Berth(Arc<AtomicU32>);

/// One shard's ends of all ways.
pub(crate) struct Crossings {
    arrivals: Receiver<Migrant>,
    berths_taken: Arc<AtomicU32>,
    /// By the number of the shard.
    ways: Vec<Way>,
}

/// To one shard.
#[derive(Clone)]
struct Way {
    migrants: Sender<Migrant>,
    berths_taken: Arc<AtomicU32>,
    bell: Arc<Doorbell>,
}

impl Crossings {
    /// Between the shards that hear these bells.
    pub(crate) fn between(bells: impl Iterator<Item = Arc<Doorbell>>) -> Vec<Crossings> {
        let way = |bell| {
            let (migrants, arrivals) = channel();
            (arrivals, Way { migrants, berths_taken: Arc::default(), bell })
        };
        let (arrivals, ways): (Vec<_>, Vec<_>) = bells.map(way).unzip();
        let of_shard = |(arrivals, way): (_, &Way)| {
            let berths_taken = way.berths_taken.clone();
            Crossings { arrivals, berths_taken, ways: ways.clone() }
        };
        arrivals.into_iter().zip(&ways).map(of_shard).collect()
    }

    /// For a connection that is to go to this shard. `None`: too many are on their way there.
    pub(crate) fn berth(&self, shard: u16) -> Option<Berth> {
        let taken = &self.way(shard).berths_taken;
        let one_more = |count| (count < BERTHS).then_some(count + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Berth(taken.clone()))
    }

    /// It goes. Where the shard has ended meanwhile, so does the connection.
    pub(crate) fn send(&self, shard: u16, migrant: Migrant) {
        let Way { migrants, bell, .. } = self.way(shard);
        if migrants.send(migrant).is_ok() {
            bell.ring();
        }
    }

    /// The next that has come here.
    pub(crate) fn next_arrival(&self) -> Option<Migrant> {
        self.arrivals.try_recv().ok()
    }

    /// Whether anybody has a berth to this shard.
    pub(crate) fn is_expecting(&self) -> bool {
        self.berths_taken.load(Ordering::Acquire) > 0
    }

    fn way(&self, shard: u16) -> &Way {
        self.ways.get(usize::from(shard)).expect("a home is one of the shards")
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_berth_stays_and_a_berth_that_was_dropped_is_there_again() {
        let bells = [0, 1].map(|_| Doorbell::pair().expect("a socket pair").0);
        let crossings = Crossings::between(bells.into_iter());
        let [here, there] = &crossings[..] else { panic!("two shards") };
        let mut taken: Vec<Berth> = (0..BERTHS).map(|_| here.berth(1).expect("there are so many")).collect();
        assert!(here.berth(1).is_none());
        assert!(there.is_expecting() && !here.is_expecting());
        assert!(there.berth(0).is_some(), "the other way is free");
        taken.pop();
        assert!(here.berth(1).is_some());
        drop(taken);
        assert!(!there.is_expecting());
    }
}
