//! Ports that a server can have again after a restart.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below the range from which the kernel takes ports for outgoing connections: there a client that calls a dead server
/// may get the server's own port, connect to itself, and keep it.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address that nobody uses.
pub fn free_address() -> Result<SocketAddr> {
    // Test processes run side by side: each begins somewhere else.
    let start = (std::process::id() as u16).wrapping_mul(37);
    let candidates = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + start.wrapping_add(step) % COUNT))
    });
    let mut free = candidates.filter(|address| TcpListener::bind(address).is_ok());
    free.next().context("all ports from 20000 to 29999 are taken")
}
