//! What operators and probes ask: `/healthz`, `/readyz`, `/metrics` and `/trace/CLIENT_MSG_ID` on the admin listener; and
//! the HTTP listener, which has nothing to serve yet.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gateway_server::GatewayView;
use protocol::ids::ClientMsgId;
use protocol_carrier::LinkMetrics;
use protocol_shell::clock;
use router_server::Published;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::exposition::{self, Exposition};
use super::orders::{self, OrderTaker};
use crate::trace::page::{TierPage, TracePage};

/// What is looked at to answer: whatever of it runs in this process.
pub(super) struct Probes {
    pub(super) gateway: Option<GatewayView>,
    pub(super) router: Option<Arc<Published>>,
    /// Of links to other processes.
    pub(super) links: Option<Arc<LinkMetrics>>,
}

impl Probes {
    /// Why new sessions cannot be served, or new messages not taken.
    fn unready(&self) -> Option<&'static str> {
        if self.gateway.as_ref().is_some_and(|gateway| !gateway.is_ready()) {
            return Some("the gateway has no link to the router");
        }
        let router = self.router.as_ref()?;
        if router.is_read_only() {
            return Some("the store reads only until it was checked");
        }
        router.is_pressed().then_some("the disk is almost full or does not keep up: new messages are refused")
    }
}

/// Answers probes, and takes orders where a router runs, for as long as the runtime lives.
pub(super) fn serve(runtime: &Runtime, listener: TcpListener, probes: Arc<Probes>, orders: Option<OrderTaker>) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/trace/{client_msg_id}", get(trace))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /healthz, /readyz, /metrics or /trace/CLIENT_MSG_ID\n") })
        .with_state(probes);
    let routes = match orders {
        Some(taker) => routes.merge(orders::routes(taker)),
        None => routes,
    };
    spawn(runtime, listener, routes);
}

/// Says that there is nothing yet, likewise.
pub(crate) fn serve_http(runtime: &Runtime, listener: TcpListener) {
    let routes = Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "nothing is served over HTTP yet\n") });
    spawn(runtime, listener, routes);
}

fn spawn(runtime: &Runtime, listener: TcpListener, routes: Router) {
    runtime.spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "a listener for HTTP has ended");
        }
    });
}

async fn readyz(State(probes): State<Arc<Probes>>) -> Response {
    match probes.unready() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(probes): State<Arc<Probes>>) -> impl IntoResponse {
    let mut exposition = Exposition::default();
    probes.gateway.iter().for_each(|gateway| exposition.add(gateway));
    probes.router.iter().for_each(|router| exposition.add(&**router));
    probes.links.iter().for_each(|links| exposition.add(&**links));
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], exposition.into_text())
}

/// 404 when nothing is known of it; the body says what would be kept all the same.
async fn trace(State(probes): State<Arc<Probes>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<ClientMsgId>() else {
        return (StatusCode::BAD_REQUEST, "a client_msg_id is a UUID\n").into_response();
    };
    let of_gateway = |gateway: &GatewayView| TierPage::new("gateway", gateway.trace_config(), gateway.find_trace(id));
    let of_router = |router: &Arc<Published>| {
        let ring = router.trace();
        TierPage::new("router", ring.config(), ring.find(clock::now().monotonic, id))
    };
    let (gateway, router) = (probes.gateway.iter().map(of_gateway), probes.router.iter().map(of_router));
    let page = TracePage { client_msg_id: id.to_string(), tiers: gateway.chain(router).collect() };
    let is_known = page.tiers.iter().any(|tier| !tier.steps.is_empty());
    let status = if is_known { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let body = serde_json::to_string(&page).expect("numbers and texts are always JSON");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
