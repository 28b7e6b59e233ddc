//! A verb's time with the server: it connects, does what it came for, and goes.

use std::future::{Future, pending};
use std::time::Duration;

use client::{Client, CommandError, Event, Events, Identity, Me, RequestError, State, Trouble, User};
use protocol::client::OUTBOX_BYTES_MAX;
use protocol::ids::UserId;
use protocol::limits::{FRAME_SIZE_MAX, USER_LOOKUP_MAX};
use tokio::runtime::{Builder, Runtime};

use crate::access::Access;
use crate::binary;
use crate::mistake::{Exit, Mistake};

/// A question that is not answered within this time is not answered at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One thread is enough for one client.
pub(crate) fn runtime() -> Result<Runtime, Mistake> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Mistake::new(Exit::Unavailable, format!("cannot start a thread: {error}; see `ulimit -u`")))
}

/// A client of the given kind, which connects by itself.
pub(crate) fn connect(access: &Access, identity: Identity) -> Result<(Client, Events), Mistake> {
    Client::connect(access.config(identity))
        .map_err(|error| Mistake::new(Exit::Config, format!("the certificate to trust is of no use: {error}")))
}

/// Runs a conversation of questions and answers as a transient client.
pub(crate) fn ask<T>(
    access: &Access,
    questions: impl AsyncFnOnce(&Client) -> Result<T, Mistake>,
) -> Result<T, Mistake> {
    ask_as(access, Identity::Transient, questions)
}

/// The same as somebody else. What a device is told meanwhile it is told again the next time.
pub(crate) fn ask_as<T>(
    access: &Access,
    identity: Identity,
    questions: impl AsyncFnOnce(&Client) -> Result<T, Mistake>,
) -> Result<T, Mistake> {
    runtime()?.block_on(async {
        let (client, mut events) = connect(access, identity)?;
        let mut reach = Reach::default();
        let watching = async {
            while let Some(told) = events.next().await {
                if let Event::State(state) = told.event {
                    reach.check(access, state)?;
                }
            }
            pending().await
        };
        let result = tokio::select! {
            biased;
            result = questions(&client) => result,
            closed = watching => closed,
        };
        client.close().await;
        result
    })
}

/// Messages that are handed to a client ahead of their acks: with the largest ones its outbox still has room, so that
/// nothing ever waits for a place in it.
const OUTBOX_AHEAD_MAX: usize = 200;

const _: () = assert!(OUTBOX_AHEAD_MAX * FRAME_SIZE_MAX < OUTBOX_BYTES_MAX);

/// Whether the client is to be handed another message.
pub(crate) fn has_room(client: &Client) -> bool {
    client.outbox_len() < OUTBOX_AHEAD_MAX
}

/// Whether the server was ever reached. Who cannot reach it at the first attempt is told at once what to do.
#[derive(Default)]
pub(crate) struct Reach {
    was_online: bool,
}

impl Reach {
    /// An error: there is no point in waiting.
    pub(crate) fn check(&mut self, access: &Access, state: State) -> Result<(), Mistake> {
        match state {
            State::Online(_) => self.was_online = true,
            State::Closed(Some(trouble)) => return Err(Mistake::from(&trouble)),
            State::Offline(trouble @ (Trouble::Network(_) | Trouble::Tls(_))) if !self.was_online => {
                return Err(unreachable(access, &trouble));
            }
            State::Connecting | State::Offline(_) | State::Closed(None) => {}
        }
        Ok(())
    }
}

/// In one line, with what to type.
pub(crate) fn unreachable(access: &Access, trouble: &Trouble) -> Mistake {
    let (server, binary) = (access.server(), binary::path());
    let text = match trouble {
        Trouble::Tls(_) => format!("no TLS with {server}: {trouble}; name what it presents with --certificate FILE"),
        _ => format!("cannot reach {server}: {trouble}; start a server with `{binary} dev`, or name one with --server"),
    };
    Mistake::new(Exit::Unavailable, text)
}

/// The answer to one question, if it comes in time.
pub(crate) async fn answer<T>(question: impl Future<Output = Result<T, RequestError>>) -> Result<T, Mistake> {
    match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
        // Why it has closed is known to whoever listens to its events.
        Ok(Err(RequestError::Command(CommandError::Closed))) => pending().await,
        Ok(answered) => answered.map_err(Mistake::from),
        Err(_) => {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Err(Mistake::new(Exit::TryAgain, format!("the server did not answer within {seconds} s: try again")))
        }
    }
}

/// As whom the server knows the client.
pub(crate) async fn me(client: &Client) -> Result<Me, Mistake> {
    let known = async {
        match client.me().await {
            Some(me) => Ok::<_, RequestError>(me),
            // Why it has closed is known to whoever listens to its events.
            None => pending().await,
        }
    };
    answer(known).await
}

/// The ids of these names, in their order.
pub(crate) async fn user_ids(client: &Client, names: &[String]) -> Result<Vec<UserId>, Mistake> {
    let mut ids = Vec::with_capacity(names.len());
    for names in names.chunks(USER_LOOKUP_MAX) {
        let users = answer(client.look_up(names, &[])).await?;
        for name in names {
            let user = users.iter().find(|user| user.handle == *name);
            ids.push(user.map(|user| user.id).ok_or_else(|| no_such_user(name))?);
        }
    }
    Ok(ids)
}

/// Users by these ids; those that are gone are missing.
pub(crate) async fn users_by_id(client: &Client, ids: &[UserId]) -> Result<Vec<User>, Mistake> {
    let mut users = Vec::with_capacity(ids.len());
    for ids in ids.chunks(USER_LOOKUP_MAX) {
        users.extend(answer(client.look_up(&[], ids)).await?);
    }
    Ok(users)
}

fn no_such_user(name: &str) -> Mistake {
    Mistake::new(Exit::NoUser, format!("the server knows no user {name}; a name is written as at its registration"))
}
