//! The session that a client comes back with to the server of the same name: the newest, for one connection. That gives it
//! another one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct LastSession(Mutex<Option<Session>>);

type Session = (ServerName<'static>, Tls13ClientSessionValue);

impl LastSession {
    /// What a thread that panicked has left behind is whole.
    fn slot(&self) -> MutexGuard<'_, Option<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for LastSession {
    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, session: Tls13ClientSessionValue) {
        *self.slot() = Some((server_name, session));
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.slot().take_if(|(name, _)| name == server_name).map(|(_, session)| session)
    }

    // The first group of every client is the one that servers choose, and TLS 1.2 is not spoken.

    fn set_kx_hint(&self, _server_name: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server_name: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server_name: ServerName<'static>, _session: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server_name: &ServerName<'static>) {}
}
