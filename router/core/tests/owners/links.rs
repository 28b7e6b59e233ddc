//! Links that are quiet, and links that are dead.

use protocol::ids::StoreIncarnation;
use protocol::link::{Batch, GatewayHello, GatewayMessage, LINK_SILENCE_MAX, LINK_VERSION, LinkEnd};
use protocol::time::{Instant, Now};
use protocol::wire::Durability;
use router_core::{Action, DropCause, LinkId, Router, RouterConfig};
use storage_api::StoreTraits;

use crate::world::WALL;

const QUIET: LinkId = LinkId(1);
const DEAD: LinkId = LinkId(2);

fn router() -> Router {
    let traits = StoreTraits { one_log: true, durability: Durability::Memory, incarnation: StoreIncarnation(1) };
    Router::new(RouterConfig::default(), traits)
}

/// Everything that is wanted: the batches for the quiet link, and the links to be dropped.
fn drain(router: &mut Router) -> (Vec<Batch>, Vec<(LinkId, DropCause)>) {
    let (mut batches, mut drops) = (Vec::new(), Vec::new());
    while let Some(action) = router.poll_action() {
        match action {
            Action::SendBatch { link: QUIET, batch } => batches.push(batch),
            Action::DropLink { link, cause } => drops.push((link, cause)),
            Action::SendBatch { .. } | Action::OrderEnded(..) | Action::Store { .. } => {}
        }
    }
    (batches, drops)
}

#[test]
fn a_gateway_that_is_not_heard_of_loses_its_link_and_a_quiet_one_keeps_it() {
    let mut router = router();
    let mut now = Now { monotonic: Instant(1), wall: WALL };
    let start = now.monotonic;
    let (mut gateway, mut beats, mut dropped) = (LinkEnd::default(), 0, Vec::new());
    for link in [QUIET, DEAD] {
        router.handle_link_up(now, link);
    }
    let hello = GatewayHello { version: LINK_VERSION, gateway_id: 1, shard_index: 0, gateway_incarnation: 1 };
    gateway.send_to_router(&GatewayMessage::Hello(hello)).expect("a hello is free");
    while now.monotonic < start + 10 * LINK_SILENCE_MAX {
        let (batches, drops) = drain(&mut router);
        for (link, cause) in drops {
            router.handle_link_down(now, link);
            dropped.push((link, cause, now.monotonic.since(start)));
        }
        beats += batches.len();
        for batch in batches {
            gateway.handle_batch_of_router(&batch, |_, _| {}).expect("the router's end is true");
            gateway.beat();
        }
        if let Some(batch) = gateway.poll_batch() {
            router.handle_link_batch(now, QUIET, &batch).expect("the gateway's end is true");
            continue;
        }
        now.monotonic = router.poll_timeout().expect("a link has deadlines");
        router.handle_timeout(now);
    }
    assert!((25..=35).contains(&beats), "a beat a second and a hello: {beats}");
    assert_eq!(dropped, [(DEAD, DropCause::Silence, LINK_SILENCE_MAX)]);
    assert_eq!(router.counters().links_silent, 1);
}
