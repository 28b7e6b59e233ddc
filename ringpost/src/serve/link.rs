//! What is between the tiers: a queue within this process, or TCP with the link key.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::task::Poll;

use protocol_carrier::{LinkDialer, LinkKey, LinkListener};
use protocol_shell::{LINK_BATCHES_MAX, LinkSource, LinkTransport};
use router_server::LinkGate;

use super::listening::port_mistake;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// Links to the router of this process, for each shard of a gateway.
pub(crate) fn within(gate: &LinkGate, shards_count: u16) -> Vec<LinkSource> {
    let source = |gate: LinkGate| {
        LinkSource::new(move |_| {
            let (near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
            gate.let_in(far).map_or(Poll::Pending, |()| Poll::Ready(near))
        })
    };
    (0..shards_count).map(|_| source(gate.clone())).collect()
}

/// Never without a key: who reaches the link of a router can speak for every user.
pub(crate) fn key(file: Option<&Path>) -> Result<LinkKey, Mistake> {
    const MAKE_ONE: &str =
        "`ringpost link-key --out FILE` makes one, the same for every router and gateway of a cluster";
    let Some(path) = file else {
        let text = format!("a link needs a key, and none was given with --link-key-file FILE; {MAKE_ONE}");
        return Err(Mistake::new(Exit::Config, text));
    };
    let mistake = |why: String| Mistake::new(Exit::Config, format!("{}: {why}; {MAKE_ONE}", path.display()));
    let text = std::fs::read(path).map_err(|error| mistake(error.to_string()))?;
    let key = LinkKey::from_pem(&text).map_err(|error| mistake(error.to_string()))?;
    let others_can_read = path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if others_can_read {
        tracing::warn!(
            "others can read {0}, and whoever can is a member of the cluster; `chmod 600 {0}`",
            path.display()
        );
    }
    tracing::info!(fingerprint = key.fingerprint(), "the link key");
    Ok(key)
}

/// Links to gateways elsewhere.
pub(crate) fn listen(
    data_dir: &DataDir,
    address: SocketAddr,
    key: &LinkKey,
    gate: LinkGate,
) -> Result<LinkListener, Mistake> {
    let listener = LinkListener::start(address, key, move |link| gate.let_in(link).is_ok())
        .map_err(|error| port_mistake(address, "--link", &format!("cannot listen on {address}: {error}")))?;
    data_dir.write("link", listener.address().to_string().as_bytes())?;
    Ok(listener)
}

/// Likewise to a router elsewhere, whose name is looked up each time it is dialed.
pub(crate) fn dial(router: &str, key: &LinkKey, shards_count: u16) -> Result<(LinkDialer, Vec<LinkSource>), Mistake> {
    LinkDialer::start(router.to_owned(), key, shards_count)
        .map_err(|error| Mistake::new(Exit::Unavailable, format!("cannot start the thread of the link: {error}")))
}
