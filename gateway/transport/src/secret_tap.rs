//! Takes the traffic secrets of a handshake from the library while it derives them, so that key updates can go on from
//! them: what it gives out at the end are only the first keys.
//!
//! The library calls its key log on the thread that feeds it, within the call that feeds it. So a slot of the thread is
//! enough, emptied after every call, and no secret can come to another connection.

use std::cell::Cell;
use std::fmt;

use rustls::KeyLog;

use crate::traffic_keys::SECRET_SIZE;

thread_local! {
    static TAPPED: Cell<Secrets> = const { Cell::new(Secrets { client: None, server: None }) };
}

/// Of the application data, by who seals with it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Secrets {
    pub(crate) client: Option<[u8; SECRET_SIZE]>,
    pub(crate) server: Option<[u8; SECRET_SIZE]>,
}

impl Secrets {
    /// Adds what the last call of the library on this thread has derived.
    pub(crate) fn take_tapped(&mut self) {
        let tapped = TAPPED.take();
        self.client = self.client.or(tapped.client);
        self.server = self.server.or(tapped.server);
    }
}

/// Goes into the configuration of every connection.
pub(crate) struct SecretTap;

impl KeyLog for SecretTap {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let mut tapped = TAPPED.get();
        match label {
            "CLIENT_TRAFFIC_SECRET_0" => tapped.client = secret.try_into().ok(),
            "SERVER_TRAFFIC_SECRET_0" => tapped.server = secret.try_into().ok(),
            _ => return,
        }
        TAPPED.set(tapped);
    }
}

impl fmt::Debug for SecretTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretTap")
    }
}
