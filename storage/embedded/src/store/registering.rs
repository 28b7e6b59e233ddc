//! Users and devices that are made when they are asked for, and users that are erased.

use protocol::ids::{ClientMsgId, DeviceId, Realm, UserId};
use protocol::time::WallTime;
use storage_api::{DeviceRow, Request, Response, StoreToken, UserRow};

use super::EmbeddedStore;
use crate::record::Row;
use crate::writes::Ending;

impl EmbeddedStore {
    /// What a registration would find.
    pub(super) fn known(&self, request: &Request) -> Option<Response> {
        match request {
            Request::EnsureUser { realm, handle } => {
                Some(Response::Users(vec![self.state.user_called(*realm, handle)?.clone()]))
            }
            Request::RegisterDevice { user, install_id, .. } => {
                Some(Response::Device(Some(self.state.device(*user, *install_id)?.clone())))
            }
            _ => None,
        }
    }

    pub(super) fn erase_user(&mut self, token: StoreToken, user: UserId) {
        if self.state.is_live(user) {
            return self.write(vec![Row::UserErased { user, at: self.wall }], Ending::UserErased(token, user));
        }
        self.answer(token, Ok(Response::Leaving(self.state.conversations_of(user))));
    }

    pub(super) fn ensure_user(&mut self, token: StoreToken, realm: Realm, handle: String) {
        if let Some(row) = self.state.user_called(realm, &handle) {
            let row = row.clone();
            return self.answer(token, Ok(Response::Users(vec![row])));
        }
        if self.registrations.wait_for_user(realm, &handle, token) {
            self.user_counter += 1;
            let id = UserId::new(realm, self.user_counter);
            self.write(vec![Row::User(UserRow { id, handle })], Ending::Unasked);
        }
    }

    pub(super) fn register_device(
        &mut self,
        token: StoreToken,
        user: UserId,
        install_id: ClientMsgId,
        name: &str,
        registered_at: WallTime,
        devices_max: usize,
    ) {
        if let Some(row) = self.state.device(user, install_id) {
            let row = row.clone();
            return self.answer(token, Ok(Response::Device(Some(row))));
        }
        if self.state.served_devices(user) >= devices_max {
            return self.answer(token, Ok(Response::Device(None)));
        }
        if self.registrations.wait_for_device(user, install_id, token) {
            self.device_counter += 1;
            let row = DeviceRow::new(DeviceId(self.device_counter), name, registered_at);
            self.write(vec![Row::Device { user, install_id, row }], Ending::Unasked);
        }
    }
}
