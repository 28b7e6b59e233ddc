//! What operators and probes ask: `/healthz`, `/readyz` and `/metrics` on the admin listener; and the HTTP listener,
//! which has nothing to serve yet.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gateway_server::{Gateway, GatewayView};
use router_server::Published;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What is looked at to answer.
pub(super) struct Probes {
    gateway: GatewayView,
    router: Arc<Published>,
}

impl Probes {
    pub(super) fn new(gateway: &Gateway, router: Arc<Published>) -> Probes {
        Probes { gateway: gateway.view(), router }
    }

    /// Why new sessions cannot be served, or new messages not taken.
    fn unready(&self) -> Option<&'static str> {
        if !self.gateway.is_ready() {
            return Some("the gateway has no link to the router");
        }
        if self.router.is_read_only() {
            return Some("the store reads only until it was checked");
        }
        self.router.is_pressed().then_some("the disk is almost full or does not keep up: new messages are refused")
    }
}

/// Serves both listeners for as long as the runtime lives.
pub(super) fn serve(runtime: &Runtime, http: TcpListener, admin: TcpListener, probes: Arc<Probes>) {
    let admin_routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n") })
        .with_state(probes);
    let http_routes = Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "nothing is served over HTTP yet\n") });
    for (listener, routes) in [(admin, admin_routes), (http, http_routes)] {
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "a listener for HTTP has ended");
            }
        });
    }
}

async fn readyz(State(probes): State<Arc<Probes>>) -> Response {
    match probes.unready() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(probes): State<Arc<Probes>>) -> impl IntoResponse {
    let mut text = String::new();
    for (name, about, value) in probes.gateway.metrics().snapshot() {
        counter(&mut text, "gateway", name, about, value);
    }
    let shard = probes.gateway.shard_counters();
    for (name, about, value) in shard.rows() {
        counter(&mut text, "shard", name, about, value);
    }
    for (name, about, value) in probes.router.counters().rows() {
        counter(&mut text, "router", name, about, value);
    }
    codes(&mut text, "shard_closes", "Connections closed by the shard, by code.", shard.closes.rows());
    codes(&mut text, "shard_refusals", "Frames refused without closing, by code.", shard.refusals.rows());
    gauge(&mut text, "router_links", "Links to gateway shards.", probes.router.links());
    gauge(&mut text, "store_pressed", "1 while new messages are refused for want of disk.", probes.router.is_pressed());
    gauge(&mut text, "store_read_only", "1 until a check of the store has passed.", probes.router.is_read_only());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn counter(text: &mut String, part: &str, name: &str, about: &str, value: u64) {
    put(text, &format!("{part}_{name}_total"), "counter", about, &[(String::new(), value)]);
}

fn gauge(text: &mut String, name: &str, about: &str, value: impl Into<u64>) {
    put(text, name, "gauge", about, &[(String::new(), value.into())]);
}

fn codes(text: &mut String, name: &str, about: &str, rows: impl Iterator<Item = (protocol::codes::Code, u64)>) {
    let rows: Vec<_> = rows.map(|(code, value)| (format!("{{code=\"{}\"}}", code.number()), value)).collect();
    put(text, &format!("{name}_total"), "counter", about, &rows);
}

/// One metric in the text format of Prometheus 0.0.4.
fn put(text: &mut String, name: &str, kind: &str, about: &str, rows: &[(String, u64)]) {
    let mut write = || -> std::fmt::Result {
        writeln!(text, "# HELP ringpost_{name} {about}\n# TYPE ringpost_{name} {kind}")?;
        rows.iter().try_for_each(|(labels, value)| writeln!(text, "ringpost_{name}{labels} {value}"))
    };
    write().expect("writing to memory does not fail");
}
