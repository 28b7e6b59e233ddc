//! Orders of an operator on their way through the store.

use protocol::codes::Code;
use protocol::ids::{MessageId, UserId};
use protocol::time::Now;
use storage_api::{EntryKey, Erasure, Request, Response};

use super::Router;
use crate::mail::{Purpose, ToConversation};
use crate::orders::{Order, OrderId, OrderOutcome};

impl Router {
    /// An operator orders something; exactly one [`Action::OrderEnded`] follows.
    pub fn handle_order(&mut self, now: Now, id: OrderId, order: Order) {
        self.context.now = now;
        match order {
            Order::EraseMessage(MessageId { conversation, seq }) => {
                let key = EntryKey { conversation, seq };
                self.context.ask(Request::EraseEntry(key), Purpose::EraseEntry(id, key));
            }
            Order::EraseUser(user) => self.erase_user(user, Some(id)),
        }
        self.finish_turn();
    }

    pub(super) fn order_answered(&mut self, purpose: Purpose, response: Response) {
        match (purpose, response) {
            (Purpose::EraseEntry(order, key), Response::Erased(erasure)) => {
                if erasure == Erasure::Done {
                    self.context.tell_conversation(key.conversation, ToConversation::Erased(key.seq));
                }
                self.context.end_order(order, erasure.into());
            }
            (Purpose::EraseUser(user, order), Response::Leaving(Some(conversations))) => {
                self.leavers.begin(user, conversations, order);
            }
            (Purpose::EraseUser(user, order), Response::Leaving(None)) => {
                self.context.erased.remove(&user);
                order.into_iter().for_each(|order| self.context.end_order(order, OrderOutcome::NotThere));
            }
            (Purpose::ForgetUser(user), Response::Written) => self.leavers.end(&mut self.context, user),
            (Purpose::Leavers, Response::Users(users)) => {
                users.iter().for_each(|user| self.erase_user(user.id, None));
            }
            (purpose, response) => panic!("the store answered {purpose:?} with {response:?}"),
        }
    }

    /// From now on nobody is served in its name; what it has said goes with the answer of the store.
    fn erase_user(&mut self, user: UserId, order: Option<OrderId>) {
        self.context.erased.insert(user);
        if let Some(owner) = self.users.get_mut(&user) {
            owner.erase(&mut self.context);
        }
        for (session, _) in self.context.parked.take(user) {
            self.context.links.refuse(session, Code::UserUnknown);
        }
        self.context.ask(Request::EraseUser(user), Purpose::EraseUser(user, order));
    }
}
