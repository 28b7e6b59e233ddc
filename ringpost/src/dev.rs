//! `dev`: gateway, router and embedded store in one process, on loopback.
//!
//! The order of the start: the store first, since its lock says whether this folder is ours to write to; clients are let
//! in last.

mod banner;

use crate::command_line::DevArguments;
use crate::data_dir::DataDir;
use crate::logging;
use crate::mistake::Mistake;
use crate::serve::parts::Parts;
use crate::serve::{admin, gateway, identity, link, listening, router};

const DEMO_USERS: [&str; 2] = ["alice", "bob"];

/// Runs until it is told to end.
pub(crate) fn run(arguments: &DevArguments) -> Result<(), Mistake> {
    logging::start("info");
    let data_dir = DataDir::new(arguments.folder.data_dir.clone());
    data_dir.make()?;
    let router = router::start(&data_dir, arguments.disk_low_mib)?;
    let runtime = listening::runtime()?;
    let http = listening::listen(&runtime, arguments.http, "--http")?;
    let admin = listening::listen(&runtime, arguments.admin, "--admin")?;
    let users = DEMO_USERS.into_iter().chain(arguments.users.iter().map(String::as_str));
    router::make_users(&router, &data_dir, users)?;
    let token_keys = vec![identity::token_signer(&data_dir)?.public_key()];
    let gateway = gateway::start(&data_dir, arguments.listen, token_keys, link::within(router.gate()))?;

    let addresses = banner::Addresses { native: gateway.address(), http: http.address, admin: admin.address };
    admin::serve_http(&runtime, http.listener);
    let driver = gateway.driver().clone();
    let parts = Parts { gateway: Some(gateway), router: Some(router), ..Parts::default() };
    parts.publish(&runtime, admin, &data_dir)?;
    banner::print(&data_dir, &addresses, &driver);
    parts.run(&runtime)
}
