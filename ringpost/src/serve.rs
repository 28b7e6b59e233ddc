//! `serve`: one tier of a cluster, or both, as a process; and the parts of which `dev` is made too.

pub(crate) mod admin;
pub(crate) mod exposition;
pub(crate) mod gateway;
pub(crate) mod identity;
pub(crate) mod link;
pub(crate) mod listening;
mod opening;
pub(crate) mod parts;
pub(crate) mod router;
mod signals;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use protocol_carrier::LinkKey;
use router_server::RouterServer;

use crate::command_line::{Role, ServeArguments};
use crate::data_dir::DataDir;
use crate::logging;
use crate::mistake::{Exit, Mistake};
use parts::Parts;

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);
const DISK_LOW_MIB_DEFAULT: u64 = 256;

/// Runs until it is told to end.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Mistake> {
    logging::start("info");
    let tier = Tier::of(arguments)?;
    let data_dir = DataDir::new(arguments.folder.data_dir.clone());
    data_dir.make()?;
    let runtime = listening::runtime()?;
    let admin = listening::listen(&runtime, arguments.admin, "--admin")?;
    let parts = tier.start(&data_dir, arguments)?;
    parts.publish(&runtime, admin, &data_dir)?;
    parts.run(&runtime)
}

/// What runs here, with what it cannot be without.
enum Tier<'a> {
    Gateway { router: &'a str, key: LinkKey },
    Router { link: SocketAddr, key: LinkKey },
    All { link: Option<(SocketAddr, LinkKey)> },
}

impl Tier<'_> {
    /// Refuses what makes no sense for a role: somebody has mixed up two machines.
    fn of(arguments: &ServeArguments) -> Result<Tier<'_>, Mistake> {
        check_flags(arguments)?;
        let key = || link::key(arguments.link_key_file.as_deref());
        let missing = |text| Mistake::new(Exit::Usage, text);
        Ok(match arguments.role {
            Role::Gateway => {
                let without_router = "a gateway needs its router: --router HOST:PORT, what that was given as --link";
                let router = arguments.router.as_deref().ok_or_else(|| missing(without_router))?;
                link::check_router(router)?;
                Tier::Gateway { router, key: key()? }
            }
            Role::Router => {
                let without_link = "a router needs an address for its gateways: --link ADDR";
                let link = arguments.link.ok_or_else(|| missing(without_link))?;
                Tier::Router { link, key: key()? }
            }
            Role::All => Tier::All { link: arguments.link.map(|link| key().map(|key| (link, key))).transpose()? },
        })
    }

    fn start(self, data_dir: &DataDir, arguments: &ServeArguments) -> Result<Parts, Mistake> {
        let listen = arguments.listen.unwrap_or(LISTEN_DEFAULT);
        Ok(match self {
            Tier::Gateway { router, key } => {
                let token_keys = identity::token_public_keys(data_dir, arguments.token_key_file.as_deref())?;
                let (dialer, links) = link::dial(router, &key)?;
                let gateway = gateway::start(data_dir, listen, token_keys, links)?;
                tracing::info!(listen = %gateway.address(), router, "a gateway runs");
                Parts { gateway: Some(gateway), dialer: Some(dialer), ..Parts::default() }
            }
            Tier::Router { link, key } => {
                let router = start_router(data_dir, arguments)?;
                let listener = link::listen(data_dir, link, &key, router.gate())?;
                tracing::info!(link = %listener.address(), "a router runs");
                Parts { router: Some(router), listener: Some(listener), ..Parts::default() }
            }
            Tier::All { link } => {
                let router = start_router(data_dir, arguments)?;
                let listen_for_gateways = |(address, key)| link::listen(data_dir, address, &key, router.gate());
                let listener = link.map(listen_for_gateways).transpose()?;
                let token_keys = vec![data_dir.signer()?.public_key()];
                let gateway = gateway::start(data_dir, listen, token_keys, link::within(router.gate()))?;
                tracing::info!(listen = %gateway.address(), "a gateway and a router run");
                Parts { gateway: Some(gateway), router: Some(router), listener, ..Parts::default() }
            }
        })
    }
}

fn check_flags(arguments: &ServeArguments) -> Result<(), Mistake> {
    let (is_gateway, is_router) = (arguments.role == Role::Gateway, arguments.role == Role::Router);
    let has_store_flags = !arguments.users.is_empty() || arguments.disk_low_mib.is_some();
    let text = if is_gateway && arguments.link.is_some() {
        "--link is for a router; a gateway names its router with --router HOST:PORT"
    } else if is_gateway && has_store_flags {
        "--user and --disk-low-mib are for a router; a gateway has no store"
    } else if !is_gateway && arguments.router.is_some() {
        "--router is for a gateway; a router waits for its gateways at --link ADDR"
    } else if !is_gateway && arguments.token_key_file.is_some() {
        "--token-key-file is for a gateway; a router has its token key in its data folder"
    } else if is_router && arguments.listen.is_some() {
        "--listen is for a gateway; clients never connect to a router"
    } else {
        return Ok(());
    };
    Err(Mistake::new(Exit::Usage, text))
}

fn start_router(data_dir: &DataDir, arguments: &ServeArguments) -> Result<RouterServer, Mistake> {
    let router = router::start(data_dir, arguments.disk_low_mib.unwrap_or(DISK_LOW_MIB_DEFAULT))?;
    // Before gateways come, so that an operator finds what they need.
    identity::token_signer(data_dir)?;
    if !arguments.users.is_empty() {
        router::make_users(&router, data_dir, arguments.users.iter().map(String::as_str))?;
    }
    Ok(router)
}
