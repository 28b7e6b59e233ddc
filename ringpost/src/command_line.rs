//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::mistake::Exit;

/// A chat backend: the server for development, and clients for people and scripts.
#[derive(Debug, Parser)]
#[command(name = "ringpost", version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run everything in one process on this machine.
    Dev(DevArguments),
    /// Run one tier, or both, as a part of a cluster.
    Serve(ServeArguments),
    /// Make the key that the tiers of one cluster have in common.
    LinkKey(LinkKeyArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DevArguments {
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    /// Where native clients connect, by TLS.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub(crate) listen: SocketAddr,
    /// Where HTTP is served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7480")]
    pub(crate) http: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7490")]
    pub(crate) admin: SocketAddr,
    /// A demo user beside alice and bob; may be repeated.
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
    /// Below this much free disk new messages are refused with a code that says to try again; all else goes on.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) disk_low_mib: u64,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    /// What runs in this process.
    #[arg(long, value_enum)]
    pub(crate) role: Role,
    /// Router: where gateways connect. With `all`, gateways beside the one of this process.
    #[arg(long, value_name = "ADDR")]
    pub(crate) link: Option<SocketAddr>,
    /// Gateway: the router, at what that was given as --link.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) router: Option<String>,
    /// What both ends of a link prove to each other, the same file for all; see `ringpost link-key`.
    #[arg(long, value_name = "FILE")]
    pub(crate) link_key_file: Option<PathBuf>,
    /// Gateway: the public keys of whoever makes access tokens, one a line. A router makes one in its data folder.
    /// [default: token.pub in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_key_file: Option<PathBuf>,
    /// Gateway: where native clients connect, by TLS. [default: 127.0.0.1:7443]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7490")]
    pub(crate) admin: SocketAddr,
    /// Router: a demo user; may be repeated.
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
    /// Router: below this much free disk new messages are refused. [default: 256]
    #[arg(long, value_name = "MIB")]
    pub(crate) disk_low_mib: Option<u64>,
}

/// The tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Holds the sockets of clients, and asks a router.
    Gateway,
    /// Decides, stores, and answers gateways.
    Router,
    /// Both in one process.
    All,
}

#[derive(Args, Debug)]
pub(crate) struct LinkKeyArguments {
    /// Where to write it, for its owner alone. Without it, standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FolderArguments {
    /// The data folder of the server.
    #[arg(long, value_name = "DIR", env = "RINGPOST_DATA_DIR", default_value = "ringpost-data")]
    pub(crate) data_dir: PathBuf,
}

/// Prints what clap has to say, and gives the exit code for it.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when the stream is closed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
}
