//! The ports of the HTTP side, and what to say when one cannot be had.

use std::fmt::Display;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::mistake::{Exit, Mistake};

/// A listener with the port that it got.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Where probes are answered and signals are waited for.
pub(crate) fn runtime() -> Result<Runtime, Mistake> {
    let no_threads = |error| Mistake::new(Exit::Unavailable, format!("cannot start the admin thread: {error}"));
    Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build().map_err(no_threads)
}

/// `flag` is what the address was given with.
pub(crate) fn listen(runtime: &Runtime, address: SocketAddr, flag: &str) -> Result<Listening, Mistake> {
    let bound = runtime.block_on(TcpListener::bind(address));
    bound
        .and_then(|listener| Ok(Listening { address: listener.local_addr()?, listener }))
        .map_err(|error| port_mistake(address, flag, &format!("cannot listen on {address}: {error}")))
}

pub(crate) fn port_mistake(address: SocketAddr, flag: &str, error: &impl Display) -> Mistake {
    let free = SocketAddr::new(address.ip(), 0);
    Mistake::new(
        Exit::Unavailable,
        format!("{error}; choose another address with {flag} ADDR ({flag} {free} takes a free port)"),
    )
}
