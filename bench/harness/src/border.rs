//! What the servers have spent until a moment, and what a message has cost between two of them.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::cpu::{self, CpuByThread};
use crate::server::Product;

/// A moment.
#[derive(Clone, Debug, Default)]
pub struct Border {
    cpu: CpuByThread,
    /// By the clock, as the two below: how long the turns of the router took.
    turn_seconds: f64,
    append_seconds: f64,
    apply_seconds: f64,
}

/// CPU in µs a message, by where it was spent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stages {
    /// All of it.
    pub total: f64,
    /// Sockets, TLS, frames, sessions.
    pub gateway: f64,
    /// Order, permission, fan-out.
    pub router: f64,
    /// Encoding, checksums, writes, syncs.
    pub log: f64,
    /// Where everything is found again.
    pub index: f64,
}

impl Border {
    /// Of the product, now.
    pub fn of(product: &Product) -> Result<Border> {
        let seconds = |part: &str| product.metric(&format!("ringpost_router_store_seconds_total{{part=\"{part}\"}}"));
        let turn_seconds = product.metric("ringpost_router_turn_seconds_sum")?;
        let (append_seconds, apply_seconds) = (seconds("append")?, seconds("apply")?);
        Ok(Border { turn_seconds, append_seconds, apply_seconds, ..Border::of_processes(product.process_ids())? })
    }

    /// Of processes of which nothing else is known.
    pub fn of_processes(process_ids: &[u32]) -> Result<Border> {
        let mut border = Border::default();
        for process_id in process_ids {
            cpu::add(&mut border.cpu, *process_id)?;
        }
        Ok(border)
    }
}

/// CPU in µs a message between two moments.
pub fn spent_between(before: &Border, after: &Border, messages: u64) -> Stages {
    let us = |seconds: f64| seconds * 1e6 / messages.max(1) as f64;
    let spent = |is_meant: fn(&str) -> bool| us(cpu::spent(&before.cpu, &after.cpu, is_meant));
    let router = spent(|name| name == "router");
    // A turn has the thread's CPU by the parts of its time, also when others had the core in between.
    let turns = us(after.turn_seconds - before.turn_seconds).max(router);
    let share_of_router = |before: f64, after: f64| if turns > 0.0 { us(after - before) * router / turns } else { 0.0 };
    let append = share_of_router(before.append_seconds, after.append_seconds);
    let apply = share_of_router(before.apply_seconds, after.apply_seconds);
    let is_gateway = |name: &str| name.starts_with("shard") || name == "accept" || name.starts_with("authenticate");
    Stages {
        total: spent(|_| true),
        gateway: spent(is_gateway),
        router: (router - append - apply).max(0.0),
        log: spent(|name| name.starts_with("log")) + append,
        index: apply,
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stages { total, gateway, router, log, index } = self;
        write!(f, "{total:.1} µs: gateway {gateway:.1}, router {router:.1}, log {log:.1}, index {index:.1}")
    }
}
