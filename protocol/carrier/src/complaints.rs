//! Says what goes wrong, and not again and again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::refusal::{Refusal, RefusalKind};

/// The same kind of refusal is said this often; all of them are counted.
const INTERVAL: Duration = Duration::from_secs(30);

/// When each kind was said last.
#[derive(Default)]
pub(crate) struct Complaints([Mutex<Option<Instant>>; RefusalKind::COUNT]);

impl Complaints {
    /// Whether this one is to be said.
    pub(crate) fn is_news(&self, refusal: &Refusal) -> bool {
        let kind = refusal.kind() as usize;
        let mut said_at = self.0.get(kind).expect("every kind has its place").lock().expect("nobody panics here");
        let is_news = said_at.is_none_or(|said_at| said_at.elapsed() >= INTERVAL);
        if is_news {
            *said_at = Some(Instant::now());
        }
        is_news
    }

    /// Things are well: whatever comes next is news.
    pub(crate) fn forget(&self) {
        for said_at in &self.0 {
            *said_at.lock().expect("nobody panics here") = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_once_until_things_are_well_again() {
        let complaints = Complaints::default();
        assert!(complaints.is_news(&Refusal::OtherKey));
        assert!(!complaints.is_news(&Refusal::OtherKey));
        assert!(complaints.is_news(&Refusal::TimedOut));
        complaints.forget();
        assert!(complaints.is_news(&Refusal::OtherKey));
    }
}
