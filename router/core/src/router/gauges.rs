//! What a router shows of itself: how full it is, and the steps of messages.

use protocol::trace::TraceNotes;

use super::Router;
use crate::counters::RouterGauges;

impl Router {
    /// Steps of messages since they were last taken.
    pub fn notes(&mut self) -> &mut TraceNotes {
        &mut self.context.notes
    }

    /// How full it is.
    pub fn gauges(&self) -> RouterGauges {
        let mut gauges = RouterGauges {
            conversations: self.conversations.len() as u64,
            users: self.users.len() as u64,
            sessions_parked: self.context.parked.len() as u64,
            store_requests: self.context.store.count() as u64,
            ..RouterGauges::default()
        };
        self.context.links.gauge(&mut gauges);
        gauges
    }
}
