//! Requests under way at the store: each is repeated until it is answered, and what follows from it happens then.

use alloc::collections::BTreeMap;
use core::time::Duration;

use protocol::time::Instant;
use storage_api::{Request, StoreToken};

use crate::mail::Purpose;

pub(crate) struct Pending {
    pub(crate) purpose: Purpose,
    request: Request,
    retry_after: Duration,
}

#[derive(Default)]
pub(crate) struct StoreQueue {
    next_token: u64,
    pending: BTreeMap<StoreToken, Pending>,
    retries: BTreeMap<(Instant, StoreToken), ()>,
}

impl StoreQueue {
    /// The token under which the shell hands the request to the store.
    pub(crate) fn submit(&mut self, request: Request, purpose: Purpose, retry_after: Duration) -> StoreToken {
        self.next_token += 1;
        let token = StoreToken(self.next_token);
        self.pending.insert(token, Pending { purpose, request, retry_after });
        token
    }

    pub(crate) fn count(&self) -> usize {
        self.pending.len()
    }

    /// Answered for good.
    pub(crate) fn take(&mut self, token: StoreToken) -> Option<Pending> {
        self.pending.remove(&token)
    }

    /// To be repeated, as it is, after a time that doubles.
    pub(crate) fn retry_later(&mut self, now: Instant, token: StoreToken, retry_max: Duration) {
        let Some(pending) = self.pending.get_mut(&token) else { return };
        self.retries.insert((now + pending.retry_after, token), ());
        pending.retry_after = (pending.retry_after * 2).min(retry_max);
    }

    /// The next one whose time has come.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(StoreToken, Request)> {
        let (&(at, token), ()) = self.retries.first_key_value()?;
        if at > now {
            return None;
        }
        self.retries.pop_first();
        let pending = self.pending.get(&token).expect("a request waits for its repetition while it is pending");
        Some((token, pending.request.clone()))
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.retries.first_key_value().map(|(&(at, _), ())| at)
    }
}
