//! The whole run of a seed: trouble, then calm in which everything must finish, then a last look at everything, then the
//! verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ids::{ConversationId, UserSeq};
use protocol::time::Instant;
use storage_api::{Request, Response};

use super::World;
use crate::checker::Evidence;
use crate::ledger::DeviceIndex;
use crate::outcome::{Ending, Outcome};
use crate::process::{Input, ProcessId};
use crate::promise::Broken;
use crate::script::{DEVICES, Order, Room, peer_of};
use crate::stored::Stored;

/// The faults have ended by then at the latest.
const TROUBLE_END: Duration = Duration::from_secs(45);
/// From the last fault until everything has finished, in virtual time.
const SETTLING_MAX: Duration = Duration::from_secs(180);
/// Between two looks whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

impl World {
    /// Everything.
    pub fn run(mut self) -> Outcome {
        let ending = self.live();
        self.work.add_router(self.router.counters());
        self.work.messages_sent = self.ledger.sent.len() as u64;
        self.take_toll();
        let World { seed, work, faults, trace, .. } = self;
        Outcome { seed, ending, trace_hash: trace.hash(), work, faults }
    }

    fn live(&mut self) -> Ending {
        self.run_until(Instant(0) + TROUBLE_END);
        let settled = self.settle(|world| world.unfinished().map_or(Ok(()), Err));
        if let Some(ending) = settled {
            return ending;
        }
        self.take_a_last_look();
        self.settle(|world| world.unfinished().map_or_else(|| world.judge().map_err(|broken| broken.to_string()), Err))
            .map_or(Ending::Green, |ending| self.name_what_is_broken(ending))
    }

    /// Lets time pass until `is_done`; says how the seed ends if that does not happen in time.
    fn settle(&mut self, is_done: impl Fn(&mut World) -> Result<(), String>) -> Option<Ending> {
        let deadline = self.at + SETTLING_MAX;
        loop {
            self.run_until(self.at + LOOK_INTERVAL);
            if let Some(broken) = self.broken.take() {
                return Some(Ending::Broken(broken));
            }
            match is_done(self) {
                Ok(()) => return None,
                Err(what) if self.at >= deadline => return Some(Ending::Stalled(what)),
                Err(_) => {}
            }
        }
    }

    /// What has not come in time, although everybody is done, never comes.
    fn name_what_is_broken(&mut self, ending: Ending) -> Ending {
        match ending {
            Ending::Stalled(_) if self.unfinished().is_none() => self.judge().err().map_or(ending, Ending::Broken),
            ending => ending,
        }
    }

    /// The first client that is not done.
    fn unfinished(&mut self) -> Option<String> {
        for (index, client) in self.clients.iter().enumerate() {
            if let Some(what) = client.unfinished() {
                return Some(format!("client {index} {what}"));
            }
        }
        for index in 0..DEVICES.len() {
            let user = self.user_of(index);
            let Response::User(Some(state)) = self.store.look(&Request::LoadUser(user)) else {
                panic!("users are never lost")
            };
            let cursor = self.clients[index].cursor();
            if cursor != state.head {
                return Some(format!("client {index} is at {cursor}, its user's log ends at {}", state.head));
            }
        }
        None
    }

    /// Everybody opens everything and reads every history.
    fn take_a_last_look(&mut self) {
        self.ledger.histories.clear();
        let users = &self.users;
        let pairs = (0..users.len()).map(|user| Room::Direct(users[user], users[peer_of(user)]));
        let rooms: Vec<Room> = pairs.chain([Room::Group]).collect();
        for client in 0..self.clients.len() {
            for &room in &rooms {
                let orders = if client < DEVICES.len() {
                    &[Order::Read(room), Order::ReadHistory(room)][..]
                } else {
                    &[Order::ReadHistory(room)]
                };
                for order in orders {
                    self.arrive(ProcessId::Client(client), Input::Order(*order));
                }
            }
        }
    }

    fn judge(&mut self) -> Result<(), Broken> {
        let conversations: BTreeSet<ConversationId> = self.ledger.conversations().collect();
        let conversations: Vec<ConversationId> = conversations.into_iter().collect();
        let stored = Stored::read(&mut *self.store, &conversations, &self.users);
        let cursors: BTreeMap<DeviceIndex, UserSeq> =
            (0..DEVICES.len()).map(|index| (index, self.clients[index].cursor())).collect();
        let ledger = &self.ledger;
        Evidence { ledger, stored: &stored, cursors: &cursors, histories: &ledger.histories }.check()
    }
}
