//! What the router has in memory for somebody who is online and quiet. The allocator counts for the whole process, so this
//! is the only test of its binary.

#[path = "owners/store.rs"]
#[allow(dead_code, reason = "the tests of the owners use the rest of it")]
mod store;
#[path = "owners/world.rs"]
#[allow(dead_code, reason = "the tests of the owners use the rest of it")]
mod world;

use std::alloc::System;
use std::time::Duration;

use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, UserSeq};
use protocol::trace::TraceConfig;
use protocol::wire::{self, ClientBody};
use router_core::{Router, RouterConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use store::member;
use world::{WALL, World};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const USERS: usize = 1_000;

/// A session on its link, and the same one parked; everything else of the router is in it as well.
const BYTES_PER_USER_MAX: usize = 128;

#[test]
fn who_is_online_and_quiet_takes_hardly_more_than_the_row_of_a_session() {
    let config = RouterConfig { trace: TraceConfig { one_in: 0, ..TraceConfig::default() }, ..RouterConfig::default() };
    let mut world = World::new(true, config);
    for index in 0..USERS {
        world.open(index as u64, member(index), UserSeq(0));
    }
    for index in (0..USERS).step_by(2) {
        let to = (ConversationId::direct(member(index), member(index + 1)), Some(member(index + 1)));
        world.message(index as u64, to, ClientMsgId::new(WALL, index as u128), 0);
        world.settle();
        world.request(index as u64 + 1, &ack(1));
        world.settle();
        world.request(index as u64, &ack(2));
        world.pay_back();
    }
    world.pass(Duration::from_secs(5));
    // Two rounds of the sweep, and what it has begun of one.
    for _ in 0..3 * 64 {
        world.pass(config.park_after / 64);
        world.pay_back();
    }
    let gauges = world.router.gauges();
    assert_eq!((gauges.sessions, gauges.sessions_parked, gauges.users), (USERS as u64, USERS as u64, 0));
    let another = Router::new(config, world::traits(true));
    let region = Region::new(ALLOCATOR);
    world.router = another;
    let freed = region.change().bytes_deallocated;
    println!("{} bytes for each of {USERS} users", freed / USERS);
    assert!(freed / USERS <= BYTES_PER_USER_MAX, "{freed} bytes");
}

fn ack(user_seq: u64) -> Vec<u8> {
    let body = |fbb: &mut _| (ClientBody::Ack, wire::Ack::create(fbb, &wire::AckArgs { user_seq }).as_union_value());
    FrameBuilder::default().client(None, body).to_vec()
}
