//! How a request becomes an entry: dedup, permission, place, write.

use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::codes::Code;
use protocol::event::MemberChanged;
use protocol::ids::{ClientMsgId, DeviceId, Ordinal, Seq, UserId};
use protocol::limits;
use protocol::time::WallTime;
use protocol::trace::Stage;
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{Entry, EntryBody, EntryKey, Identity, MEMBER_ROWS_MAX, Mutation, Request};

use super::{Conversation, InFlight, Step, Waiter};
use crate::context::Context;
use crate::dedup::Known;
use crate::mail::{Effect, Purpose, SessionRef, Ticket};
use crate::members::Members;
use crate::request::{ConversationRequest, check_age};

impl Conversation {
    pub(super) fn deduplicate(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        request: ConversationRequest,
        client_id: ClientMsgId,
        attempt: u16,
    ) {
        let identity = Identity { sender: session.user, device: session.device, client_id };
        let waiter = Waiter { session, client_id, is_operation: request.is_operation() };
        let known = self.dedup.look_up(identity, attempt);
        if known == Known::New {
            return self.prepare(context, session, request);
        }
        // Whatever the window has forgotten: what is in flight is known here, and to the store only by chance.
        if let Some(in_flight) = self.in_flight.iter_mut().find(|entry| entry.identity == identity) {
            in_flight.waiters.push(waiter);
            return is_known(context, waiter);
        }
        if let Known::At(seq, time) = known {
            is_known(context, waiter);
            return self.ack(context, waiter, seq, time);
        }
        context.counters.dedup_lookups += 1;
        let question = Request::FindIdentity { conversation: self.id, identity };
        self.step = Some(Step::Dedup(session, request));
        context.ask(question, Purpose::Step(self.id));
    }

    /// What the store says is a hint: it counts if the entry is the very one and has been served.
    pub(super) fn dedup_answered(
        &mut self,
        context: &mut Context,
        session: SessionRef,
        request: ConversationRequest,
        found: Option<&Entry>,
    ) {
        let (_, client_id, _) = request.reference();
        let client_id = client_id.expect("only a request with a client id is deduplicated");
        let identity = Identity { sender: session.user, device: session.device, client_id };
        match found {
            Some(entry) if entry.identity() == Some(identity) && entry.key.seq <= self.durable_head => {
                let waiter = Waiter { session, client_id, is_operation: request.is_operation() };
                is_known(context, waiter);
                self.ack(context, waiter, entry.key.seq, entry.server_time());
            }
            _ => self.prepare(context, session, request),
        }
    }

    /// Checks what can be checked here, and asks whether the users that are named exist.
    fn prepare(&mut self, context: &mut Context, session: SessionRef, request: ConversationRequest) {
        let users = match self.check(context, session, &request) {
            Ok(users) => users,
            Err(code) => return context.refuse(session, &request, code),
        };
        if users.is_empty() {
            return self.admit(context, session, request);
        }
        let question = Request::LookupUsers { realm: session.user.realm(), handles: Vec::new(), ids: users.clone() };
        self.step = Some(Step::Users(session, request, users.len()));
        context.ask(question, Purpose::Step(self.id));
    }

    /// The users that must exist before this may become an entry.
    fn check(
        &self,
        context: &Context,
        session: SessionRef,
        request: &ConversationRequest,
    ) -> Result<Vec<UserId>, Code> {
        let (_, client_id, _) = request.reference();
        check_age(client_id.expect("only a request with a client id becomes an entry"), context.now.wall)?;
        if context.disk_low {
            return Err(Code::DiskLow);
        }
        match request {
            ConversationRequest::Send { message, .. } if !self.exists() => {
                message.head().direct_peer.map(|peer| alloc::vec![peer]).ok_or(Code::ConversationUnknown)
            }
            ConversationRequest::Send { .. } => {
                self.present(session.user)?;
                let is_alone = self.kind == ConversationKind::Direct && self.members.present_count() < 2;
                if is_alone { Err(Code::NoSuchUser) } else { Ok(Vec::new()) }
            }
            ConversationRequest::Create { kind, title, members, .. } => {
                if !matches!(*kind, ConversationKind::Group | ConversationKind::Channel) {
                    return Err(Code::Unsupported);
                }
                if title.len() > limits::TITLE_SIZE_MAX {
                    return Err(Code::TooLarge);
                }
                let members = with_creator(members, session.user);
                if members.len() > limits::GROUP_MEMBERS_MAX { Err(Code::GroupFull) } else { Ok(members) }
            }
            ConversationRequest::Change { action, users, role, .. } => {
                self.check_change(session, *action, users, *role)
            }
            _ => unreachable!("only what becomes an entry is prepared"),
        }
    }

