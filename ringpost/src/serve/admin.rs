//! What operators and probes ask: `/healthz`, `/readyz` and `/metrics` on the admin listener; and the HTTP listener,
//! which has nothing to serve yet.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gateway_server::GatewayView;
use protocol_carrier::LinkMetrics;
use router_server::Published;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

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

/// Answers probes for as long as the runtime lives.
pub(super) fn serve(runtime: &Runtime, listener: TcpListener, probes: Arc<Probes>) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n") })
        .with_state(probes);
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
    let mut text = String::new();
    if let Some(gateway) = &probes.gateway {
        of_gateway(&mut text, gateway);
    }
    if let Some(router) = &probes.router {
        of_router(&mut text, router);
    }
    if let Some(links) = &probes.links {
        links.rows().for_each(|(name, about, value)| counter(&mut text, "link", name, about, value));
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn of_gateway(text: &mut String, gateway: &GatewayView) {
    for (name, about, value) in gateway.metrics().snapshot() {
        counter(text, "gateway", name, about, value);
    }
    let shard = gateway.shard_counters();
    for (name, about, value) in shard.rows() {
        counter(text, "shard", name, about, value);
    }
    codes(text, "shard_closes", "Connections closed by the shard, by code.", shard.closes.rows());
    codes(text, "shard_refusals", "Frames refused without closing, by code.", shard.refusals.rows());
    gauge(text, "gateway_linked", "1 while the gateway has a link to its router.", gateway.is_ready());
}

fn of_router(text: &mut String, router: &Published) {
    for (name, about, value) in router.counters().rows() {
        counter(text, "router", name, about, value);
    }
    let parts = [("append", router.append_time()), ("apply", router.apply_time())];
    seconds(text, "router_store_seconds_total", "Time of the router's thread with its store.", &parts);
    gauge(text, "router_links", "Links to gateway shards.", router.links());
    gauge(text, "store_pressed", "1 while new messages are refused for want of disk.", router.is_pressed());
    gauge(text, "store_read_only", "1 until a check of the store has passed.", router.is_read_only());
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

fn seconds(text: &mut String, name: &str, about: &str, parts: &[(&str, Duration)]) {
    let row = |(part, time): &(&str, Duration)| (format!("{{part=\"{part}\"}}"), time.as_secs_f64());
    put(text, name, "counter", about, &parts.iter().map(row).collect::<Vec<_>>());
}

/// One metric in the text format of Prometheus 0.0.4.
fn put(text: &mut String, name: &str, kind: &str, about: &str, rows: &[(String, impl Display)]) {
    let mut write = || -> std::fmt::Result {
        writeln!(text, "# HELP ringpost_{name} {about}\n# TYPE ringpost_{name} {kind}")?;
        rows.iter().try_for_each(|(labels, value)| writeln!(text, "ringpost_{name}{labels} {value}"))
    };
    write().expect("writing to memory does not fail");
}
