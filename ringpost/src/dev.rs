//! `dev`: gateway, router and embedded store in one process, on loopback.
//!
//! The order of the start: the store first, since its lock says whether this folder is ours to write to; clients are let
//! in last. The order of the end is the other way round.

mod admin;
mod banner;
mod identity;
mod signals;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use gateway_server::{Gateway, GatewayConfig, ShardConfig, TokenVerifier};
use gateway_transport::TlsServer;
use protocol::ids::{Realm, UserId};
use protocol_shell::{LINK_BATCHES_MAX, LinkTransport, random};
use router_server::{Ended, RouterConfig, RouterServer, StartError, StoreConfig};
use storage_log::FolderError;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::command_line::DevArguments;
use crate::data_dir::DataDir;
use crate::logging;
use crate::mistake::{Exit, Mistake};

/// All users of `dev` are in one realm.
pub(crate) const REALM: Realm = Realm(1);

const DEMO_USERS: [&str; 2] = ["alice", "bob"];

/// Runs until it is told to end.
pub(crate) fn run(arguments: &DevArguments) -> Result<(), Mistake> {
    logging::start("info");
    let data_dir = DataDir::new(arguments.folder.data_dir.clone());
    data_dir.make()?;
    let (gateway_end, router_end) = LinkTransport::pair(LINK_BATCHES_MAX);
    let router = start_router(&data_dir, arguments, router_end)?;
    let runtime = runtime()?;
    let http = listen(&runtime, arguments.http, "--http")?;
    let admin = listen(&runtime, arguments.admin, "--admin")?;
    let gateway = start_gateway(&data_dir, arguments, gateway_end)?;
    let users = make_users(&router, &arguments.users)?;
    data_dir.save_demo_users(&users)?;
    data_dir.write("server", gateway.address().to_string().as_bytes())?;

    let addresses = banner::Addresses { native: gateway.address(), http: http.address, admin: admin.address };
    data_dir.write("admin", addresses.admin.to_string().as_bytes())?;
    let probes = Arc::new(admin::Probes::new(&gateway, router.published()));
    admin::serve(&runtime, http.listener, admin.listener, probes);
    banner::print(&data_dir, &addresses, gateway.driver());

    let reason = runtime.block_on(signals::wait(&gateway, &router));
    end(&runtime, reason, gateway, router)
}

fn start_router(data_dir: &DataDir, arguments: &DevArguments, link: LinkTransport) -> Result<RouterServer, Mistake> {
    let disk_low_bytes = arguments.disk_low_mib.saturating_mul(1 << 20);
    let store = StoreConfig { disk_low_bytes, ..StoreConfig::new(data_dir.log()) };
    let config = RouterConfig::default();
    let mut progress = banner::Progress::default();
    RouterServer::start(config, &store, vec![link], |opening| progress.show(&opening))
        .map_err(|error| store_mistake(&error, &arguments.folder.data_dir))
}

fn store_mistake(error: &StartError, data_dir: &Path) -> Mistake {
    let folder = data_dir.display();
    match error {
        StartError::Folder(FolderError::InUse { pid, .. }) => {
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            let text =
                format!("{folder} is in use by {holder}: stop that one, or name another folder with --data-dir DIR");
            Mistake::new(Exit::CannotCreate, text)
        }
        StartError::Folder(FolderError::Io { .. }) => {
            Mistake::new(Exit::CannotCreate, format!("{error}; name another folder with --data-dir DIR"))
        }
        StartError::Open(_) => Mistake::new(Exit::Io, format!("the store in {folder} cannot be opened: {error}")),
        StartError::Resources(_) => Mistake::new(Exit::Unavailable, error.to_string()),
    }
}

fn start_gateway(data_dir: &DataDir, arguments: &DevArguments, link: LinkTransport) -> Result<Gateway, Mistake> {
    let (tls, signer) = identity::load_or_make(data_dir, arguments.listen.ip())?;
    let tls = TlsServer::new(tls)
        .map_err(|error| Mistake::new(Exit::Config, format!("{}: {error}", data_dir.path().display())))?;
    let shard = ShardConfig { gateway_incarnation: random::number(), ..ShardConfig::default() };
    let config = GatewayConfig { listen: arguments.listen, shard, ..GatewayConfig::default() };
    let verifier = TokenVerifier::new(vec![signer.public_key()]);
    Gateway::start(config, tls, verifier, link).map_err(|error| match &error {
        gateway_server::StartError::Listen(address, _) => port_mistake(*address, "--listen", &error),
        _ => Mistake::new(Exit::Unavailable, error.to_string()),
    })
}

fn runtime() -> Result<Runtime, Mistake> {
    let no_threads = |error| Mistake::new(Exit::Unavailable, format!("cannot start the admin thread: {error}"));
    Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build().map_err(no_threads)
}

/// A listener with the port that it got.
struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

fn listen(runtime: &Runtime, address: SocketAddr, flag: &str) -> Result<Listening, Mistake> {
    let bound = runtime.block_on(TcpListener::bind(address));
    bound
        .and_then(|listener| Ok(Listening { address: listener.local_addr()?, listener }))
        .map_err(|error| port_mistake(address, flag, &format!("cannot listen on {address}: {error}")))
}

fn port_mistake(address: SocketAddr, flag: &str, error: &impl std::fmt::Display) -> Mistake {
    let free = SocketAddr::new(address.ip(), 0);
    Mistake::new(
        Exit::Unavailable,
        format!("{error}; choose another address with {flag} ADDR ({flag} {free} takes a free port)"),
    )
}

fn make_users(router: &RouterServer, more: &[String]) -> Result<BTreeMap<String, UserId>, Mistake> {
    let names = DEMO_USERS.into_iter().chain(more.iter().map(String::as_str));
    names
        .map(|name| match router.ensure_user(REALM, name) {
            Ok(user) => Ok((name.to_owned(), user.id)),
            Err(error) => Err(Mistake::new(Exit::Io, format!("cannot make the user {name}: {error}"))),
        })
        .collect()
}

fn end(runtime: &Runtime, reason: signals::Reason, gateway: Gateway, router: RouterServer) -> Result<(), Mistake> {
    let _second_signal = runtime.spawn(signals::exit_at_once());
    tracing::info!(%reason, "draining");
    let drained = gateway.drain();
    match router.stop() {
        Ended::Stopped => {}
        Ended::StoreFailed { error, is_marked } => {
            let next =
                if is_marked { "the next start reads only until the store was checked" } else { "check the disk" };
            return Err(Mistake::new(
                Exit::Io,
                format!("the disk has failed ({error}): nothing acked is lost; {next}"),
            ));
        }
    }
    drained.map_err(|error| Mistake::new(Exit::Software, format!("the gateway has failed: {error}")))?;
    match reason {
        signals::Reason::Signal(_) => Ok(()),
        other => Err(Mistake::new(Exit::Software, other.to_string())),
    }
}
