//! Lets the orders of an operator in.

use protocol::ids::Realm;
use router_core::{Order, OrderOutcome};
use storage_api::UserRow;
use tokio::sync::{mpsc, oneshot};

use crate::router_loop::Command;
use crate::server::UserError;

/// For as long as the router takes any. Cheap to clone; it does not keep the router from its end.
#[derive(Clone)]
pub struct Operator {
    commands: mpsc::WeakSender<Command>,
}

impl Operator {
    pub(crate) fn new(commands: mpsc::WeakSender<Command>) -> Operator {
        Operator { commands }
    }

    /// The user with this handle, if there is one.
    pub async fn user_called(&self, realm: Realm, handle: &str) -> Result<Option<UserRow>, UserError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::FindUser { realm, handle: handle.to_owned(), reply }).await?;
        answer.await.map_err(|_| UserError::Ended)?.map_err(UserError::Store)
    }

    /// The users with these handles, made where they are not there, in that order. All are asked for before the first is
    /// waited for, so that they share the syncs of the store.
    pub async fn ensure_users(&self, realm: Realm, handles: Vec<String>) -> Result<Vec<UserRow>, UserError> {
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            let (reply, answer) = oneshot::channel();
            self.send(Command::EnsureUser { realm, handle, reply }).await?;
            answers.push(answer);
        }
        let mut users = Vec::with_capacity(answers.len());
        for answer in answers {
            let made = answer.await.map_err(|_| UserError::Ended)?.map_err(UserError::Store)?;
            users.push(made.expect("a user that was ensured is there"));
        }
        Ok(users)
    }

    /// Waits until the order is done. Who stops waiting does not stop the order.
    pub async fn give(&self, order: Order) -> Result<OrderOutcome, UserError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Order { order, reply }).await?;
        answer.await.map_err(|_| UserError::Ended)
    }

    async fn send(&self, command: Command) -> Result<(), UserError> {
        let commands = self.commands.upgrade().ok_or(UserError::Ended)?;
        commands.send(command).await.map_err(|_| UserError::Ended)
    }
}
