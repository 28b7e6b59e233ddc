//! `serve`: one tier of a cluster, or both, as a process; and the parts of which `dev` is made too.

pub(crate) mod admin;
pub(crate) mod configured;
pub(crate) mod exposition;
pub(crate) mod gateway;
pub(crate) mod identity;
pub(crate) mod link;
pub(crate) mod listening;
mod opening;
pub(crate) mod orders;
pub(crate) mod parts;
pub(crate) mod router;
pub(crate) mod signals;

use std::net::SocketAddr;

use protocol_carrier::LinkKey;
use router_server::RouterServer;

use crate::command_line::{Role, ServeArguments};
use crate::config::Settings;
use crate::mistake::{Exit, Mistake};
use crate::scheduling;
use configured::Configured;
use parts::Parts;
use signals::Hangups;

/// Runs until it is told to end.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Mistake> {
    check_flags(arguments)?;
    let configured = Configured::start(&arguments.flags.given)?;
    let settings = configured.settings();
    let tier = Tier::of(arguments.role, settings)?;
    settings.data_dir().make()?;
    scheduling::take_short_turns();
    let runtime = listening::runtime()?;
    let hangups = Hangups::listen(&runtime);
    let admin = listening::listen(&runtime, settings.admin, "--admin")?;
    let parts = tier.start(settings, &arguments.users)?;
    parts.publish(&runtime, admin, &settings.data_dir())?;
    parts.run(&runtime, configured, hangups)
}

/// What runs here, with what it cannot be without.
enum Tier<'a> {
    Gateway { router: &'a str, key: LinkKey },
    Router { link: SocketAddr, key: LinkKey },
    All { link: Option<(SocketAddr, LinkKey)> },
}

impl Tier<'_> {
    /// Refuses a role that lacks what it takes.
    fn of(role: Role, settings: &Settings) -> Result<Tier<'_>, Mistake> {
        let key = || link::key(settings.link.key_file.as_deref());
        let missing = |text| Mistake::new(Exit::Usage, text);
        Ok(match role {
            Role::Gateway => {
                let without_router = "a gateway needs its router: --router HOST:PORT, what that was given as --link";
                let router = settings.link.router.as_deref().ok_or_else(|| missing(without_router))?;
                Tier::Gateway { router, key: key()? }
            }
            Role::Router => {
                let without_link = "a router needs an address for its gateways: --link ADDR";
                let link = settings.link.listen.ok_or_else(|| missing(without_link))?;
                Tier::Router { link, key: key()? }
            }
            Role::All => Tier::All { link: settings.link.listen.map(|link| key().map(|key| (link, key))).transpose()? },
        })
    }

    fn start(self, settings: &Settings, users: &[String]) -> Result<Parts, Mistake> {
        let data_dir = &settings.data_dir();
        Ok(match self {
            Tier::Gateway { router, key } => {
                let (dialer, links) = link::dial(router, &key, settings.gateway.shards_count(false))?;
                let gateway = gateway::start(settings, false, links)?;
                tracing::info!(listen = %gateway.address(), router, "a gateway runs");
                Parts { gateway: Some(gateway), dialer: Some(dialer), ..Parts::default() }
            }
            Tier::Router { link, key } => {
                let router = start_router(settings, users)?;
                let listener = link::listen(data_dir, link, &key, router.gate())?;
                tracing::info!(link = %listener.address(), "a router runs");
                Parts { router: Some(router), listener: Some(listener), ..Parts::default() }
            }
            Tier::All { link } => {
                let router = start_router(settings, users)?;
                let listen_for_gateways = |(address, key)| link::listen(data_dir, address, &key, router.gate());
                let listener = link.map(listen_for_gateways).transpose()?;
                let links = link::within(&router.gate(), settings.gateway.shards_count(true));
                let gateway = gateway::start(settings, true, links)?;
                tracing::info!(listen = %gateway.address(), "a gateway and a router run");
                Parts { gateway: Some(gateway), router: Some(router), listener, ..Parts::default() }
            }
        })
    }
}

/// Refuses what makes no sense for a role: somebody has mixed up two machines.
fn check_flags(arguments: &ServeArguments) -> Result<(), Mistake> {
    let (is_gateway, is_router) = (arguments.role == Role::Gateway, arguments.role == Role::Router);
    let has = |key| arguments.flags.given.has(key);
    let has_store_flags = !arguments.users.is_empty() || has("store.disk_low_mib");
    let text = if is_gateway && has("link.listen") {
        "--link is for a router; a gateway names its router with --router HOST:PORT"
    } else if is_gateway && has_store_flags {
        "--user and --disk-low-mib are for a router; a gateway has no store"
    } else if !is_gateway && has("link.router") {
        "--router is for a gateway; a router waits for its gateways at --link ADDR"
    } else if !is_gateway && has("gateway.token_key_file") {
        "--token-key-file is for a gateway; a router has its token key in its data folder"
    } else if is_router && has("gateway.listen") {
        "--listen is for a gateway; clients never connect to a router"
    } else {
        return Ok(());
    };
    Err(Mistake::new(Exit::Usage, text))
}

fn start_router(settings: &Settings, users: &[String]) -> Result<RouterServer, Mistake> {
    let router = router::start(settings)?;
    let data_dir = &settings.data_dir();
    // Before gateways come, so that an operator finds what they need.
    identity::ensure_token_key(data_dir)?;
    if !users.is_empty() {
        router::make_users(&router, data_dir, users.iter().map(String::as_str))?;
    }
    Ok(router)
}
