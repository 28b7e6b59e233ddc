//! What an operator orders to be taken away: a message, or a user with everything.
//!
//! An order is done when it is durable. A user leaves its conversations a few at a time, so that nobody else waits for it;
//! what a death of the router interrupts is found in the store at the next start.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::ids::{ConversationId, MessageId, UserId};
use storage_api::{Erasure, Request};

use crate::context::Context;
use crate::mail::{Purpose, Ticket, ToConversation};

/// Conversations that a user is leaving at a time.
const LEAVING_AT_ONCE: usize = 16;

/// Names an order, for its outcome. The shell never uses one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// See the file's head. Each may be given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Its place becomes a void, and the devices of all who could see it are told so.
    EraseMessage(MessageId),
    /// Its sessions end, its messages become voids, and it leaves every conversation.
    EraseUser(UserId),
}

/// What has become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderOutcome {
    /// It is done, now or since before.
    Done,
    /// There is nothing of this name.
    NotThere,
    /// What is there says who came or went, and stays.
    NotAMessage,
    /// What is there cannot be read.
    Damaged,
}

impl From<Erasure> for OrderOutcome {
    fn from(erasure: Erasure) -> OrderOutcome {
        match erasure {
            Erasure::Done => OrderOutcome::Done,
            Erasure::NotThere => OrderOutcome::NotThere,
            Erasure::NotAMessage => OrderOutcome::NotAMessage,
        }
    }
}

/// Erased users on their way out of their conversations.
#[derive(Default)]
pub(crate) struct Leavers {
    by_user: BTreeMap<UserId, Leaver>,
}

#[derive(Default)]
struct Leaver {
    rest: Vec<ConversationId>,
    /// Held by every conversation that is being left.
    ticket: Ticket,
    is_forgotten: bool,
    orders: Vec<OrderId>,
}

impl Leavers {
    /// The user is erased, and is to leave these.
    pub(crate) fn begin(&mut self, user: UserId, conversations: Vec<ConversationId>, order: Option<OrderId>) {
        let leaver = self.by_user.entry(user).or_insert_with(|| Leaver { rest: conversations, ..Leaver::default() });
        leaver.orders.extend(order);
    }

    /// As far as it goes now.
    pub(crate) fn advance(&mut self, context: &mut Context) {
        for (&user, leaver) in &mut self.by_user {
            while Arc::strong_count(&leaver.ticket) <= LEAVING_AT_ONCE
                && let Some(conversation) = leaver.rest.pop()
            {
                let ticket = Arc::clone(&leaver.ticket);
                context.tell_conversation(conversation, ToConversation::Leave { user, ticket });
            }
            let has_left = leaver.rest.is_empty() && Arc::strong_count(&leaver.ticket) == 1;
            if has_left && !core::mem::replace(&mut leaver.is_forgotten, true) {
                context.ask(Request::ForgetUser(user), Purpose::ForgetUser(user));
            }
        }
    }

    /// All of it is durable.
    pub(crate) fn end(&mut self, context: &mut Context, user: UserId) {
        for order in self.by_user.remove(&user).map(|leaver| leaver.orders).unwrap_or_default() {
            context.end_order(order, OrderOutcome::Done);
        }
    }
}
