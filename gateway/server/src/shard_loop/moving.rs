//! How a connection gets from the loop of one shard to that of another, between its Hello and its Welcome.
//!
//! It is held all the time, so what the peer sends waits: in the socket, or in what was received already, which goes along.
//! The driver takes the socket out of its hands when nothing is under way on it, and this hands it over.

use std::io;
use std::net::TcpStream;

use gateway_core::{CloseCause, ConnectionId, MovedConnection};
use protocol::codes::Code;
use protocol::time::{Instant, Now};
use protocol_shell::clock;

use super::{Attention, Entry, Phase, ShardLoop};
use crate::crossing::{Berth, Luggage, Migrant};
use crate::shard_port::ShardPort;

/// What waits for the socket of a connection that leaves.
pub(super) struct Leaving {
    shard: u16,
    moved: MovedConnection,
    berth: Berth,
    /// Then it is given up: its last send finds no room.
    until: Instant,
}

impl<S: ShardPort, A: Attention> ShardLoop<S, A> {
    /// The driver takes the socket out next: [`super::ReadTurn::Leave`].
    pub(super) fn begin_move(&mut self, now: Now, key: ConnectionId, shard: u16) {
        if self.open_entry(key).is_none() {
            return;
        }
        let Some(berth) = self.crossings.berth(shard) else {
            self.metrics.moves_refused.increment();
            return self.shard.handle_violation(now, key, Code::Overloaded);
        };
        let Some(moved) = self.shard.handle_leaving(now, key) else { return };
        let until = now.monotonic + self.config.close_timeout;
        self.leaving.insert(key, Leaving { shard, moved, berth, until });
        if let Some(entry) = self.open_entry(key) {
            entry.phase = Phase::Leaving;
        }
        self.attention.to_read(key);
        self.attention.to_write(key);
    }

    /// The driver has taken the socket out, and does nothing more on either side.
    pub(crate) fn detached(&mut self, key: ConnectionId, stream: io::Result<TcpStream>) {
        let now = clock::now();
        let (entry, leaving) = self.remove_entry(key);
        let cause = match (stream, leaving, entry.phase) {
            (Ok(stream), Some(Leaving { shard, moved, berth, .. }), Phase::Leaving) => {
                let luggage = Luggage { connection: entry.connection, moved, berth };
                self.crossings.send(shard, Migrant { stream, luggage });
                CloseCause::Moved
            }
            (_, _, phase) => {
                self.metrics.sockets_closed.increment();
                phase.cause()
            }
        };
        self.shard.handle_closed(now, key, cause);
        self.end_turn(now);
    }

    /// What has come from other shards, one after the other. When the driver has the socket: [`Self::moved_in`].
    pub(crate) fn next_arrival(&mut self) -> Option<Migrant> {
        self.crossings.next_arrival()
    }

    /// The driver has the socket of a connection that came from another shard, at `place`. Both its sides begin, as after
    /// [`Self::opened`].
    pub(crate) fn moved_in(&mut self, luggage: Luggage, place: u64) -> ConnectionId {
        let now = clock::now();
        let Luggage { connection, moved, berth } = luggage;
        let key = self.shard.handle_moved_in(now, moved);
        drop(berth);
        let peer_has_closed = connection.peer_has_closed();
        self.insert_entry(key, Entry::new(key, connection, place));
        self.account(now, key);
        self.attention.to_read(key);
        self.attention.to_write(key);
        if peer_has_closed {
            self.close(now, key, CloseCause::ByPeer);
        }
        self.end_turn(now);
        key
    }

    /// The driver cannot have the socket, and has closed it.
    pub(crate) fn not_moved_in(&mut self, luggage: Luggage) {
        drop(luggage);
        self.metrics.sockets_closed.increment();
        self.end_turn(clock::now());
    }

    pub(super) fn sweep_leaving(&mut self, now: Now) {
        let late = self.leaving.iter().filter(|(_, leaving)| leaving.until <= now.monotonic);
        let late: Vec<_> = late.map(|(key, _)| *key).collect();
        late.into_iter().for_each(|key| self.abort(key, CloseCause::Lost));
    }
}
