//! Users and devices that are being made: who asks for one that is under way waits for the same one.

use std::collections::HashMap;

use protocol::ids::{ClientMsgId, Realm, UserId};
use storage_api::StoreToken;

#[derive(Default)]
pub(crate) struct Registrations {
    users: HashMap<(Realm, String), Vec<StoreToken>>,
    devices: HashMap<(UserId, ClientMsgId), Vec<StoreToken>>,
}

impl Registrations {
    /// True: nobody else has asked for this user, so it is to be written.
    pub(crate) fn wait_for_user(&mut self, realm: Realm, handle: &str, token: StoreToken) -> bool {
        let waiting = self.users.entry((realm, handle.to_owned())).or_default();
        waiting.push(token);
        waiting.len() == 1
    }

    /// As above.
    pub(crate) fn wait_for_device(&mut self, user: UserId, install_id: ClientMsgId, token: StoreToken) -> bool {
        let waiting = self.devices.entry((user, install_id)).or_default();
        waiting.push(token);
        waiting.len() == 1
    }

    /// Who waits for it.
    pub(crate) fn user_made(&mut self, realm: Realm, handle: &str) -> Vec<StoreToken> {
        self.users.remove(&(realm, handle.to_owned())).unwrap_or_default()
    }

    /// As above.
    pub(crate) fn device_made(&mut self, user: UserId, install_id: ClientMsgId) -> Vec<StoreToken> {
        self.devices.remove(&(user, install_id)).unwrap_or_default()
    }

    /// Everybody who waits; nothing will be made.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = StoreToken> {
        let users = std::mem::take(&mut self.users).into_values();
        users.chain(std::mem::take(&mut self.devices).into_values()).flatten()
    }
}
