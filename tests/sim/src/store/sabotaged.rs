//! A store that lies to the router about one thing, so that a promise must break and the checker must see it.
//!
//! The lie is in the answer only; the checker looks past it.

use protocol::ids::{Seq, UserId};
use protocol::time::Instant;
use protocol::wire::Role;
use storage_api::{MemberRow, Request, Response, Span, StoreToken, StoreTraits};

use super::{Completion, Death, Harm, News, Store, StoreToll, Weather};

/// What is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// No identity is ever found.
    Dedup,
    /// Everybody is a member of every conversation from its first entry on.
    Membership,
    /// The disk of the embedded store says of every commit that it is synced. No lie in answers: see `LyingDisk`.
    Fsync,
}

impl Sabotage {
    /// All, by their names on the command line.
    pub const ALL: &[(&str, Sabotage)] =
        &[("dedup", Sabotage::Dedup), ("membership", Sabotage::Membership), ("fsync", Sabotage::Fsync)];
}

/// See the file's head.
pub struct SabotagedStore<S> {
    store: S,
    sabotage: Sabotage,
    /// Who is said to be a member.
    users: Vec<UserId>,
}

impl<S: Store> SabotagedStore<S> {
    /// Lies from now on; `users` are all there are.
    pub fn new(store: S, sabotage: Sabotage, users: Vec<UserId>) -> SabotagedStore<S> {
        SabotagedStore { store, sabotage, users }
    }

    fn lie(&self, response: &mut Response) {
        match (self.sabotage, response) {
            (Sabotage::Dedup, Response::Found(found)) => *found = None,
            (Sabotage::Membership, Response::Conversation(Some(row))) => {
                let spans = vec![Span { join: Seq(1), left: None }];
                let member = |user: &UserId| MemberRow { user: *user, role: Role::Member, spans: spans.clone() };
                row.members = self.users.iter().map(member).collect();
            }
            _ => {}
        }
    }
}

impl<S: Store> Store for SabotagedStore<S> {
    fn traits(&self) -> StoreTraits {
        self.store.traits()
    }

    fn open(&mut self, now: Instant) {
        self.store.open(now);
    }

    fn check(&mut self, now: Instant) {
        self.store.check(now);
    }

    fn submit(&mut self, now: Instant, token: StoreToken, request: Request) {
        self.store.submit(now, token, request);
    }

    fn poll(&mut self, now: Instant) -> Vec<Completion> {
        let mut completions = self.store.poll(now);
        completions.iter_mut().filter_map(|(_, result)| result.as_mut().ok()).for_each(|response| self.lie(response));
        completions
    }

    fn poll_news(&mut self) -> Option<News> {
        self.store.poll_news()
    }

    fn next_at(&self) -> Option<Instant> {
        self.store.next_at()
    }

    fn under_way(&self) -> usize {
        self.store.under_way()
    }

    fn crash(&mut self, now: Instant, death: Death) {
        self.store.crash(now, death);
    }

    fn set_weather(&mut self, weather: Option<Weather>) {
        self.store.set_weather(weather);
    }

    fn harm(&mut self, harm: Harm) -> bool {
        self.store.harm(harm)
    }

    fn heal(&mut self, harm: Harm) {
        self.store.heal(harm);
    }

    fn toll(&self) -> StoreToll {
        self.store.toll()
    }

    fn look(&mut self, request: &Request) -> Response {
        self.store.look(request)
    }

    fn reread(&mut self) -> Result<(), String> {
        self.store.reread()
    }
}
