//! The gateway of this process.

use std::net::SocketAddr;

use gateway_server::{Gateway, GatewayConfig, ShardConfig, StartError, TokenPublicKey, TokenVerifier};
use protocol_shell::{LinkSource, random};

use super::identity;
use super::listening::port_mistake;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// Lets clients in at once; those that come before the link is up wait for it.
pub(crate) fn start(
    data_dir: &DataDir,
    listen: SocketAddr,
    token_keys: Vec<TokenPublicKey>,
    links: LinkSource,
) -> Result<Gateway, Mistake> {
    let tls = identity::certificate(data_dir, listen.ip())?;
    let shard = ShardConfig { gateway_incarnation: random::number(), ..ShardConfig::default() };
    let config = GatewayConfig { listen, shard, ..GatewayConfig::default() };
    let gateway = Gateway::start(config, tls, TokenVerifier::new(token_keys), links).map_err(|error| match &error {
        StartError::Listen(address, _) => port_mistake(*address, "--listen", &error),
        _ => Mistake::new(Exit::Unavailable, error.to_string()),
    })?;
    data_dir.write("server", gateway.address().to_string().as_bytes())?;
    Ok(gateway)
}