    fn present(&self, user: UserId) -> Result<Role, Code> {
        if !self.exists() {
            return Err(Code::ConversationUnknown);
        }
        match self.members.role(user) {
            Role::None => Err(Code::NotPermitted),
            role => Ok(role),
        }
    }

    /// Owners and admins add and remove; an owner cannot be removed; owners give roles; everybody may leave.
    fn check_change(
        &self,
        session: SessionRef,
        action: MembershipAction,
        users: &[UserId],
        role: Role,
    ) -> Result<Vec<UserId>, Code> {
        let own_role = self.present(session.user)?;
        if self.kind == ConversationKind::Direct || users.is_empty() {
            return Err(Code::Malformed);
        }
        if users.len() > limits::GROUP_MEMBERS_MAX {
            return Err(Code::TooLarge);
        }
        let may_manage = own_role >= Role::Admin;
        match action {
            MembershipAction::Added if may_manage => {
                let new: Vec<UserId> = with_creator(users, users[0])
                    .into_iter()
                    .filter(|user| self.members.role(*user) == Role::None)
                    .collect();
                let strangers_count = new.iter().filter(|user| !self.members.knows(**user)).count();
                let is_full = self.members.present_count() + new.len() > limits::GROUP_MEMBERS_MAX
                    || self.members.count() + strangers_count > MEMBER_ROWS_MAX;
                if is_full { Err(Code::GroupFull) } else { Ok(new) }
            }
            MembershipAction::Removed if may_manage => {
                let owner_named = users.iter().any(|user| self.members.role(*user) == Role::Owner);
                if owner_named { Err(Code::NotPermitted) } else { Ok(Vec::new()) }
            }
            MembershipAction::RoleChanged if own_role == Role::Owner => {
                let fits = matches!(role, Role::Member | Role::Admin) && !users.contains(&session.user);
                if fits { Ok(Vec::new()) } else { Err(Code::Malformed) }
            }
            MembershipAction::Left if *users == [session.user] => Ok(Vec::new()),
            MembershipAction::Added | MembershipAction::Removed | MembershipAction::RoleChanged => {
                Err(Code::NotPermitted)
            }
            _ => Err(Code::Malformed),
        }
    }

    /// Gives it its place. Everything has been checked; the users exist.
    pub(super) fn admit(&mut self, context: &mut Context, session: SessionRef, request: ConversationRequest) {
        if context.erased.contains(&session.user) {
            return context.refuse(session, &request, Code::UserUnknown);
        }
        let is_operation = request.is_operation();
        let (_, client_id, _) = request.reference();
        let client_id = client_id.expect("only a request with a client id becomes an entry");
        self.server_time = self.server_time.max(context.now.wall);
        let seq = self.head.next();
        let (body, ordinal) = match request {
            ConversationRequest::Send { message, .. } => {
                if !self.exists() {
                    let peer = message.head().direct_peer;
                    let peer = peer.expect("checked: a new conversation of a message is a direct one");
                    self.kind = ConversationKind::Direct;
                    self.members = Members::of_direct([session.user, peer]);
                }
                let ordinal = Ordinal(self.head_ordinal.0 + 1);
                (EntryBody::Message(message.place(seq, ordinal, self.server_time)), ordinal)
            }
            ConversationRequest::Create { kind, title, members, .. } => {
                (self.kind, self.title) = (kind, title);
                let users = with_creator(&members, session.user);
                let change = self.change(
                    (session.user, session.device),
                    client_id,
                    MembershipAction::Created,
                    users,
                    Role::Member,
                );
                (change, self.head_ordinal)
            }
            ConversationRequest::Change { action, mut users, role, .. } => {
                users.sort_unstable();
                users.dedup();
                users.retain(|user| (self.members.role(*user) == Role::None) == (action == MembershipAction::Added));
                if users.is_empty() {
                    // It is as they wish already.
                    return context.op_ack(session, client_id, Ok(Some((self.id, self.durable_head))));
                }
                (self.change((session.user, session.device), client_id, action, users, role), self.head_ordinal)
            }
            _ => unreachable!("only what becomes an entry is admitted"),
        };
        let key = EntryKey { conversation: self.id, seq };
        let entry = Arc::new(Entry { key, epoch: context.config.epoch, ordinal, body });
        self.append(context, entry, alloc::vec![Waiter { session, client_id, is_operation }], None);
    }

