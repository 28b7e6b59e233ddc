//! A message on its steady way through the gateway allocates nothing: sockets, TLS, frames, shard, link, and back.
//!
//! The allocator counts for the whole process, so the client and the router of this test are written not to allocate
//! either. A message is what a sender and a recipient cause together, here on one connection: a send, its ack, a push
//! to the device, and the ack of the device.

#[path = "../drivers/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests of the drivers use the rest of it")]
mod support;

mod client;
mod router;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

use client::Sender;
use support::{Bench, config, each_driver};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Each asks for a count of its own: while a turn is larger than any before, some buffer grows once more.
const ROUNDS_MAX: usize = 8;
const MESSAGES_IN_ROUND: usize = 2_000;

#[test]
fn a_message_allocates_nothing_on_its_way() {
    for config in each_driver(&config()) {
        let mut bench = Bench::start_product(config.clone(), 1);
        let router = router::start(bench.links.pop().expect("not taken yet"));
        let mut sender = Sender::welcomed(&bench);
        let mut round = || {
            let region = Region::new(ALLOCATOR);
            (0..MESSAGES_IN_ROUND).for_each(|_| sender.exchange());
            region.change()
        };
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS_MAX && !rounds.last().is_some_and(is_free) {
            rounds.push(round());
        }
        assert!(rounds.last().is_some_and(is_free), "with {:?} none of these is free: {rounds:?}", config.driver);
        drop(sender);
        bench.gateway.drain().expect("it ends well");
        router.join().expect("it ends with the gateway");
    }
}

fn is_free(spent: &Stats) -> bool {
    spent.allocations + spent.reallocations == 0
}
