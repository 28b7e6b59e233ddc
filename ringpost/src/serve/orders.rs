//! Orders of an operator on the admin listener: `POST /erase/message/CONVERSATION/SEQ`, `POST /erase/user/NAME-OR-ID`, and
//! `POST /users`, which makes users where they are not there.
//!
//! The answer is a JSON object with the `outcome`, once it is durable; for users, whose names are the lines of the body,
//! a JSON array with the id of each. A request has to have the header [`HEADER`]: a
//! page in somebody's browser can post to loopback, but not with that.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use protocol::ids::{MessageId, UserId};
use protocol::limits::HANDLE_SIZE_MAX;
use router_server::{Operator, Order, OrderOutcome, UserError};
use serde::{Deserialize, Serialize};

use super::router::REALM;
use crate::data_dir::DataDir;

/// What an order must have in its header.
pub(crate) const HEADER: &str = "ringpost-order";

/// An order goes on after this time, but its giver is told to ask again.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Users that one request makes at most.
const USERS_AT_ONCE_MAX: usize = 10_000;

/// Who takes orders, and the folder with the names that go with users.
pub(super) struct OrderTaker {
    pub(super) operator: Operator,
    pub(super) data_dir: DataDir,
}

/// What has become of an order.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Done,
    NotThere,
    NotAMessage,
    Damaged,
    /// It is not done yet: asking again waits for it.
    UnderWay,
    /// The router does not run, or its disk says no.
    Unavailable,
}

/// The answer.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OrderObject {
    pub(crate) outcome: Outcome,
    /// Whom it was about, where that is a user who was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// What [`super::admin`] serves beside its probes.
pub(super) fn routes(taker: OrderTaker) -> Router {
    Router::new()
        .route("/erase/message/{conversation}/{seq}", post(erase_message))
        .route("/erase/user/{who}", post(erase_user))
        .route("/users", post(make_users))
        .with_state(Arc::new(taker))
}

async fn erase_message(
    State(taker): State<Arc<OrderTaker>>,
    Path((conversation, seq)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !headers.contains_key(HEADER) {
        return without_header();
    }
    match (conversation.parse(), seq.parse()) {
        (Ok(conversation), Ok(seq)) => {
            answer(taker.give(Order::EraseMessage(MessageId { conversation, seq })).await, None)
        }
        _ => (StatusCode::BAD_REQUEST, "that is no CONVERSATION/SEQ\n").into_response(),
    }
}

async fn erase_user(State(taker): State<Arc<OrderTaker>>, Path(who): Path<String>, headers: HeaderMap) -> Response {
    if !headers.contains_key(HEADER) {
        return without_header();
    }
    let user = match taker.operator.user_called(REALM, &who).await {
        Ok(Some(row)) => row.id,
        Ok(None) => match who.parse::<UserId>() {
            Ok(id) => id,
            Err(_) => return answer(Outcome::NotThere, None),
        },
        Err(_) => return answer(Outcome::Unavailable, None),
    };
    let mut outcome = taker.give(Order::EraseUser(user)).await;
    if outcome == Outcome::Done && taker.data_dir.forget_demo_user(user).is_err() {
        outcome = Outcome::Unavailable;
    }
    answer(outcome, (outcome != Outcome::NotThere).then_some(user))
}

async fn make_users(State(taker): State<Arc<OrderTaker>>, headers: HeaderMap, body: String) -> Response {
    if !headers.contains_key(HEADER) {
        return without_header();
    }
    let handles: Vec<String> = body.lines().map(str::to_owned).collect();
    if handles.len() > USERS_AT_ONCE_MAX || !handles.iter().all(|handle| is_handle(handle)) {
        let text =
            format!("the body is at most {USERS_AT_ONCE_MAX} names, one a line, of 1 to {HANDLE_SIZE_MAX} bytes\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    match taker.operator.ensure_users(REALM, handles).await {
        Ok(users) => {
            let ids: Vec<String> = users.iter().map(|user| user.id.to_string()).collect();
            let text = serde_json::to_string(&ids).expect("texts are always JSON");
            ([(CONTENT_TYPE, "application/json")], text + "\n").into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn is_handle(text: &str) -> bool {
    (1..=HANDLE_SIZE_MAX).contains(&text.len())
}

impl OrderTaker {
    async fn give(&self, order: Order) -> Outcome {
        tracing::info!(?order, "an operator orders");
        let outcome = match tokio::time::timeout(WAIT_MAX, self.operator.give(order)).await {
            Err(_) => Outcome::UnderWay,
            Ok(Err(UserError::Ended | UserError::Store(_))) => Outcome::Unavailable,
            Ok(Ok(OrderOutcome::Done)) => Outcome::Done,
            Ok(Ok(OrderOutcome::NotThere)) => Outcome::NotThere,
            Ok(Ok(OrderOutcome::NotAMessage)) => Outcome::NotAMessage,
            Ok(Ok(OrderOutcome::Damaged)) => Outcome::Damaged,
        };
        tracing::info!(?order, ?outcome, "an order of an operator");
        outcome
    }
}

fn without_header() -> Response {
    (StatusCode::FORBIDDEN, "an order needs the header `ringpost-order`\n").into_response()
}

fn answer(outcome: Outcome, user: Option<UserId>) -> Response {
    let status = match outcome {
        Outcome::Done => StatusCode::OK,
        Outcome::UnderWay => StatusCode::ACCEPTED,
        Outcome::NotThere => StatusCode::NOT_FOUND,
        Outcome::NotAMessage => StatusCode::CONFLICT,
        Outcome::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
        Outcome::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let object = OrderObject { outcome, user: user.map(|user| user.to_string()) };
    let text = serde_json::to_string(&object).expect("words and numbers are always JSON");
    (status, [(CONTENT_TYPE, "application/json")], format!("{text}\n")).into_response()
}
