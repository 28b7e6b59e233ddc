//! How full a router is.

use super::Router;
use crate::counters::RouterGauges;

impl Router {
    /// How full it is.
    pub fn gauges(&self) -> RouterGauges {
        let mut gauges = RouterGauges {
            conversations: self.conversations.len() as u64,
            users: self.users.len() as u64,
            store_requests: self.context.store.count() as u64,
            ..RouterGauges::default()
        };
        self.context.links.gauge(&mut gauges);
        gauges
    }
}
