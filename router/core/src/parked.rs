//! The sessions of users who neither say nor hear anything: all that is in memory of most people who are online.
//!
//! Mail for the user loads it, and its sessions go on where they are. Invariants: a session is here or with its user's
//! owner, never at both, and here while that owner is being loaded; its device has been sent everything that was in the
//! user's log then, so that its cursor is the end of the log, and nothing is lost but what can be read again.

use protocol::ids::{SessionId, UserId, UserSeq};

use crate::dense::{DenseTable, Numbered};
use crate::mail::SessionRef;
use crate::session::UserSession;

/// By user, since a user is what mail is for.
#[derive(Default)]
pub(crate) struct ParkedSessions {
    sessions: DenseTable<Parked>,
}

struct Parked {
    reference: SessionRef,
    id: SessionId,
    pushed: UserSeq,
}

/// One is there for everybody online who is quiet, so a byte here is a megabyte of somebody's machine.
const _: () = assert!(size_of::<Parked>() == 48);

impl Numbered for Parked {
    fn number(&self) -> u64 {
        self.reference.user.0
    }
}

impl ParkedSessions {
    pub(crate) fn put(&mut self, reference: SessionRef, session: &UserSession) {
        self.sessions.insert(Parked { reference, id: session.id, pushed: session.pushed });
    }

    /// Those of a user, who is served again.
    pub(crate) fn take(&mut self, user: UserId) -> impl Iterator<Item = (SessionRef, UserSession)> + '_ {
        core::iter::from_fn(move || {
            let Parked { reference, id, pushed } = self.sessions.remove(user.0, |_| true)?;
            Some((reference, UserSession::new(id, reference.device, pushed)))
        })
    }

    pub(crate) fn has(&self, user: UserId) -> bool {
        self.sessions.find(user.0, |_| true).is_some()
    }

    /// False: it is not here.
    pub(crate) fn close(&mut self, session: SessionRef) -> bool {
        self.sessions.remove(session.user.0, |parked| parked.reference == session).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }
}
