//! The router process: one [`Router`] with its links, as the shell of the product drives it. Its store outlives it.

use std::collections::BTreeMap;

use protocol::ids::{Epoch, MessageId};
use protocol::time::{Instant, Now};
use router_core::{Action, DropCause, LinkId, Order, OrderId, OrderOutcome, Router, RouterConfig, RouterCounters};
use storage_api::StoreTraits;

use crate::network::{End, Happening, WireId};
use crate::process::{Input, Surroundings};
use crate::sighting::Place;

/// One life of the router.
pub struct RouterHost {
    router: Router,
    is_started: bool,
    links: BTreeMap<WireId, LinkId>,
    links_count: u64,
    /// What an operator has ordered, and is not told of yet.
    erasures: BTreeMap<OrderId, Place>,
    orders_count: u64,
}

impl RouterHost {
    /// `life` tells this run of the process from others; the store names the epoch.
    pub fn new(config: RouterConfig, traits: StoreTraits, life: u64, epoch: Epoch) -> RouterHost {
        let config = RouterConfig { router_incarnation: life, epoch, ..config };
        RouterHost {
            router: Router::new(config, traits),
            is_started: false,
            links: BTreeMap::new(),
            links_count: 0,
            erasures: BTreeMap::new(),
            orders_count: 0,
        }
    }

    /// What it has counted.
    pub fn counters(&self) -> &RouterCounters {
        self.router.counters()
    }

    /// When its timer is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.router.poll_timeout()
    }

    /// One turn.
    pub fn turn(&mut self, now: Now, inputs: Vec<Input>, around: &mut Surroundings<'_>) {
        if !self.is_started {
            self.is_started = true;
            self.router.handle_start(now);
        }
        for input in inputs {
            match input {
                Input::Stored(token, result) => self.router.handle_store(now, token, result),
                Input::Pressed(is_pressed) => self.router.handle_pressure(now, is_pressed),
                Input::Wire(wire, happening) => self.take_of_link(now, wire, happening),
                Input::Erase((conversation, seq)) => {
                    self.orders_count += 1;
                    let id = OrderId(self.orders_count);
                    self.erasures.insert(id, (conversation, seq));
                    self.router.handle_order(now, id, Order::EraseMessage(MessageId { conversation, seq }));
                }
                Input::Start => {}
                other => unreachable!("nobody sends a router {other:?}"),
            }
        }
        if self.router.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.router.handle_timeout(now);
        }
        self.drain(now, around);
    }

    fn take_of_link(&mut self, now: Now, wire: WireId, happening: Happening) {
        if let Happening::Opened(_) = happening {
            self.links_count += 1;
            let link = LinkId(self.links_count);
            self.links.insert(wire, link);
            self.router.handle_link_up(now, link);
            return;
        }
        // What was under way on a link that the router has dropped is thrown away.
        let Some(link) = self.links.get(&wire).copied() else { return };
        match happening {
            Happening::Received(batch) => {
                if let Err(error) = self.router.handle_link_batch(now, link, &batch) {
                    panic!("a gateway broke a rule of the link: {error}");
                }
            }
            Happening::Closed | Happening::Lost => {
                self.links.remove(&wire);
                self.router.handle_link_down(now, link);
            }
            Happening::Sent(_) => {}
            Happening::Opened(_) | Happening::DialFailed => unreachable!("a router dials nobody"),
        }
    }

    fn drain(&mut self, now: Now, around: &mut Surroundings<'_>) {
        while let Some(action) = self.router.poll_action() {
            match action {
                Action::SendBatch { link, batch } => {
                    if let Some(wire) = self.wire(link) {
                        around.network.send(around.at, wire, End::Listener, batch.to_vec());
                    }
                }
                Action::Store { token, request } => around.submit(token, request),
                Action::OrderEnded(id, outcome) => {
                    let place = self.erasures.remove(&id).expect("an order ends once");
                    // With any other outcome it is ordered again.
                    if outcome == OrderOutcome::Done && around.ledger.erasures.insert(place, true) == Some(false) {
                        around.work.messages_erased += 1;
                    }
                }
                Action::DropLink { link, cause: DropCause::Silence } => {
                    let wire = self.wire(link).expect("a link that was not dropped before");
                    self.links.remove(&wire);
                    around.network.close(around.at, wire, End::Listener);
                    self.router.handle_link_down(now, link);
                }
                Action::DropLink { link, cause: DropCause::Backlog } => {
                    panic!("a gateway does not take what {link:?} brings");
                }
            }
        }
    }

    fn wire(&self, link: LinkId) -> Option<WireId> {
        self.links.iter().find(|(_, known)| **known == link).map(|(wire, _)| *wire)
    }
}
