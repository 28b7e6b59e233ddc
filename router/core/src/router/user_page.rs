//! The answer to a lookup of users.

use alloc::vec::Vec;

use protocol::wire::{self, ServerBody};
use storage_api::UserRow;

use crate::context::Context;
use crate::mail::SessionRef;

pub(super) fn user_page(context: &mut Context, session: SessionRef, request_id: u32, users: &[UserRow]) {
    let frame = context.builder.server(|fbb| {
        let users: Vec<_> = users
            .iter()
            .map(|user| {
                let handle = fbb.create_string(&user.handle);
                wire::User::create(fbb, &wire::UserArgs { id: user.id.0, handle: Some(handle) })
            })
            .collect();
        let users = fbb.create_vector(&users);
        let args = wire::UserPageArgs { request_id, users: Some(users) };
        (ServerBody::UserPage, wire::UserPage::create(fbb, &args).as_union_value())
    });
    context.links.answer(session, frame);
}
