//! The sessions of users who neither say nor hear anything: all that is in memory of most people who are online.
//!
//! Mail for the user loads it, and its sessions go on where they are. Invariants: a session is here or with its user's
//! owner, never at both, and here while that owner is being loaded; its device has been sent everything that was in the
//! user's log then, so that its cursor is the end of the log, and nothing is lost but what can be read again.

use alloc::collections::BTreeMap;

use protocol::ids::{DeviceId, SessionId, UserId, UserSeq};
use protocol::link::ConnectionKey;

use crate::links::LinkId;
use crate::mail::SessionRef;
use crate::session::UserSession;

#[derive(Default)]
pub(crate) struct ParkedSessions {
    sessions: BTreeMap<Key, Parked>,
}

/// By user first, since a user is what mail is for.
type Key = (UserId, LinkId, ConnectionKey);

struct Parked {
    device: DeviceId,
    id: SessionId,
    pushed: UserSeq,
}

/// Both are there for each user who is online, so a byte here is a megabyte of somebody's machine.
const _: () = assert!(size_of::<(Key, Parked)>() == 48);

impl ParkedSessions {
    pub(crate) fn put(&mut self, reference: SessionRef, session: &UserSession) {
        let parked = Parked { device: reference.device, id: session.id, pushed: session.pushed };
        self.sessions.insert((reference.user, reference.link, reference.connection), parked);
    }

    /// Those of a user, who is served again.
    pub(crate) fn take(&mut self, user: UserId) -> impl Iterator<Item = (SessionRef, UserSession)> + '_ {
        let taken = self.sessions.extract_if(range(user), |_, _| true);
        taken.map(|((user, link, connection), Parked { device, id, pushed })| {
            (SessionRef { link, connection, user, device }, UserSession::new(id, device, pushed))
        })
    }

    pub(crate) fn has(&self, user: UserId) -> bool {
        self.sessions.range(range(user)).next().is_some()
    }

    /// False: it is not here.
    pub(crate) fn close(&mut self, session: SessionRef) -> bool {
        self.sessions.remove(&(session.user, session.link, session.connection)).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }
}

/// What sorts as a session of this user.
fn range(user: UserId) -> core::ops::RangeInclusive<Key> {
    (user, LinkId(0), ConnectionKey(0))..=(user, LinkId(u64::MAX), ConnectionKey(u64::MAX))
}
