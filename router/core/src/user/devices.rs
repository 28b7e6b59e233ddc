//! The devices of a user: which there are, and which of them are served.
//!
//! A device that is revoked or linked anew gets another standing. Invariants: a standing is durable before anything
//! follows from it; it never falls, so that a repeated request changes nothing; a generation that is revoked has no
//! session, and gets none.

use alloc::vec::Vec;
use core::cmp::Reverse;

use protocol::codes::Code;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId};
use protocol::limits::DEVICES_PAGE_MAX;
use protocol::wire::{self, ServerBody};
use storage_api::{DeviceRow, Mutation, Standing};

use super::User;
use crate::context::Context;
use crate::mail::{Effect, SessionRef, StandingWaiter};

impl User {
    pub(super) fn list_devices(&self, context: &mut Context, session: SessionRef, request_id: u32) {
        let mut devices: Vec<&DeviceRow> = self.devices.values().collect();
        devices.sort_by_key(|row| (row.standing.revoked, Reverse(row.id)));
        let frame = context.builder.server(|fbb| {
            let devices = devices.into_iter().take(DEVICES_PAGE_MAX).map(|row| {
                let name = fbb.create_string(&row.name);
                let is_online = self.sessions.values().any(|session| session.device == row.id);
                let last_seen = context.last_seen.of(row.id).filter(|_| !is_online);
                let args = wire::DeviceArgs {
                    id: row.id.0,
                    generation: row.standing.generation.0,
                    revoked: row.standing.revoked,
                    name: Some(name),
                    registered_at_ms: row.registered_at.0,
                    last_seen_ms: last_seen.map_or(0, |at| at.0),
                    online: is_online,
                };
                wire::Device::create(fbb, &args)
            });
            let devices: Vec<_> = devices.collect();
            let devices = fbb.create_vector(&devices);
            let args = wire::DevicesPageArgs { request_id, devices: Some(devices) };
            (ServerBody::DevicesPage, wire::DevicesPage::create(fbb, &args).as_union_value())
        });
        context.links.answer(session, frame);
    }

    /// A generation is named, so that a request that comes late does not revoke what was linked anew since.
    pub(super) fn revoke(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        client_op_id: ClientMsgId,
        device: DeviceId,
        generation: DeviceGeneration,
    ) {
        match self.devices.get(&device).map(|row| row.standing) {
            Some(standing) if generation <= standing.generation => {
                let wanted = Standing { generation, revoked: true };
                if wanted <= standing {
                    return context.op_ack(session, client_op_id, Ok(None));
                }
                self.change_standing(context, device, wanted, StandingWaiter::Revoke { session, client_op_id });
            }
            _ => context.op_ack(session, client_op_id, Err(Code::NoSuchDevice)),
        }
    }

    /// What waits for it goes on when it is durable.
    pub(super) fn change_standing(
        &self,
        context: &mut Context,
        device: DeviceId,
        standing: Standing,
        waiter: StandingWaiter,
    ) {
        let mutation = Mutation::DeviceStanding { user: self.id, device, standing };
        context.write(mutation, Some(Effect::DeviceStanding { user: self.id, device, standing, waiter }));
    }

    /// It is durable.
    pub(super) fn standing_changed(
        &mut self,
        context: &mut Context,
        device: DeviceId,
        standing: Standing,
        waiter: StandingWaiter,
    ) {
        let row = self.devices.get_mut(&device).expect("only what is registered has a standing");
        row.standing = row.standing.max(standing);
        let is_revoked = row.standing.revoked;
        match waiter {
            // Before the session is cut off: it may be the device's own.
            StandingWaiter::Revoke { session, client_op_id } => context.op_ack(session, client_op_id, Ok(None)),
            // The connection may have closed in the meantime.
            StandingWaiter::Open { session, open }
                if context.links.session(session.link, session.connection) == Some(session) =>
            {
                self.open(context, session, &open);
            }
            StandingWaiter::Open { .. } => {}
        }
        if is_revoked {
            self.cut_off(context, device);
        }
    }

    fn cut_off(&mut self, context: &mut Context, device: DeviceId) {
        let of_device = self.sessions.iter().filter(|(_, session)| session.device == device);
        for session in of_device.map(|(session, _)| *session).collect::<Vec<SessionRef>>() {
            self.end_session(context, session);
            context.links.refuse(session, Code::DeviceRevoked);
        }
    }

    /// A session of a device is over, for whatever reason.
    pub(super) fn end_session(&mut self, context: &mut Context, session: SessionRef) {
        if let Some(ended) = self.sessions.remove(&session) {
            context.last_seen.left(ended.device, context.now.wall);
        }
    }
}
