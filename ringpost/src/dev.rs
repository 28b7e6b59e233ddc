//! `dev`: gateway, router and embedded store in one process, on loopback.
//!
//! The order of the start: the store first, since its lock says whether this folder is ours to write to; clients are let
//! in last.

mod banner;

use crate::command_line::DevArguments;
use crate::mistake::Mistake;
use crate::scheduling;
use crate::serve::configured::Configured;
use crate::serve::parts::Parts;
use crate::serve::signals::Hangups;
use crate::serve::{admin, gateway, identity, link, listening, router};

const DEMO_USERS: [&str; 2] = ["alice", "bob"];

/// Runs until it is told to end.
pub(crate) fn run(arguments: &DevArguments) -> Result<(), Mistake> {
    let configured = Configured::start(&arguments.flags.given)?;
    let settings = configured.settings();
    scheduling::take_short_turns();
    let runtime = listening::runtime()?;
    let hangups = Hangups::listen(&runtime);
    let data_dir = settings.data_dir();
    data_dir.make()?;
    let router = router::start(settings)?;
    let http = listening::listen(&runtime, settings.http, "--http")?;
    let admin = listening::listen(&runtime, settings.admin, "--admin")?;
    let users = DEMO_USERS.into_iter().chain(arguments.users.iter().map(String::as_str));
    router::make_users(&router, &data_dir, users)?;
    identity::ensure_token_key(&data_dir)?;
    let links = link::within(&router.gate(), settings.gateway.shards_count(true));
    let gateway = gateway::start(settings, true, links)?;

    let addresses = banner::Addresses { native: gateway.address(), http: http.address, admin: admin.address };
    admin::serve_http(&runtime, http.listener);
    let driver = gateway.driver().clone();
    let parts = Parts { gateway: Some(gateway), router: Some(router), ..Parts::default() };
    parts.publish(&runtime, admin, &data_dir)?;
    banner::print(&data_dir, &addresses, &driver);
    parts.run(&runtime, configured, hangups)
}
