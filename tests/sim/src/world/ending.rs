//! The whole run of a seed: trouble, then calm in which everything must finish, then a last look at everything, then the
//! verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ids::{ConversationId, Seq, UserId, UserSeq};
use protocol::time::Instant;
use storage_api::{Request, Response};

use super::{Event, World};
use crate::checker::Evidence;
use crate::ledger::DeviceIndex;
use crate::outcome::{Ending, Outcome};
use crate::process::{Input, ProcessId};
use crate::promise::{Broken, Promise};
use crate::script::{DEVICES, HANDLES, Order, Room, Step, peer_of};
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
        self.retire_router();
        self.work.messages_sent = self.ledger.sent.len() as u64;
        self.take_toll();
        let World { seed, work, faults, trace, .. } = self;
        Outcome { seed, ending, trace_hash: trace.hash(), work, faults }
    }

    fn live(&mut self) -> Ending {
        self.run_until(Instant(0) + TROUBLE_END);
        let at_rest = self.settle(|evidence| evidence.check_rest());
        if at_rest != Ending::Green {
            return at_rest;
        }
        self.take_a_last_look();
        self.settle(|evidence| evidence.check())
    }

    /// Lets time pass until everybody is done and everything is as it should be. What has not come by then never comes.
    fn settle(&mut self, check: impl Fn(&Evidence<'_>) -> Result<(), Broken>) -> Ending {
        let deadline = self.at + SETTLING_MAX;
        loop {
            self.run_until(self.at + LOOK_INTERVAL);
            if let Some(broken) = self.broken.take() {
                return Ending::Broken(broken);
            }
            let is_over = self.at >= deadline;
            match self.unfinished() {
                Some(what) if is_over => return Ending::Stalled(what),
                Some(_) => {}
                None => match self.with_evidence(&check) {
                    Ok(()) => return Ending::Green,
                    Err(broken) if is_over || broken.promise != Promise::P4 => return Ending::Broken(broken),
                    Err(_) => {}
                },
            }
        }
    }

    /// The first one that is not done.
    fn unfinished(&mut self) -> Option<String> {
        let is_order =
            |event: &&Event| matches!(event, Event::Script(Step::Order(..)) | Event::Arrive(_, _, Input::Order(_)));
        if self.agenda.things().any(|event| is_order(&event)) {
            return Some("somebody wants to do something".into());
        }
        if self.agenda.things().any(|event| matches!(event, Event::Erase(_) | Event::Script(Step::Erase(_)))) {
            return Some("an operator waits for an erasure".into());
        }
        if self.agenda.things().any(|event| matches!(event, Event::LateTurn(..))) {
            return Some("a process has collected what it has not looked at".into());
        }
        if self.router.is_none() || self.wants_check {
            return Some("the store is not open, or read-only".into());
        }
        if let Some((process, _)) = self.processes.iter().find(|(_, body)| !body.is_up || !body.inbox.is_empty()) {
            return Some(format!("{process:?} is down or paused"));
        }
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
        let pairs = (0..HANDLES.len()).map(|user| Room::Direct(users[user], users[peer_of(user)]));
        let rooms: Vec<Room> = pairs.chain([Room::Group, Room::Channel]).collect();
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

    /// With what clients saw, and what storage holds by now.
    pub(super) fn with_evidence<T>(
        &mut self,
        check: impl FnOnce(&Evidence<'_>) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let conversations: BTreeSet<ConversationId> = self.ledger.conversations().collect();
        let conversations: Vec<ConversationId> = conversations.into_iter().collect();
        self.store.reread().map_err(|what| Broken::new(Promise::P1, what))?;
        let stored = Stored::read(&mut *self.store, &conversations, &self.users);
        let cursors: BTreeMap<DeviceIndex, UserSeq> =
            (0..DEVICES.len()).map(|index| (index, self.clients[index].cursor())).collect();
        let mut kept_reads: BTreeMap<(UserId, ConversationId), Seq> = BTreeMap::new();
        for index in 0..DEVICES.len() {
            for (conversation, up_to) in self.clients[index].kept_reads() {
                let known = kept_reads.entry((self.user_of(index), conversation)).or_default();
                *known = up_to.max(*known);
            }
        }
        let ledger = &self.ledger;
        let histories = &ledger.histories;
        let people = self.users.get(..HANDLES.len()).expect("they come first");
        check(&Evidence { people, ledger, stored: &stored, cursors: &cursors, kept_reads: &kept_reads, histories })
    }
}
