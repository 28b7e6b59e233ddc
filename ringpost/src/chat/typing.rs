//! Who types: oneself, told at most every few seconds, and others, believed for a little while.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::ids::UserId;
use tokio::time::Instant;

/// Somebody who goes on typing says so again after this.
const REPEAT_AFTER: Duration = Duration::from_secs(3);
/// Who has not touched a key for so long has stopped.
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// Who has not said so again is believed for so long.
const BELIEVED_FOR: Duration = Duration::from_secs(7);

/// What others are told of one's own typing.
#[derive(Default)]
pub(super) struct OwnTyping {
    told_at: Option<Instant>,
    last_key_at: Option<Instant>,
}

impl OwnTyping {
    /// A key was pressed. Whether to tell.
    pub(super) fn key(&mut self, now: Instant) -> bool {
        self.last_key_at = Some(now);
        let is_due = self.told_at.is_none_or(|told| now.duration_since(told) >= REPEAT_AFTER);
        if is_due {
            self.told_at = Some(now);
        }
        is_due
    }

    /// The message is sent, or thrown away. Whether to tell.
    pub(super) fn stop(&mut self) -> bool {
        self.last_key_at = None;
        self.told_at.take().is_some()
    }

    /// Whether to tell that it has stopped.
    pub(super) fn timeout(&mut self, now: Instant) -> bool {
        self.idle_at().is_some_and(|at| at <= now) && self.stop()
    }

    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.told_at.and(self.last_key_at).map(|at| at + IDLE_AFTER)
    }
}

/// Those who type now.
#[derive(Default)]
pub(super) struct OthersTyping {
    until: BTreeMap<UserId, (String, Instant)>,
}

impl OthersTyping {
    pub(super) fn hear(&mut self, now: Instant, by: UserId, name: &str, active: bool) {
        if active {
            self.until.insert(by, (name.to_owned(), now + BELIEVED_FOR));
        } else {
            self.until.remove(&by);
        }
    }

    /// What they typed has come.
    pub(super) fn said(&mut self, by: UserId) {
        self.until.remove(&by);
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        self.until.retain(|_, (_, until)| *until > now);
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.until.values().map(|(_, until)| *until).min()
    }

    /// `bob is typing…`; empty when nobody is.
    pub(super) fn text(&self) -> String {
        let names: Vec<&str> = self.until.values().map(|(name, _)| name.as_str()).collect();
        match names[..] {
            [] => String::new(),
            [name] => format!("{name} is typing…"),
            [first, second] => format!("{first} and {second} are typing…"),
            _ => format!("{} people are typing…", names.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_is_told_now_and_then_and_its_end_once() {
        let (start, mut own) = (Instant::now(), OwnTyping::default());
        assert!(own.key(start));
        assert!(!own.key(start + Duration::from_secs(1)));
        assert!(own.key(start + Duration::from_secs(4)));
        assert!(!own.timeout(start + Duration::from_secs(8)));
        assert!(own.timeout(start + Duration::from_secs(9)));
        assert!(!own.timeout(start + Duration::from_secs(20)) && !own.stop());
    }

    #[test]
    fn who_falls_silent_is_forgotten() {
        let (start, mut others) = (Instant::now(), OthersTyping::default());
        others.hear(start, UserId(1), "bob", true);
        others.hear(start, UserId(2), "carol", true);
        assert_eq!(others.text(), "bob and carol are typing…");
        others.said(UserId(1));
        assert_eq!(others.text(), "carol is typing…");
        others.timeout(start + BELIEVED_FOR);
        assert_eq!(others.text(), "");
    }
}
