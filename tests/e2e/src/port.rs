//! Ports that a server can have again after a restart.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below the range from which the kernel takes ports for outgoing connections: there a client that calls a dead server
/// may get the server's own port, connect to itself, and keep it.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address on which nobody listens.
///
/// It is found by a call that nobody takes. A listener of our own would tell as well, but a process that another thread
/// starts in that moment holds a copy of it until it has become the other program, and with it the port.
pub fn free_address() -> Result<SocketAddr> {
    // Test processes run side by side: each begins somewhere else.
    let start = (std::process::id() as u16).wrapping_mul(37);
    let candidates = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + start.wrapping_add(step) % COUNT))
    });
    let is_free = |address: &SocketAddr| {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    let mut free = candidates.filter(is_free);
    free.next().context("all ports from 20000 to 29999 are taken")
}
