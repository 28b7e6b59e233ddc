//! What runs in this process, from the moment all of it runs to its end.
//!
//! The order of the end: clients are sent away first, the router ends when everything it has accepted is durable, and
//! links last, so that the other tier hears of it at once.

use std::sync::Arc;

use gateway_server::Gateway;
use protocol_carrier::{LinkDialer, LinkListener, LinkMetrics};
use router_server::RouterServer;
use tokio::runtime::Runtime;

use super::admin::Probes;
use super::configured::Configured;
use super::orders::OrderTaker;
use super::signals::{self, Hangups, Reason};
use super::{listening, router};
use crate::config::Tier;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// A tier, or both, with what is between them.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) gateway: Option<Gateway>,
    pub(crate) router: Option<RouterServer>,
    /// To the gateway's router elsewhere.
    pub(crate) dialer: Option<LinkDialer>,
    /// For the router's gateways elsewhere.
    pub(crate) listener: Option<LinkListener>,
}

impl Parts {
    /// Answers probes from now on.
    pub(crate) fn publish(
        &self,
        runtime: &Runtime,
        admin: listening::Listening,
        data_dir: &DataDir,
    ) -> Result<(), Mistake> {
        data_dir.write("admin", admin.address.to_string().as_bytes())?;
        let probes = Probes {
            gateway: self.gateway.as_ref().map(Gateway::view),
            router: self.router.as_ref().map(RouterServer::published),
            links: self.link_metrics(),
        };
        let taker = |router: &RouterServer| OrderTaker { operator: router.operator(), data_dir: data_dir.clone() };
        super::admin::serve(runtime, admin.listener, Arc::new(probes), self.router.as_ref().map(taker));
        Ok(())
    }

    fn link_metrics(&self) -> Option<Arc<LinkMetrics>> {
        let dialer = self.dialer.as_ref().map(LinkDialer::metrics);
        dialer.or_else(|| self.listener.as_ref().map(LinkListener::metrics))
    }

    /// Runs until it is told to end, or a part of it has ended by itself.
    pub(crate) fn run(self, runtime: &Runtime, mut configured: Configured, hangups: Hangups) -> Result<(), Mistake> {
        let reason = runtime.block_on(signals::wait(hangups, || self.failure(), || configured.renew(&self)));
        self.end(runtime, reason)
    }

    /// Whether what is for this tier matters here.
    pub(super) fn has(&self, tier: Tier) -> bool {
        match tier {
            Tier::Gateway => self.gateway.is_some(),
            Tier::Router => self.router.is_some(),
            Tier::Both => true,
        }
    }

    fn failure(&self) -> Option<Reason> {
        if self.router.as_ref().is_some_and(RouterServer::has_ended) {
            return Some(Reason::RouterFailed);
        }
        self.gateway.as_ref().is_some_and(Gateway::has_failed).then_some(Reason::GatewayFailed)
    }

    fn end(self, runtime: &Runtime, reason: Reason) -> Result<(), Mistake> {
        let Parts { gateway, router, dialer, listener } = self;
        let _second_signal = runtime.spawn(signals::exit_at_once());
        tracing::info!(%reason, "draining");
        let drained = gateway.map_or(Ok(()), Gateway::drain);
        router.map_or(Ok(()), router::stop)?;
        drop((dialer, listener));
        drained.map_err(|error| Mistake::new(Exit::Software, format!("the gateway has failed: {error}")))?;
        match reason {
            Reason::Signal(_) => Ok(()),
            other => Err(Mistake::new(Exit::Software, other.to_string())),
        }
    }
}
