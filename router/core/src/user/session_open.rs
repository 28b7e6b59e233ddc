//! A session begins: which device it is, whether it goes on after its cursor, and what it is sent first.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;

use protocol::codes::Code;
use protocol::ids::{DeviceId, SessionId};
use protocol::link::{RouterMessage, SessionOpened};
use protocol::wire::{self, ServerBody};
use storage_api::{DeviceRow, Request};

use super::User;
use crate::context::Context;
use crate::mail::{Purpose, SessionRef, StandingWaiter};
use crate::request::OpenRequest;
use crate::session::UserSession;

/// Conversations in one Snapshot: the newest; the rest is found through history.
const SNAPSHOT_CONVERSATIONS_MAX: usize = 100;

impl User {
    pub(super) fn open(&mut self, context: &mut Context, session: SessionRef, open: &OpenRequest) {
        if open.transient {
            let id = open.session.unwrap_or_else(|| context.new_session_id());
            return self.opened(context, session, open, id, true);
        }
        if session.device == DeviceId(0) {
            let Some(install_id) = open.install_id else {
                return context.links.refuse(session, Code::DeviceUnknown);
            };
            let request = Request::RegisterDevice {
                user: self.id,
                install_id,
                name: open.device_name.clone(),
                registered_at: context.now.wall,
                devices_max: context.config.devices_max,
            };
            return context.ask(request, Purpose::Device { session, open: open.clone() });
        }
        let links_anew = open.install_id.is_some();
        match self.devices.get(&session.device).map(|row| row.standing) {
            None => context.links.refuse(session, Code::DeviceUnknown),
            Some(standing) if standing.admits(open.device_generation) => self.attach(context, session, open),
            Some(standing) if links_anew && standing.revoked => {
                let waiter = StandingWaiter::Open { session, open: open.clone() };
                self.change_standing(context, session.device, standing.link_anew(), waiter);
            }
            // It was linked anew: just now, or before and it did not hear of it.
            Some(_) if links_anew => self.attach(context, session, open),
            Some(_) => context.links.refuse(session, Code::DeviceRevoked),
        }
    }

    pub(super) fn device_registered(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        open: &OpenRequest,
        device: Option<DeviceRow>,
    ) {
        // The connection may have closed in the meantime.
        if context.links.session(session.link, session.connection) != Some(session) {
            return;
        }
        let Some(device) = device else {
            return context.links.refuse(session, Code::TooManyDevices);
        };
        let session = SessionRef { device: device.id, ..session };
        let standing = self.devices.get_or_insert_with(device.id, || device).standing;
        context.links.rename(session);
        // A name that has been used brings back the device as it has become since.
        if standing.revoked {
            return context.links.refuse(session, Code::DeviceRevoked);
        }
        self.attach(context, session, open);
    }

    fn attach(&mut self, context: &mut Context, session: SessionRef, open: &OpenRequest) {
        let id = open.session.unwrap_or_else(|| context.new_session_id());
        let same_device = |other: &UserSession| other.device == session.device;
        // A session that is registered again after a break may be what a client has left behind.
        if self.sessions.values().any(|other| same_device(other) && other.id > id) {
            return context.links.refuse(session, Code::Replaced);
        }
        let older: Vec<SessionRef> =
            self.sessions.iter().filter(|(_, other)| same_device(other)).map(|(older, _)| *older).collect();
        for other in older {
            self.sessions.remove(&other);
            if (other.link, other.connection) != (session.link, session.connection) {
                context.links.refuse(other, Code::Replaced);
            }
        }
        let is_resumable = open.store_incarnation == context.traits.incarnation
            && open.user_epoch == self.user_epoch
            && open.user_cursor <= self.durable_head
            && open.user_cursor.next() >= self.log_start;
        if open.session.is_some() && !is_resumable {
            return context.links.refuse(session, Code::RouterUnavailable);
        }
        // The list of conversations is as new as the log, and its end may not be durable yet.
        let pushed = if is_resumable { open.user_cursor } else { self.head };
        let mut opened = UserSession::new(id, session.device, pushed);
        if !is_resumable {
            opened.snapshot = Some(Box::new((self.head, self.snapshot(context))));
        }
        self.sessions.insert(session, opened);
        context.last_seen.came(session.device);
        self.opened(context, session, open, id, is_resumable);
        if is_resumable {
            context.counters.resumes += 1;
            if open.session.is_none() {
                self.device_holds(context, session.device, open.user_cursor, None);
            }
        } else {
            context.counters.snapshots += 1;
        }
        self.pump(context, session);
    }

    fn opened(&self, context: &mut Context, session: SessionRef, open: &OpenRequest, id: SessionId, resumed: bool) {
        let device_generation =
            self.devices.get(&session.device).map_or(open.device_generation, |row| row.standing.generation);
        let opened = SessionOpened {
            connection: session.connection,
            session: id,
            user: self.id,
            handle: &self.handle,
            device: session.device,
            device_generation,
            resumed,
            user_epoch: self.user_epoch,
            user_head: self.durable_head,
        };
        context.links.control(session.link, &RouterMessage::SessionOpened(opened));
    }

    fn snapshot(&self, context: &mut Context) -> Vec<u8> {
        let mut newest: Vec<_> = self.conversations.values().collect();
        newest.sort_unstable_by_key(|row| Reverse(row.touched));
        let frame = context.builder.server(|fbb| {
            let conversations: Vec<_> = newest
                .iter()
                .take(SNAPSHOT_CONVERSATIONS_MAX)
                .map(|row| {
                    let title = fbb.create_string(&row.title);
                    let conversation = row.conversation.into();
                    let args = wire::ConversationSummaryArgs {
                        conversation: Some(&conversation),
                        kind: row.kind,
                        direct_peer: row.direct_peer.map_or(0, |peer| peer.0),
                        title: Some(title),
                        head_seq: row.held.0,
                        head_ordinal: row.held_ordinal.0,
                        read_seq: row.read.0,
                        read_ordinal: row.read_ordinal.0,
                    };
                    wire::ConversationSummary::create(fbb, &args)
                })
                .collect();
            let conversations = fbb.create_vector(&conversations);
            let args = wire::SnapshotArgs {
                user_seq: self.head.0,
                user_epoch: self.user_epoch.0,
                conversations: Some(conversations),
                has_more: self.conversations.len() > SNAPSHOT_CONVERSATIONS_MAX,
            };
            (ServerBody::Snapshot, wire::Snapshot::create(fbb, &args).as_union_value())
        });
        frame.to_vec()
    }
}
