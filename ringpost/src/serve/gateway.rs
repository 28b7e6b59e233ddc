//! The gateway of this process.

use gateway_server::{Gateway, GatewayConfig, ShardConfig, StartError, TicketKeys, TokenVerifier};
use gateway_transport::TlsServer;
use protocol_shell::{LinkSource, random};

use super::identity;
use super::listening::port_mistake;
use crate::config::Settings;
use crate::mistake::{Exit, Mistake};

/// What clients see of a gateway, what it checks their tokens with (that of the router beside it, if there is one), and
/// what it seals their tickets with.
pub(super) fn credentials(
    settings: &Settings,
    has_router: bool,
) -> Result<(TlsServer, TokenVerifier, TicketKeys), Mistake> {
    let token_keys = if has_router {
        vec![settings.data_dir().signer()?.public_key()]
    } else {
        identity::token_public_keys(settings)?
    };
    let (key, previous) = identity::ticket_keys(&settings.data_dir())?;
    let tls = identity::tls_server(settings, key.session_tickets(previous.as_ref()))?;
    Ok((tls, TokenVerifier::new(token_keys), key.resume_tickets(previous.as_ref())))
}

/// Lets clients in at once; those that come before their link is up wait for it.
pub(crate) fn start(settings: &Settings, has_router: bool, links: Vec<LinkSource>) -> Result<Gateway, Mistake> {
    identity::ensure_certificate(settings)?;
    let (tls, verifier, tickets) = credentials(settings, has_router)?;
    let shard = ShardConfig { gateway_incarnation: random::number(), ..settings.gateway.shard.clone() };
    let config = GatewayConfig { shard, ..settings.gateway.clone() };
    let gateway = Gateway::start(config, tls, verifier, tickets, links).map_err(|error| match &error {
        StartError::Listen(address, _) => port_mistake(*address, "--listen", &error),
        _ => Mistake::new(Exit::Unavailable, error.to_string()),
    })?;
    settings.data_dir().write("server", gateway.address().to_string().as_bytes())?;
    Ok(gateway)
}