    /// An erased user leaves. From a direct conversation nobody can, so that the other one just finds nobody there.
    pub(super) fn leave(&mut self, context: &mut Context, user: UserId, ticket: Ticket) {
        if self.kind == ConversationKind::Direct {
            return self.members.lose(user, self.head);
        }
        if self.members.role(user) == Role::None {
            return;
        }
        self.server_time = self.server_time.max(context.now.wall);
        let client_op_id = ClientMsgId::new(self.server_time, user.0.into());
        let (actor, users) = ((user, DeviceId(0)), alloc::vec![user]);
        let body = self.change(actor, client_op_id, MembershipAction::Left, users, Role::None);
        let key = EntryKey { conversation: self.id, seq: self.head.next() };
        let entry = Arc::new(Entry { key, epoch: context.config.epoch, ordinal: self.head_ordinal, body });
        self.append(context, entry, Vec::new(), Some(ticket));
    }

    fn change(
        &self,
        (actor, actor_device): (UserId, DeviceId),
        client_op_id: ClientMsgId,
        action: MembershipAction,
        users: Vec<UserId>,
        role: Role,
    ) -> EntryBody {
        EntryBody::Membership(Arc::new(MemberChanged {
            conversation: self.id,
            seq: self.head.next(),
            ordinal: self.head_ordinal,
            action,
            actor,
            actor_device,
            users,
            role,
            kind: self.kind,
            title: self.title.clone(),
            client_op_id,
            server_time: self.server_time,
        }))
    }

    fn append(&mut self, context: &mut Context, entry: Arc<Entry>, waiters: Vec<Waiter>, ticket: Option<Ticket>) {
        let seq = entry.key.seq;
        (self.head, self.head_ordinal) = (seq, entry.ordinal);
        if let EntryBody::Membership(change) = &entry.body {
            self.members.apply(seq, change);
        }
        let identity = entry.identity().expect("an admitted entry is somebody's");
        self.dedup.insert(identity, (seq, self.server_time), context.config.dedup_window_entries);
        self.last_sent.insert(identity.sender, seq);
        context.trace(identity.client_id, Stage::Placed, identity.sender, identity.device);
        context.write(Mutation::Entry(Arc::clone(&entry)), Some(Effect::Entry(self.id, seq)));
        if context.traits.one_log {
            self.fan_out(context, &entry);
        }
        let since = context.now.monotonic;
        self.in_flight.push_back(InFlight { entry, identity, waiters, ticket, is_durable: false, since });
    }

    pub(super) fn ack(&self, context: &mut Context, waiter: Waiter, seq: Seq, time: WallTime) {
        if waiter.is_operation {
            context.op_ack(waiter.session, waiter.client_id, Ok(Some((self.id, seq))));
        } else {
            super::answer::message_ack(context, waiter.session, waiter.client_id, self.id, seq, time);
        }
    }
}

/// Its entry has its place already.
fn is_known(context: &mut Context, waiter: Waiter) {
    context.counters.dedup_hits += 1;
    context.trace(waiter.client_id, Stage::Known, waiter.session.user, waiter.session.device);
}

/// Each once, in order, the creator among them.
fn with_creator(members: &[UserId], creator: UserId) -> Vec<UserId> {
    let mut members = members.to_vec();
    members.push(creator);
    members.sort_unstable();
    members.dedup();
    members
}
