//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
